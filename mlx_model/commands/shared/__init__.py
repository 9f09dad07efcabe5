"""Options, inputs and checks that several subcommands share."""
