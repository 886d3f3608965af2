"""Changes to threads: metadata, forks, archive and delete."""
