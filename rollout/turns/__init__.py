"""Turns and the items in them, as the lines of both eras and of the first versions tell of them."""
