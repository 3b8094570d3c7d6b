"""The commands. What they ask for is done elsewhere."""
