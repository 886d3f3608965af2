"""Work that a program does once, and a process of tests would do hundreds of times."""

from functools import partial
from typing import Any, Final

from sqlalchemy.dialects.sqlite.aiosqlite import SQLiteDialect_aiosqlite
from sqlalchemy.ext.asyncio import create_async_engine

from state.db import database

_COMPILED: Final[dict[Any, Any]] = {}


def compile_statements_once() -> None:
    """Keep what SQLAlchemy compiles for all indexes that this process opens, also for processes
    that are forked from it. A third of what a command takes in a small home is the compiling."""
    dialect: Any = SQLiteDialect_aiosqlite  # each engine has one of its own, which its keys hold
    dialect.__eq__ = lambda one, other: type(one) is type(other)
    dialect.__hash__ = lambda one: hash(type(one))
    options = {"compiled_cache": _COMPILED}
    opening: Any = database
    opening.create_async_engine = partial(create_async_engine, execution_options=options)
