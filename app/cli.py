"""The command line: tidegate [PATH] and its subcommands."""
