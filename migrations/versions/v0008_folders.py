"""Write the keys of folders as they are made now: without ``..``, doubled slashes at the beginning,
and the case of Windows paths. Of two aliases of one folder the later one stays."""

import ntpath
import posixpath
import re

import sqlalchemy as sa
from alembic import op

revision = "v0008"
down_revision = "v0007"

_DRIVE = re.compile(r"[A-Za-z]:(?:[\\/]|$)")
_VERBATIM = re.compile(
    r"(?:\\\\[?.][\\/]|\\\?\?\\|//[?.]/(?=UNC/|[A-Za-z]:))(?P<share>UNC[\\/])?", re.IGNORECASE
)


def upgrade() -> None:
    connection = op.get_bind()
    folders = connection.execute(sa.text("SELECT DISTINCT cwd, cwd_key FROM threads")).all()
    for cwd, before in folders:
        if (key := _key(cwd)) != before:
            connection.execute(
                sa.text("UPDATE threads SET cwd_key = :key WHERE cwd_key = :before AND cwd = :cwd"),
                {"key": key, "before": before, "cwd": cwd},
            )
    aliases = connection.execute(
        sa.text("SELECT old_key, old, new, new_key, set_at_ms FROM path_aliases ORDER BY set_at_ms")
    ).all()
    latest = {
        _key(old): {
            "old_key": _key(old),
            "old": old,
            "new": new,
            "new_key": None if new is None else _key(new),
            "set_at_ms": set_at_ms,
        }
        for _, old, new, _, set_at_ms in aliases
    }
    if {(row["old_key"], row["new_key"]) for row in latest.values()} != {
        (old_key, new_key) for old_key, _, _, new_key, _ in aliases
    }:
        connection.execute(sa.text("DELETE FROM path_aliases"))
        for row in latest.values():
            connection.execute(
                sa.text(
                    "INSERT INTO path_aliases (old_key, old, new, new_key, set_at_ms)"
                    " VALUES (:old_key, :old, :new, :new_key, :set_at_ms)"
                ),
                row,
            )


def _key(folder: str) -> str:
    """The key of a folder as of this revision."""
    if not folder:
        return ""
    verbatim = _VERBATIM.match(folder)
    rest = folder[verbatim.end() :] if verbatim else folder
    if verbatim and verbatim["share"]:
        rest = f"\\\\{rest}"
    if _DRIVE.match(rest):
        return (rest[:2] + _normal("/" + _slashes(rest[2:]))).lower()
    if verbatim and not verbatim["share"]:
        return f"\\\\?{_normal('/' + _slashes(rest))}".lower()
    if rest.startswith("\\\\"):
        return f"\\\\{_normal('/' + _slashes(rest[2:]))[1:]}".lower()
    return _normal(rest)


def _slashes(path: str) -> str:
    return path.replace(ntpath.sep, "/")


def _normal(path: str) -> str:
    path = posixpath.normpath(path)
    return path[1:] if path.startswith("//") else path
