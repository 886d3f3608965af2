"""``threadkeep push``: once, while changes come, or only shown."""
