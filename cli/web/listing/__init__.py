"""The threads of the list: how they are found, counted and shown."""
