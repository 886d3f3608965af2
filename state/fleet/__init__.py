"""The fleet: threads of many machines in one PostgreSQL (docs/fleet.md)."""
