"""The index database: connections, schema, migrations, locks and snapshots; it knows no domain.

Two roads lead to SQLite. Reads that somebody waits for are generators of plain SQL
(:mod:`state.db.steps`), run over a plain connection: in the process of a command, in a reader
thread, or inline in the event loop. Everything else (writes, jobs, checks, migrations) is
SQLAlchemy Core over aiosqlite (:class:`state.db.database.Database`).
"""
