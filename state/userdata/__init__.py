"""User data: the names, git values and moved folders that users set. It is written to its journal
first and to the index second."""
