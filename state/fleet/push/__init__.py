"""What a machine pushes into a fleet."""
