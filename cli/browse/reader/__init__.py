"""A thread in the terminal: its turns as lines, with an outline beside them."""
