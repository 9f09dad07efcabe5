"""git: the one place that runs it, with one environment and one type of error."""
