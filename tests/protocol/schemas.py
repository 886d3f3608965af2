"""Whether a message is what the app-server protocol says, by Codex's own JSON Schemas.

``fixtures/protocol/schema.json`` is cut from the folder that
``codex app-server generate-json-schema --experimental --out FOLDER`` makes, by
``python -m tests.protocol.schemas FOLDER``: what :data:`RESULTS` and :data:`NOTIFICATIONS` name,
each definition once, without descriptions.
"""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft7Validator
from jsonschema.exceptions import best_match

from tests import FIXTURES

SCHEMA = FIXTURES / "protocol" / "schema.json"
RESULTS = {
    "initialize": "v1/InitializeResponse",
    "thread/list": "v2/ThreadListResponse",
    "thread/read": "v2/ThreadReadResponse",
    "thread/search": "v2/ThreadSearchResponse",
    "thread/search/stream": "v2/ThreadSearchResponse",
    "thread/search/cancel": "v2/ThreadSearchCancelResponse",
    "thread/search/stream/cancel": "v2/ThreadSearchCancelResponse",
    "thread/searchOccurrences": "v2/ThreadSearchOccurrencesResponse",
    "thread/realtime/list": "v2/ThreadRealtimeListResponse",
    "thread/loaded/list": "v2/ThreadLoadedListResponse",
    "thread/start": "v2/ThreadStartResponse",
    "thread/resume": "v2/ThreadResumeResponse",
    "thread/fork": "v2/ThreadForkResponse",
    "thread/name/set": "v2/ThreadSetNameResponse",
    "thread/metadata/update": "v2/ThreadMetadataUpdateResponse",
    "thread/memoryMode/set": "v2/ThreadMemoryModeSetResponse",
    "thread/archive": "v2/ThreadArchiveResponse",
    "thread/unarchive": "v2/ThreadUnarchiveResponse",
    "thread/delete": "v2/ThreadDeleteResponse",
    "thread/unsubscribe": "v2/ThreadUnsubscribeResponse",
    "thread/inject_items": "v2/ThreadInjectItemsResponse",
    "thread/turns/list": "v2/ThreadTurnsListResponse",
    "thread/items/list": "v2/ThreadItemsListResponse",
    "thread/items/read": "v2/ThreadItemsReadResponse",
}
NOTIFICATIONS = {
    "thread/started": "v2/ThreadStartedNotification",
    "thread/name/updated": "v2/ThreadNameUpdatedNotification",
    "thread/archived": "v2/ThreadArchivedNotification",
    "thread/unarchived": "v2/ThreadUnarchivedNotification",
    "thread/deleted": "v2/ThreadDeletedNotification",
    "thread/search/partial": "v2/ThreadSearchPartialNotification",
    "thread/closed": "v2/ThreadClosedNotification",
    "thread/status/changed": "v2/ThreadStatusChangedNotification",
    "thread/tokenUsage/updated": "v2/ThreadTokenUsageUpdatedNotification",
    "thread/goal/cleared": "v2/ThreadGoalClearedNotification",
    "warning": "v2/WarningNotification",
}
ENVELOPES = {
    "response": "JSONRPCResponse",
    "refusal": "JSONRPCError",
    "notification": "JSONRPCNotification",
}


class DoesNotConform(AssertionError):
    """A value is not what the protocol says."""


def conforms(kind: str, value: object) -> None:
    """Check a result or the params of a notification (``kind`` is the method), or a whole message
    (``kind`` is a key of :data:`ENVELOPES`).

    Raises:
        DoesNotConform: it says where in ``value``, and what was expected there
    """
    shape = kind, _shape(value)
    if shape in _conforming:
        return
    worst = best_match(_validator(kind).iter_errors(value))
    if worst is None:
        _conforming.add(shape)
        return
    shown = json.dumps(worst.instance, ensure_ascii=False)
    shown = shown if len(shown) <= 200 else shown[:200] + "…"
    expected = worst.message if len(worst.message) <= 400 else f"breaks {worst.validator!r}"
    raise DoesNotConform(f"{kind}: at {worst.json_path}: {expected}\n  found: {shown}")


