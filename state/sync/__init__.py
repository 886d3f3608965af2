"""The ledger, rows, the writer, the backfill and the journal of moves."""
