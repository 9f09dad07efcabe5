"""Training by night: when it may run, what it starts, and whether its result is taken up."""
