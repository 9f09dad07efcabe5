"""Ways to look at what is reviewed: what moved and what means nothing, what was seen, one commit at a time."""
