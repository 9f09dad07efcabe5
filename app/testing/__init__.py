"""The project's own tests: the command that runs them, how they ended, what failed and where."""
