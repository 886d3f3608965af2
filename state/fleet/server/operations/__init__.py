"""What keeps a fleet in order: monthly partitions, retention, and how it is doing."""
