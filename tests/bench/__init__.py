"""Benchmarks: each measures us and a peer in one process and prints a table. Run as `python -m tests.bench.<name>`."""
