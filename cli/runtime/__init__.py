"""Opening an index for a command, what a command waits for, and logs."""
