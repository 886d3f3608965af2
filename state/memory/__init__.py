"""The store of threads in memory."""
