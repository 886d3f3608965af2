"""Search the messages of a fleet."""
