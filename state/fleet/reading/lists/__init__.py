"""Lists of a fleet: pages of them, what filters choose, and how PostgreSQL finds it."""
