"""The journal of user data: a file that only grows, so that no reindex loses what was set."""

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Final

from rollout.files.atomic import append_lines
from rollout.files.layout import parse_uuid
from rollout.jsonl.parse import Line, parse_line
from rollout.jsonl.reader import LineReader
from state.db.location import journal_path
from state.errors import file_errors
from state.userdata.model import LATEST_MS, FolderAlias, Setting, UserValue

_VERSION: Final = 1


def setting_line(setting: Setting) -> str:
    """A setting as a line of the journal, without its newline."""
    return json.dumps({"v": _VERSION, **asdict(setting)}, ensure_ascii=False)


def parse_setting(value: object) -> Setting | None:
    """The setting in an object of the journal; None if this version knows no such setting."""
    match value:
        case {"v": version, "value": str() | None as setting, "set_at_ms": int(set_at_ms)} if (
            version == _VERSION and not isinstance(set_at_ms, bool) and abs(set_at_ms) <= LATEST_MS
        ):
            match value:
                case {"alias": str(alias)} if alias:
                    return FolderAlias(alias, setting, set_at_ms)
                case {"thread_id": str(thread_id), "key": str(key)} if (
                    parse_uuid(thread_id) == thread_id
                ):
                    return UserValue(thread_id, key, setting, set_at_ms)
    return None


def append_settings(index: Path, settings: Iterable[Setting]) -> None:
    """Append to the journal; the lines are on disk when this returns. Call this before
    :func:`state.userdata.store.put_settings`. Raises FileUnusable if it failed; a line that was
    partly written is ignored later."""
    path = journal_path(index)
    lines = "".join(f"{setting_line(setting)}\n" for setting in settings)
    with file_errors(path):
        append_lines(path, lines.encode(), 0o600)


def read_settings(index: Path) -> list[Setting]:
    """The latest setting of each subject in the journal, without lines that cannot be read. Empty
    where there is no journal. Raises FileUnusable if it exists and cannot be read."""
    latest: dict[tuple[str, str], Setting] = {}
    path = journal_path(index)
    with file_errors(path), suppress(FileNotFoundError), path.open("rb", buffering=0) as file:
        for line in LineReader().lines(file):
            setting = parse_setting(parse_line(line)) if isinstance(line, Line) else None
            if setting:
                latest[setting.subject] = setting
    return list(latest.values())
