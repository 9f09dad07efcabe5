"""Sources of changes behind one interface: the agent's work, or anything that git can show."""
