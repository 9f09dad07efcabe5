"""Which models there are: on this machine, and to be fetched."""
