"""Changes of threads that are named or selected: one by one, with a report of all."""
