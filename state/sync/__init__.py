"""Bring the index in step with the files: a sync, the backfill, and the journal of moves."""
