"""Rows of the index made from files: the ledger, threads, their tokens, and the writer of all."""
