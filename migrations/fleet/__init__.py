"""Alembic scripts of a fleet."""

SCHEMA = "threadkeep"
VERSION_TABLE = "fleet_version"
