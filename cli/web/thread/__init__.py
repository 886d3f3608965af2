"""What the page of a thread shows: some of its turns at a time."""
