"""The PostgreSQL of a fleet: its schema, connections to it, and what administrators do."""
