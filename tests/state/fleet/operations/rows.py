"""Threads that are put into a fleet as a push would."""

import datetime
import uuid
from typing import Any

import psycopg

from rollout.pieces.manifest import Piece
from state.fleet.server.pieces import stored_digest

NOW = datetime.datetime.now(datetime.UTC)


def days_ago(days: int) -> datetime.datetime:
    """A moment."""
    return NOW - datetime.timedelta(days=days)


def month_of(moment: datetime.datetime) -> datetime.date:
    """The month in which it is."""
    return moment.date().replace(day=1)


def put_thread(
    admin: "psycopg.Connection[Any]",
    machine: str,
    *,
    created: int,
    updated: int,
    level: str = "raw",
    deleted: bool = False,
) -> str:
    """A thread of so many days ago, with what its level has: its id."""
    id_ = str(uuid.uuid4())
    made, changed = days_ago(created), days_ago(updated)
    made_ms, changed_ms = (int(each.timestamp() * 1000) for each in (made, changed))
    values = {"machine": machine, "id": id_, "made": made_ms, "changed": changed_ms, "level": level}
    values |= {"deleted": deleted, "pushed": changed}
    tenant_id, machine_id, row_id = admin.execute(_THREAD, values).fetchone() or (0, 0, 0)
    admin.execute("SELECT threadkeep.choose_newest(%s, %s)", [tenant_id, [id_]])
    whose = [month_of(made), tenant_id, machine_id]
    if level != "metadata" and not deleted:
        admin.execute(_DOCUMENT, [*whose, row_id])
        admin.execute(_USAGE, [tenant_id, machine_id, row_id])
    if level == "raw" and not deleted:
        data = f"bytes of {id_}".encode()
        admin.execute(_PIECE, [*whose, stored_digest(id_, Piece.of(data)), len(data), data])
        admin.execute(_ROLLOUT, [*whose, id_, id_])
    return id_


def counts(admin: "psycopg.Connection[Any]") -> dict[str, int]:
    """How many rows each table has."""
    return {
        table: (admin.execute(f"SELECT count(*) FROM threadkeep.{table}").fetchone() or (0,))[0]
        for table in ("threads", "thread_usage", "documents", "rollouts", "pieces")
    }


_THREAD = """
    INSERT INTO threadkeep.threads (tenant_id, machine_id, id, rollout_path, created_at_ms,
        updated_at_ms, recency_at_ms, source, source_kind, model_provider, cwd, cwd_key, title,
        preview, fallback_preview, first_user_message, search_text, sandbox_policy, approval_mode,
        tokens_used, archived, cli_version, memory_mode, history_mode, size_bytes, mtime_ns, flags,
        facet, epoch, revision, level, deleted, pushed_at)
    SELECT tenant_id, machine_id, %(id)s, 'sessions/' || %(id)s::text, %(made)s, %(changed)s,
        %(changed)s, 'cli', 'cli', 'openai', '/src', '/src', 'title', 'preview', '', 'title',
        'title', '{}', 'never', 0, 0, '', 'enabled', 'legacy', 100, 0, 0, '000|cli|openai', 1, 1,
        %(level)s, %(deleted)s, %(pushed)s
    FROM threadkeep.machines WHERE name = %(machine)s
    RETURNING tenant_id, machine_id, row_id
"""
_DOCUMENT = """
    INSERT INTO threadkeep.documents (month, tenant_id, machine_id, row_id, position, text,
        messages, digest) VALUES (%s, %s, %s, %s, 0, ' words ', '', '')
"""
_USAGE = """
    INSERT INTO threadkeep.thread_usage VALUES
        (%s, %s, %s, 0, '', '', '', '', 0, 1, 0, 0, 1, 0, 2, 1)
"""
_PIECE = "INSERT INTO threadkeep.pieces VALUES (%s, %s, %s, %s, %s, %s)"
_ROLLOUT = """
    INSERT INTO threadkeep.rollouts (month, tenant_id, machine_id, path, thread_id, size_bytes,
        mtime_ns, pieces) VALUES (%s, %s, %s, %s, %s, 100, 0, '')
"""
