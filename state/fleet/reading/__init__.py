"""Read a fleet: PostgreSQL in the place of an index, and copies of rollouts in a cache."""
