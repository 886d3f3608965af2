"""Leases, progress and workers: what every job runs on."""
