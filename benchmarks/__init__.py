"""Benchmarks: `make bench`, or `python -m benchmarks SECTION… [--runs N]` in a checkout."""
