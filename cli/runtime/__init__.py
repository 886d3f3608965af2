"""Opening an index for a command, batches and logs."""
