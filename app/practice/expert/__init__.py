"""The expert who fixes a practice task with the agent's own tools, and says what it does as the agent would."""
