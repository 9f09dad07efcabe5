"""The engine's subcommands, one a module: `add_arguments(parser)`, and `run(arguments)` giving the exit
status."""
