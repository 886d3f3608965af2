"""Plans, repair, backups, recovery and reindex."""
