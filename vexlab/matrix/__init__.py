"""Targets by kernels by variants: which cells there are, and what each cell comes to."""
