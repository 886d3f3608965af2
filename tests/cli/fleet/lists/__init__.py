"""What lists, searches and counts the threads of a fleet."""
