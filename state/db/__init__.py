"""Connections, schema, migrations, locks and snapshots; knows no domain."""
