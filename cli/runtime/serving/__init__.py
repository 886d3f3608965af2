"""What every server of ours is made of."""
