"""The index database: connections, schema, migrations, locks and snapshots; it knows no domain.

One road leads to SQLite: plain SQL over plain connections. Reads that somebody waits for are
generators of it (:mod:`state.db.steps`), run in the process of a command, in a reader thread, or
inline in the event loop; what writes is a function over a connection, a transaction in one thread
(:class:`state.db.database.Database`). aiosqlite gives results as large as the index some rows at a
time. SQLAlchemy declares the schema, and runs migrations.
"""