_conforming: Final[set[tuple[str, object]]] = set()
"""What was found to be right. Most messages differ from an earlier one in nothing that a schema is
about, and to look at that one again takes longer than the answer did."""
_KEYWORDS: Final = (
    *("$ref", "allOf", "anyOf", "oneOf", "definitions", "properties", "additionalProperties"),
    *("required", "items", "type", "enum", "minimum", "minLength", "format", "default", "title"),
)
"""What :func:`_shape` leaves enough of a value for. Each ``minimum`` is 0, each ``minLength`` 1."""


def _shape(value: object) -> object:
    """What is left of a value without what no schema asks for: equal shapes are equally right."""
    if isinstance(value, dict):
        return frozenset((key, _shape(item)) for key, item in value.items())
    if isinstance(value, list):
        return "list", frozenset(map(_shape, value))
    if isinstance(value, str):
        return value if value in _named() else len(value) > 0
    if isinstance(value, bool) or value is None:
        return type(value), value
    assert isinstance(value, int | float)
    return type(value), value >= 0, value == int(value)


@cache
def _named() -> frozenset[str]:
    """The strings that the schemas name."""
    named: set[str] = set()

    def collect(schema: Any) -> None:
        assert schema.keys() <= {*_KEYWORDS}, schema
        assert schema.get("minimum", 0) == 0
        assert schema.get("minLength", 1) == 1
        named.update(each for each in schema.get("enum", []) if isinstance(each, str))
        for key in ("definitions", "properties"):
            for one in schema.get(key, {}).values():
                if one is not True:
                    collect(one)
        for key in ("allOf", "anyOf", "oneOf"):
            for one in schema.get(key, []):
                collect(one)
        for key in ("items", "additionalProperties"):
            if isinstance(schema.get(key), dict):
                collect(schema[key])

    collect({"definitions": _whole()["definitions"]})
    return frozenset(named)


def known(kind: str) -> bool:
    """Whether :func:`conforms` can check ``kind``."""
    return kind in _whole()["kinds"]


def cut(generated: Path) -> dict[str, Any]:
    """The one schema, from a folder of generated ones."""
    definitions: dict[str, Any] = {}
    kinds = {}
    for kind, name in (RESULTS | NOTIFICATIONS | ENVELOPES).items():
        one = _bare(json.loads((generated / f"{name}.json").read_text("utf-8")))
        del one["$schema"]
        title = one.pop("title")
        for key, value in {**one.pop("definitions", {}), title: one}.items():
            if definitions.setdefault(key, value) != value:
                raise ValueError(f"{name}.json has another {key} than the others")
        kinds[kind] = {"$ref": f"#/definitions/{title}"}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "kinds": kinds,
        "definitions": dict(sorted(definitions.items())),
    }


def generate(binary: str, target: Path, *options: str) -> None:
    """Let a Codex write its schemas to the folder ``target``: the stable ones, unless ``options``
    have ``--experimental``."""
    command = [binary, "app-server", "generate-json-schema", *options, "--out", str(target)]
    subprocess.run(command, check=True, capture_output=True)


def text(schema: dict[str, Any]) -> str:
    """How the fixture is written: one definition a line, so that a diff can be read."""

    def section(name: str) -> str:
        lines = [f"  {json.dumps(key)}: {json.dumps(one)}" for key, one in schema[name].items()]
        return f' "{name}": {{\n' + ",\n".join(lines) + "\n }"

    head = f' "$schema": {json.dumps(schema["$schema"])}'
    return "{\n" + ",\n".join([head, section("kinds"), section("definitions")]) + "\n}\n"


def _bare(value: Any) -> Any:
    """A schema without its descriptions; a property may still be called so."""
    if isinstance(value, dict):
        return {
            key: _bare(item)
            for key, item in value.items()
            if key != "description" or not isinstance(item, str)
        }
    return [_bare(item) for item in value] if isinstance(value, list) else value


@cache
def _whole() -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(SCHEMA.read_text("utf-8"))
    return whole


@cache
def _validator(kind: str) -> Draft7Validator:
    whole = _whole()
    if kind not in whole["kinds"]:
        raise KeyError(f"no schema for {kind}")
    return Draft7Validator({"definitions": whole["definitions"], "allOf": [whole["kinds"][kind]]})


if __name__ == "__main__":
    SCHEMA.write_text(text(cut(Path(sys.argv[1]))), "utf-8")
