"""The threads of the list: what is wanted, how it is found, how its lines look."""
