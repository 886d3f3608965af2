"""The facts of a Codex: what its rollouts, homes, databases and protocol hold."""

import io
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import zstandard

from tests.codex.facts.shapes import Facts, add, empty, settled

_ROLLOUTS: Final = ("sessions/**/rollout-*", "archived_sessions/**/rollout-*")
_VARYING: Final = (
    (re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<id>"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d[\d:.-]*\d"), "<time>"),
    (re.compile(r"\d{4}/\d\d/\d\d/"), "<date>/"),
    (re.compile(r"\d{3,}"), "<number>"),
)
_OTHERS: Final = re.compile(
    r"config\.toml|skills/.*|tmp/.*|shell_snapshots/.*|\.sqlite-maintenance\.lock|.*-(?:wal|shm)"
)
"""Files of which the names tell nothing: ours, bundled ones, and those that come and go."""
_HEAD: Final = re.compile(r"^CREATE (UNIQUE )?(?:INDEX \S+ ON \w+ ?|TRIGGER \S+ )", re.I)
_CONSTRAINTS: Final = re.compile(r"(?:CONSTRAINT|PRIMARY KEY|FOREIGN KEY|UNIQUE|CHECK)\b.*", re.I)


def of_rollouts(home: Path) -> Facts:
    """The kinds of lines in the rollouts of a home, and their fields."""
    facts = empty()
    for path in rollout_files(home):
        for line in _lines(path):
            add(facts, _kind(line), line)
    return settled(facts)


def rollout_files(home: Path) -> list[Path]:
    """The rollouts of a home."""
    return [path for pattern in _ROLLOUTS for path in sorted(home.glob(pattern))]


def _lines(path: Path) -> Iterator[Any]:
    data = path.read_bytes()
    if path.suffix == ".zst":
        with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)) as reader:
            data = reader.read()
    for line in data.splitlines():
        try:
            yield json.loads(line)
        except ValueError:  # Codex was killed when it wrote it
            yield {"type": "(no JSON)"}


def _kind(line: Any) -> str:
    """What kind of line: ``event_msg/item_completed/Extension/clock.sleep``."""
    payload = line.get("payload")
    names = [line["type"]]
    if isinstance(payload, dict):
        names += [payload.get("type"), payload.get("role")]
        if isinstance(item := payload.get("item"), dict):
            names += [item.get("type"), item.get("kind")]
    return "/".join(name for name in names if isinstance(name, str))


def of_files(home: Path) -> Facts:
    """How the files of a home are called."""
    names = (str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())
    facts = empty()
    for name in names:
        if not _OTHERS.fullmatch(name):
            for pattern, instead in _VARYING:
                name = pattern.sub(instead, name)
            facts[name][""].add("file")
    return facts


def of_databases(home: Path) -> Facts:
    """The tables, indexes, triggers and migrations of a home's databases."""
    facts = empty()
    for path in sorted(home.rglob("*.sqlite")):
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            for subject, part, definition in _schema(connection):
                facts[f"{path.name} {subject}"][part].add(definition)
    return facts


def _schema(connection: sqlite3.Connection) -> Iterator[tuple[str, str, str]]:
    found = connection.execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL"
        " AND name NOT LIKE 'sqlite_%'"
    ).fetchall()
    for kind, name, table, sql in found:
        if name == "_sqlx_migrations":
            rows = "SELECT version, description FROM _sqlx_migrations"
            for version, description in connection.execute(rows):
                yield "migrations", str(version), description
        elif kind == "table":
            for part, definition in _parts(sql):
                yield f"table {name}", part, definition
        else:
            yield f"{kind} {name}", f"on {table}", _HEAD.sub(r"\1", " ".join(sql.split()))


def _parts(sql: str) -> Iterator[tuple[str, str]]:
    """The columns and constraints of a table: name and definition of each."""
    sql = " ".join(re.sub(r"--[^\n]*", "", sql).split())
    inside = sql[sql.find("(") + 1 : sql.rfind(")")] if "(" in sql else sql
    depth, quote, start = 0, "", 0
    for at, letter in enumerate([*inside, ","]):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"`":
            quote = letter
        elif letter == "," and not depth:
            part = inside[start:at].strip()
            name, _, definition = part.partition(" ")
            if _CONSTRAINTS.fullmatch(part):
                name, definition = "(constraint)", part
            yield name.strip('"`'), definition
            start = at + 1
        else:
            depth += {"(": 1, ")": -1}.get(letter, 0)


def of_protocol(stable: Path, experimental: Path) -> Facts:
    """The types of the app-server protocol, from two folders of generated JSON Schemas."""
    settled_on, facts = _types(stable), _types(experimental)
    for subject, paths in facts.items():
        for path, words in paths.items():
            if path not in settled_on.get(subject, {}):
                words.add("experimental")
    return facts


def _types(folder: Path) -> Facts:
    whole = json.loads((folder / "codex_app_server_protocol.schemas.json").read_text("utf-8"))
    definitions = whole["definitions"]
    facts = empty()
    for name, schema in {**definitions, **definitions["v2"]}.items():
        if name != "v2":
            _describe(facts, name, "", schema)
    return {
        subject: {path: words for path, words in paths.items() if words}
        for subject, paths in facts.items()
    }


def _describe(facts: Facts, subject: str, path: str, schema: Any) -> None:
    """Note what may stand at ``path`` of a type."""
    if not isinstance(schema, dict):  # true: anything
        facts[subject][path].add("anything")
        return
    words = facts[subject][path]
    if "$ref" in schema:
        words.add(schema["$ref"].rpartition("/")[2])
    for value in schema.get("enum", ()):
        words.add(f"'{value}'" if isinstance(value, str) else json.dumps(value))
    kinds = schema.get("type", ())
    for kind in [kinds] if isinstance(kinds, str) else kinds:
        if kind == "null" or not {"enum", "items", "properties"} & schema.keys():
            words.add(kind)
    for union in ("oneOf", "anyOf", "allOf"):
        for one in schema.get(union, ()):
            tag = _tag(one)
            if tag and not path:
                facts[f"{subject}[{tag}]"][""].add("object")
                _describe(facts, f"{subject}[{tag}]", "", one)
            else:
                _describe(facts, subject, f"{path}[{tag}]" if tag else path, one)
    inner = schema.get("items", ())
    for one in inner if isinstance(inner, list) else [inner] if inner != () else []:
        _describe(facts, subject, f"{path}[]", one)
    if isinstance(rest := schema.get("additionalProperties"), dict):
        _describe(facts, subject, _join(path, "*"), rest)
    for key, one in schema.get("properties", {}).items():
        if _is_told(subject, key, one):
            continue
        _describe(facts, subject, _join(path, key), one)
        if key in schema.get("required", ()):
            facts[subject][_join(path, key)].add("required")


def _is_told(subject: str, key: str, schema: Any) -> bool:
    """Whether the name of a variant tells all of one of its fields; the id of a request says as
    much of each."""
    values: Any = schema.get("enum", ()) if isinstance(schema, dict) else ()
    told = len(values) == 1 and subject.endswith(f"[{values[0]}]")
    return told or (key == "id" and subject.startswith(("ClientRequest[", "ServerRequest[")))


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _tag(schema: Any) -> str | None:
    """What tells one variant of a type from the others."""
    for key in ("method", "type", "mode", "kind", "status"):
        values = schema.get("properties", {}).get(key, {}).get("enum", ())
        if len(values) == 1:
            return str(values[0])
    return None
