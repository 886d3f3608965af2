"""How what one server said differs from what another one said."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.protocol.dialogue import OF_THE_MACHINE, Exchange

ABSENT = "(absent)"
# Notifications of things that are no part of a thread store
FOREIGN = OF_THE_MACHINE | {"warning", "deprecationNotice"}
_CUT = 160


@dataclass(frozen=True)
class Difference:
    """At ``path`` of one exchange one server said ``expected`` and the other one ``found``.

    ``kind`` is ``outcome`` (one refused, one did not, or was silent), ``code``, ``message``,
    ``result``, ``notifications`` (which ones, in which order), ``params`` (of a notification) or
    ``moment`` (before the answer, or after it).
    """

    method: str
    step: str
    kind: str
    path: str
    expected: Any
    found: Any

    def __str__(self) -> str:
        expected, found = _cut(self.expected), _cut(self.found)
        return f"{self.step}: {self.kind} {self.path}: expected {expected}, found {found}"


def differences(
    expected: Sequence[Exchange],
    found: Sequence[Exchange],
    *,
    foreign: frozenset[str] = FOREIGN,
    ignored: frozenset[str] = frozenset(),
) -> dict[str, list[Difference]]:
    """What differs, by method; the exchanges are told apart by the names of their steps.

    Two placeholders of times, or two of unnamed ids, count as equal, and a notification that is
    said twice in a row counts once: Codex does that now and then. ``foreign`` are notifications
    that do not count. ``ignored`` are paths that may differ, without the numbers of items:
    ``result.thread.cliVersion``, ``result.data[].model``.
    """
    told: dict[str, list[Difference]] = {}
    others = {one["step"]: one for one in found}
    for one in expected:
        for difference in _of_exchange(one, others.get(one["step"]), foreign):
            if _general(difference.path) not in ignored:
                told.setdefault(difference.method, []).append(difference)
    return told


def report(told: Mapping[str, Sequence[Difference]], limit: int = 20) -> str:
    """The differences for people, at most ``limit`` a method."""
    lines = []
    for method, some in sorted(told.items()):
        lines.append(f"{method}: {len(some)}")
        lines += [f"  {one}" for one in some[:limit]]
        if len(some) > limit:
            lines.append(f"  … and {len(some) - limit} more")
    return "\n".join(lines)


def _of_exchange(
    one: Exchange, other: Exchange | None, foreign: frozenset[str]
) -> Iterator[Difference]:
    method = one.get("method") or ("(end)" if "exit" in one else "(line)")

    def differ(kind: str, path: str, expected: Any, found: Any) -> Difference:
        return Difference(method, one["step"], kind, path, expected, found)

    if other is None:
        yield differ("outcome", "", _outcome(one), "no such step")
        return
    if _outcome(one) != _outcome(other):
        yield differ("outcome", "", _said(one), _said(other))
    elif "error" in one:
        for kind in ("code", "message"):
            if one["error"][kind] != other["error"][kind]:
                yield differ(kind, f"error.{kind}", one["error"][kind], other["error"][kind])
    elif "exit" in one:
        if one["exit"] != other["exit"]:
            yield differ("outcome", "exit", one["exit"], other["exit"])
    else:
        for path, left, right in unequal(one.get("result"), other.get("result"), "result"):
            yield differ("result", path, left, right)
    if one.get("id") != other.get("id"):
        yield differ("outcome", "id", one.get("id"), other.get("id"))
    here, there = _heard(one, foreign), _heard(other, foreign)
    if [said["method"] for _, said in here] != [said["method"] for _, said in there]:
        yield differ(
            "notifications",
            "",
            [said["method"] for _, said in here],
            [said["method"] for _, said in there],
        )
        return
    for (moment, said), (its_moment, its) in zip(here, there, strict=True):
        for path, left, right in unequal(said, its, said["method"]):
            yield differ("params", path, left, right)
        if moment != its_moment:
            yield differ("moment", said["method"], moment, its_moment)


def unequal(one: Any, other: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Where two values differ: path, the one, the other."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in [*one, *(key for key in other if key not in one)]:
            yield from unequal(one.get(key, ABSENT), other.get(key, ABSENT), f"{path}.{key}")
    elif isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            yield f"{path}.length", len(one), len(other)
        for number, (left, right) in enumerate(zip(one, other, strict=False)):
            yield from unequal(left, right, f"{path}[{number}]")
    elif one != other or isinstance(one, bool) != isinstance(other, bool):
        yield path, one, other


def _heard(one: Exchange, foreign: frozenset[str]) -> list[tuple[str, Any]]:
    heard: list[tuple[str, Any]] = []
    for moment in ("before", "after"):
        for said in one.get(moment, []):
            again = bool(heard) and heard[-1][1] == said
            if said["method"] not in foreign and not again:
                heard.append((moment, said))
    return heard


def _outcome(one: Exchange) -> str:
    return next((key for key in ("result", "error", "silence", "exit") if key in one), "nothing")


def _said(one: Exchange) -> Any:
    return {_outcome(one): one.get(_outcome(one))}


def _general(path: str) -> str:
    head, *rest = path.split("[")
    return head + "".join("[]" + part.partition("]")[2] for part in rest)


def _cut(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= _CUT else shown[:_CUT] + "…"
