"""Where threadkeep's app-server answers otherwise than a Codex, on the same home."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from rollout.schema.session_source import SOURCE_KINDS
from tests.codex.client import AppServer, Refused
from tests.codex.facts.shapes import type_of
from tests.protocol.compare import ABSENT, Difference

_ALL: Final = {"modelProviders": [], "sourceKinds": [*SOURCE_KINDS]}
_TERMS: Final = (
    "the answer of the model",
    "a better idea",
    "help",
    "Heads up",
    "red one",
    "words that nobody said",
)

_WIDTH: Final = 60
_IN_PATH = re.compile(r"\[=([^]]*)\]")

Answers = dict[tuple[str, str], Any]
"""What a server answered: by method and by the name of the question."""


def ask(server: AppServer, threads: Mapping[str, str]) -> Answers:
    """All answers of a server about the threads of a home; ``threads`` has names for their ids.

    Raises:
        NoAnswer: the server has ended, or took too long
    """
    answers: Answers = {}

    def note(method: str, question: str, give: Callable[[], Any]) -> None:
        try:
            answers[method, question] = {"result": give()}
        except Refused as refused:
            answers[method, question] = {"error": refused.error["code"]}

    def pages(method: str, question: str, **params: Any) -> None:
        note(method, question, lambda: {"data": server.pages(method, **params)})

    pages("thread/list", "by default")
    for key in ("created_at", "updated_at", "recency_at"):
        for direction in ("asc", "desc"):
            sorting = {"sortKey": key, "sortDirection": direction}
            pages("thread/list", f"by {key}, {direction}", **_ALL, **sorting)
    pages("thread/list", "archived", **_ALL, archived=True)
    pages("thread/list", "with a term", **_ALL, searchTerm="name")
    for term in _TERMS:
        pages("thread/search", f"for {term!r}", searchTerm=term, sourceKinds=[*SOURCE_KINDS])
    for id_, name in threads.items():
        one = {"threadId": id_}
        read = partial(server.call, "thread/read", **one, includeTurns=True)
        note("thread/read", name, read)
        for view in ("summary", "full"):
            for direction in ("asc", "desc"):
                how = {"itemsView": view, "sortDirection": direction}
                pages("thread/turns/list", f"{name}, {view}, {direction}", **one, **how)
        pages("thread/items/list", name, **one, sortDirection="asc")
        pages("thread/searchOccurrences", name, **one, searchTerm="the answer")
        pages("thread/list", f"children of {name}", parentThreadId=id_, modelProviders=[])
    return answers


def unknown_methods(server: AppServer, methods: Iterable[str]) -> list[str]:
    """The methods that threadkeep's server has never heard of; others that it does not serve, it
    says to be unsupported.

    Raises:
        NoAnswer: the server has ended, or took too long
    """
    answers = {method: server.ask(method) for method in sorted(methods)}
    return [
        method
        for method, answer in answers.items()
        if answer.get("error", {}).get("data", {}).get("kind") == "unknown_method"
    ]


def differences(
    expected: Answers, found: Answers, threads: Mapping[str, str]
) -> Iterator[Difference]:
    """What differs: ``expected`` is what Codex answered. The step of a difference is the name of
    the question and, behind a colon, that of the thread in its answer."""
    for (method, question), one in expected.items():
        other = found[method, question]
        if one.keys() != other.keys():
            yield Difference(method, question, "outcome", "", _short(one), _short(other))
            continue
        key = next(iter(one))
        kind = "result" if key == "result" else "code"
        for path, left, right in unequal(one[key], other[key], key):
            ids = [id_ for id_ in _IN_PATH.findall(path) if id_ in threads]
            step = ": ".join([question, *(threads[id_] for id_ in ids)])
            yield Difference(method, step, kind, _IN_PATH.sub("[]", path), left, right)


def _short(answer: Mapping[str, Any]) -> Any:
    return answer if "error" in answer else {"result": "…"}


def unequal(one: Any, other: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Where two values differ: path, the one, the other. In lists, things that have ids are
    compared by these, and the path names their types, or else their ids: ``items[agentMessage]``,
    ``data[=<id>]``."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in [*one, *(key for key in other if key not in one)]:
            tag = type_of(one.get(key)) if key == "item" else ""
            inner = f"{path}.{key}{tag}"
            yield from unequal(one.get(key, ABSENT), other.get(key, ABSENT), inner)
    elif isinstance(one, list) and isinstance(other, list):
        yield from _unequal_lists(one, other, path)
    elif one != other or isinstance(one, bool) != isinstance(other, bool):
        yield path, one, other


def _unequal_lists(
    one: Sequence[Any], other: Sequence[Any], path: str
) -> Iterator[tuple[str, Any, Any]]:
    here, there = _by_id(one), _by_id(other)
    if here is None or there is None:
        if len(one) != len(other):
            yield f"{path}.length", len(one), len(other)
            return
        pairs = [("", *pair) for pair in zip(one, other, strict=True)]
    else:
        if len(one) - len(here) != len(other) - len(there):
            yield f"{path}.repeated", len(one) - len(here), len(other) - len(there)
        for id_ in [*here, *(id_ for id_ in there if id_ not in here)]:
            if id_ not in here or id_ not in there:
                left, right = here.get(id_, ABSENT), there.get(id_, ABSENT)
                label = _label(right if left == ABSENT else left, id_)
                yield f"{path}{label}", left, right
        both = [id_ for id_ in here if id_ in there]
        if both != (its := [id_ for id_ in there if id_ in here]):
            yield f"{path}.order", both, its
        pairs = [(id_, here[id_], there[id_]) for id_ in both]
    for id_, left, right in pairs:
        if type_of(left) != type_of(right):
            yield f"{path}[].type", type_of(left), type_of(right)
        else:
            yield from unequal(left, right, path + (type_of(left) or f"[={id_}]"))


def _label(item: Any, id_: str) -> str:
    """How an item of a list that is missing in the other one stands in a path."""
    inner = type_of(item.get("item")) if isinstance(item, dict) else ""
    return type_of(item) or f"[={id_}]" + (f".item{inner}" if inner else "")


def _by_id(items: Sequence[Any]) -> dict[str, Any] | None:
    """The items by their ids, the first one of each; None if some have none."""
    found: dict[str, Any] = {}
    for item in items:
        if not isinstance(item, dict):
            return None
        inner = next((item[key] for key in ("item", "thread") if key in item), item)
        if not isinstance(inner, dict) or not isinstance(inner.get("id"), str):
            return None
        found.setdefault(inner["id"], item)
    return found


def worded(unequal: Iterable[Difference]) -> list[str]:
    """Differences for people, those at one place of threads or turns in one line."""
    places: dict[tuple[str, str], list[Difference]] = {}
    for one in unequal:
        places.setdefault((_place(one), one.kind), []).append(one)
    told = []
    for (place, _), some in places.items():
        methods = Counter(one.method for one in some)
        where = ", ".join(f"{count} in {method}" for method, count in methods.items())
        first = some[0]
        pair = f"Codex {_cut(first.expected)}, threadkeep {_cut(first.found)}"
        told.append(f"{place}: {where}; {first.step}: {pair}")
    return told


_PLACES: Final = (
    ("thread/(?:read|list|search)", r"result\.thread\.turns\[\]", "turn"),
    ("thread/turns/list", r"result\.data\[\]", "turn"),
    ("thread/items/list", r"result\.data\[\]\.item", "turn.items"),
    ("thread/read", r"result\.thread", "thread"),
    ("thread/list", r"result\.data\[\]", "thread"),
    ("thread/search", r"result\.data\[\]\.thread", "thread"),
)
"""Where the methods have what."""


def _place(one: Difference) -> str:
    for method, path, name in _PLACES:
        if re.fullmatch(method, one.method) and (found := re.match(path, one.path)):
            return name + one.path[found.end() :]
    return f"{one.method} {one.path or one.kind}"


def _cut(value: Any) -> str:
    shown = value if value == ABSENT else json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= _WIDTH else shown[:_WIDTH] + "…"
