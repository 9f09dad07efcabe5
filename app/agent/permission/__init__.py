"""Whether a call may run: the mode, the user's rules, and what a command line does."""
