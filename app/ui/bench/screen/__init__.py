"""`tidegate bench ui`: how soon the workspace shows, how fast it answers, and what it costs, beside others."""
