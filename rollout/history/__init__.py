"""Turns, segments, fork points and model context."""
