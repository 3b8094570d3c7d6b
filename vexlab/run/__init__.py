"""A run: what to execute, the execution followed and ended in time, and what to do after something went wrong."""
