"""Findings, and what verifies an index."""
