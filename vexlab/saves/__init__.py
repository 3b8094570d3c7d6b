"""What is done on each save of a source: which saves count, what they affect, one round after the other."""
