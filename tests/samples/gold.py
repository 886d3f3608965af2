"""The recorded answers of the real Codex 0.169.0 on the corpus home."""

import hashlib
import json
from functools import cache
from typing import Any

from tests import FIXTURES

GOLD = FIXTURES / "corpus" / "gold"
GOLD_HOME = "/home/dev/.codex"
_LONGEST = 4096


@cache
def _entries() -> dict[str, Any]:
    entries: dict[str, Any] = json.loads((GOLD / "entries.json").read_text("utf-8"))
    return entries


def gold(name: str) -> Any:
    """One recorded answer, with the thread objects that lists share put back in."""
    return _expanded(json.loads((GOLD / name).read_text("utf-8")))


def _expanded(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"@entry"}:
            return _entries()[value["@entry"]]
        return {key: _expanded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_expanded(item) for item in value]
    return value


def same_text(recorded: object, ours: object) -> bool:
    """Whether two values are equal, where the gold holds long texts as hash and head only and
    we keep the first 4,096 characters."""
    if isinstance(recorded, str) and isinstance(ours, str) and recorded.startswith("@@long "):
        head = recorded.partition(" head=")[2]
        digest = recorded.partition("sha256=")[2].partition(" ")[0]
        whole = hashlib.sha256(ours.encode()).hexdigest() == digest
        return whole or (len(ours) == _LONGEST and ours.startswith(head))
    return recorded == ours


def list_names() -> list[str]:
    """The recorded ``thread/list`` conversations."""
    return sorted(path.name for path in GOLD.glob("list_*.json"))


def exchanges(name: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """(params, response) of each page of a recorded list."""
    recorded = gold(name)
    pages = recorded.get("pages", [recorded])
    return [(page["request"]["params"], page["response"]) for page in pages]
