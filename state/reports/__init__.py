"""Statistics, disk usage and SQL."""
