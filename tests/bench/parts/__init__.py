"""Benchmarks of single parts, with pytest-benchmark."""
