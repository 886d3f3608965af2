"""The differences between Codex's app-server and ours that are meant to be there.

Each is told in docs/differences.md, under the words of its :attr:`Known.told`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.codex.codex_app import RECORDED
from tests.protocol.compare import ABSENT, Difference, report

Matcher = Callable[[Any], bool]


def _anything(_: Any) -> bool:
    return True


def _is(*values: Any) -> Matcher:
    return lambda found: any(found == value and type(found) is type(value) for value in values)


def _error(code: int, words: str) -> Matcher:
    def matches(said: Any) -> bool:
        if not isinstance(said, dict) or not isinstance(said.get("error"), dict):
            return False
        return said["error"]["code"] == code and words in said["error"]["message"]

    return matches


def _result(said: Any) -> bool:
    return isinstance(said, dict) and isinstance(said.get("result"), dict)


def _text(pattern: str) -> Matcher:
    return lambda found: isinstance(found, str) and bool(re.fullmatch(pattern, found))


def _number(found: Any) -> bool:
    return isinstance(found, int) and not isinstance(found, bool)


def _names(*methods: str) -> Matcher:
    return _is(list(methods))


@dataclass(frozen=True)
class Known:
    """A class of differences. ``method``, ``path`` and ``steps`` are patterns of the whole text;
    in a path the numbers of items count as ``[]``."""

    told: str
    """What docs/differences.md says of it, in the first column."""
    method: str
    kind: str
    path: str = ""
    expected: Matcher = field(default=_anything)
    found: Matcher = field(default=_anything)
    steps: str = ".*"

    def matches(self, one: Difference) -> bool:
        """Whether ``one`` is of this class."""
        path = re.sub(r"\[\d+\]", "[]", one.path)
        return (
            re.fullmatch(self.method, one.method) is not None
            and one.kind == self.kind
            and re.fullmatch(self.path, path) is not None
            and re.fullmatch(self.steps, one.step) is not None
            and self.expected(one.expected)
            and self.found(one.found)
        )

    def __str__(self) -> str:
        return f"{self.told}: {self.method} {self.kind} {self.path} in {self.steps}"


_ID: Final = r"[0-9a-f-]{36}|<[a-z0-9 ]+>"
_LIST: Final = "thread/list"
_THREAD: Final = r"(?:result|thread/started\.params)\.thread\."
_OF_A_THREAD: Final = r"result\.data\[\]\."
_BEGINS: Final = "thread/(?:start|resume|fork)"
_MADE_HERE: Final = ".*(?:new|bare|ephemeral|deaf).*"
_NOW: Final = _is("<now>")
_NULL: Final = _is(None)

KNOWN: Final = (
    # Messages
    Known(
        "lines that are no message",
        r"\(line\)",
        "outcome",
        expected=_is({"nothing": None}),
        found=lambda said: (
            _error(-32700, "Parse error: ")(said) or _error(-32600, "Invalid request: ")(said)
        ),
    ),
    Known(
        "the list of methods in a refusal",
        "thread/nothing",
        "message",
        r"error\.message",
        _text("Invalid request: unknown variant `thread/nothing`, expected one of `initialize`.*"),
        _text("Invalid request: unknown variant `thread/nothing`, expected one of `initialize`.*"),
    ),
    # What we do not know of threads
    Known(
        "`readStates`, `readState`",
        _LIST,
        "result",
        r"result\.readStates",
        lambda found: isinstance(found, dict),
        _NULL,
    ),
    Known(
        "`readStates`, `readState`",
        "thread/read",
        "result",
        r"result\.readState",
        lambda found: isinstance(found, dict) and found["firstUnread"] is None,
        _NULL,
    ),
    Known(
        "`environments`, `canAcceptDirectInput`",
        r"thread/.*",
        "result",
        r"result\.thread\.environments",
        lambda found: isinstance(found, list),
        _NULL,
    ),
    Known(
        "`environments`, `canAcceptDirectInput`",
        _BEGINS,
        "params",
        r"thread/started\.params\.thread\.environments",
        lambda found: isinstance(found, list),
        _NULL,
    ),
    Known(
        "`environments`, `canAcceptDirectInput`",
        r"thread/.*",
        "result",
        r"result\.thread\.canAcceptDirectInput",
        _is(True),
        _NULL,
    ),
    Known(
        "`environments`, `canAcceptDirectInput`",
        _BEGINS,
        "params",
        r"thread/started\.params\.thread\.canAcceptDirectInput",
        _is(True),
        _NULL,
    ),
    Known(
        "`daybreakEnabled`",
        "thread/.*",
        "result",
        r"result\.thread\.daybreakEnabled",
        _is(True),
        _NULL,
        "(?:legacy|paginated|compressed|ephemeral).*",
    ),
    Known(
        "`daybreakEnabled`",
        "thread/fork",
        "params",
        r"thread/started\.params\.thread\.daybreakEnabled",
        _is(True),
        _NULL,
    ),
    Known(
        "`daybreakEnabled`",
        "thread/metadata/update",
        "outcome",
        expected=_result,
        found=_error(-32601, "daybreakEnabled is not supported"),
        steps=".*: metadata daybreak",
    ),
    # What a model is told
    *(
        Known(
            "`model` before a turn",
            method,
            kind,
            path,
            _is("gpt-5-codex", "m"),
            _is(None, ""),
            _MADE_HERE,
        )
        for method, kind, path in (
            ("thread/.*", "result", r"result\.thread\.model"),
            (_BEGINS, "params", r"thread/started\.params\.thread\.model"),
            (_BEGINS, "result", r"result\.model"),
        )
    ),
    Known(
        "`activePermissionProfile`, `collaborationMode`",
        _BEGINS,
        "result",
        r"result\.activePermissionProfile",
        _is({"id": ":read-only", "extends": None}),
        _NULL,
    ),
    Known(
        "`activePermissionProfile`, `collaborationMode`",
        "thread/resume",
        "result",
        r"result\.collaborationMode",
        lambda found: isinstance(found, dict),
        _is(ABSENT),
    ),
    Known(
        "`modelProvider`",
        _BEGINS,
        "outcome",
        expected=_error(-32600, "rovider"),
        found=_result,
        steps="thread/(?:start|resume of legacy) with modelProvider=nobody",
    ),
    Known(
        "`modelProvider`",
        _BEGINS,
        "notifications",
        expected=_names(),
        found=_is(["thread/started"], ["thread/status/changed"]),
        steps="thread/(?:start|resume of legacy) with modelProvider=nobody",
    ),
    Known(
        "`cliVersion`",
        "thread/.*",
        "result",
        r"result\.thread\.cliVersion",
        _is(RECORDED),
        lambda found: found != RECORDED,
        _MADE_HERE + "|.*(?:fork|unarchive).*",
    ),
    Known(
        "`cliVersion`",
        _BEGINS,
        "params",
        r"thread/started\.params\.thread\.cliVersion",
        _is(RECORDED),
        lambda found: found != RECORDED,
        _MADE_HERE + "|.*fork.*",
    ),
    # Turns
    *(
        Known(
            "a paginated thread that this home never loaded",
            "thread/(?:read|turns/list|items/list)",
            "result",
            path,
            expected,
            found,
            "read (?:compressed|archived|fork) with turns|thread/(?:turns|items)/list of archived",
        )
        for path, expected, found in (
            (r"result\.(?:thread\.turns|data)\.length", _is(0), _number),
            (r"result\.backwardsCursor", _NULL, _text(r"\{.*\}")),
        )
    ),
    Known(
        "`thread/tokenUsage/updated`, `thread/goal/cleared`",
        "thread/(?:resume|fork)",
        "notifications",
        expected=lambda found: (
            "thread/goal/cleared" in found or "thread/tokenUsage/updated" in found
        ),
        found=_is([], ["thread/status/changed"], ["thread/started"]),
    ),
    # Lists
    Known(
        "`complete`",
        f"{_LIST}|thread/search/stream",
        "result",
        r"result\.complete",
        _is(ABSENT),
        _is(True, False),
    ),
    Known(
        "cursors",
        _LIST,
        "result",
        r"result\.(?:next|backwards)Cursor",
        lambda found: found is None or _text(r"\d{4}-[^|]*Z(?:\|[0-9a-f-]{36})?")(found),
        _text(r"[A-Za-z0-9_-]{40,}"),
    ),
    Known(
        "`created_at` order",
        _LIST,
        "result",
        r"result\.data\.length",
        _is(0),
        _is(1),
        "scan: back",
    ),
    Known(
        "title search",
        _LIST,
        "result",
        r"result\.data\.length",
        _is(0),
        _is(1),
        "list: a term",
    ),
    Known(
        "`recency_at`",
        ".*",
        "result",
        r"result\.(?:thread|data\[\])\.recencyAt",
        _number,
        _number,
    ),
    Known("`recency_at`", _LIST, "result", _OF_A_THREAD + ".*", steps="list: by recency"),
    *(
        Known(
            "a legacy thread whose prompts are only response items",
            ".*",
            kind,
            _THREAD + "preview",
            _is(""),
            _is("an item from outside"),
        )
        for kind in ("result", "params")
    ),
    Known(
        "files of 0.8 to 0.29 (no envelope)",
        _LIST,
        "result",
        _OF_A_THREAD + ".*",
        steps="list: oldest first",
    ),
    Known(
        "a thread with no prompt but an agent's message or an attachment",
        _LIST,
        "result",
        _OF_A_THREAD + ".*",
        steps="list: spawned",
    ),
    Known(
        "a thread with no prompt but an agent's message or an attachment",
        "thread/(?:list|read)",
        "result",
        rf"(?:{_OF_A_THREAD}|result\.thread\.)preview",
        _is(""),
        _text("Reply 347 .*"),
        "list: (?:children|descendants)|read spawned",
    ),
    Known(
        "a thread that has a name and no prompt",
        _LIST,
        "result",
        _OF_A_THREAD + ".*",
        steps="new (?:legacy|paginated): list after changes",
    ),
    Known(
        "`forkedFromId`, `parentThreadId`, `threadSource`, `sessionId` in lists",
        _LIST,
        "result",
        _OF_A_THREAD + "forkedFromId",
        _NULL,
        _text(_ID),
    ),
    Known(
        "`forkedFromId`, `parentThreadId`, `threadSource`, `sessionId` in lists",
        _LIST,
        "result",
        _OF_A_THREAD + "threadSource",
        _NULL,
        _is("user", "subagent"),
    ),
    Known(
        "`forkedFromId`, `parentThreadId`, `threadSource`, `sessionId` in lists",
        "thread/(?:list|read)",
        "result",
        rf"(?:{_OF_A_THREAD}|result\.thread\.)sessionId",
        _text(_ID),
        _text(_ID),
        "list: (?:children|descendants)|read spawned",
    ),
    # Rows
    Known(
        "names of paginated threads",
        "thread/(?:read|resume)",
        "result",
        r"result\.thread\.name",
        _NULL,
        _text("Named once: .*"),
        "(?:read|read resumed|resume) paginated(?: with turns)?",
    ),
    Known(
        "names of paginated threads",
        _LIST,
        "result",
        _OF_A_THREAD + "name",
        _NULL,
        _text("Named once: .*"),
        "list: (?:one of )?two by (?:their|its) ids?",
    ),
    Known(
        "`updatedAt`",
        "thread/(?:read|resume|metadata/update|unarchive)",
        "result",
        r"result\.thread\.updatedAt",
        _number,
        _NOW,
        "(?:(?:read resumed|resume) )?(?:legacy|paginated|compressed|archived|spawn).*"
        "|resume with turns.*",
    ),
    Known(
        "`updatedAt`",
        "thread/(?:read|resume)",
        "result",
        r"result\.thread\.updatedAt",
        _is(1794883638),
        _is(1794884405),
        "two legacy: .*",
    ),
    Known(
        "resuming a legacy thread",
        "thread/resume",
        "result",
        r"result\.thread\.name",
        _NULL,
        _is("named"),
        "new legacy: resume",
    ),
    Known(
        "resuming a legacy thread",
        "thread/resume",
        "result",
        r"result\.thread\.gitInfo",
        lambda found: isinstance(found, dict),
        _NULL,
        "legacy: resume.*",
    ),
    # Forks
    Known(
        "`preview` of a paginated fork",
        "thread/(?:fork|read)",
        "result",
        r"result\.thread\.preview",
        _text(".+"),
        _is(""),
        ".*fork.*",
    ),
    Known(
        "`preview` of a paginated fork",
        "thread/fork",
        "params",
        r"thread/started\.params\.thread\.preview",
        _text(".+"),
        _is(""),
    ),
    *(
        Known(
            "name of a paginated fork without one",
            "thread/(?:fork|read)",
            kind,
            _THREAD + "name",
            _NULL,
            _text("Why does the import .*|Summarize open TODOs .*"),
            "two paginated: .*|fork with turns|read the fork",
        )
        for kind in ("result", "params")
    ),
    # A refused deletion
    Known(
        "a deletion that is refused",
        "thread/delete",
        "notifications",
        expected=_names("thread/status/changed"),
        found=_names(),
        steps="new paginated: delete with a fork",
    ),
    Known(
        "a deletion that is refused",
        "thread/archive",
        "notifications",
        expected=_names("thread/archived"),
        found=_names("thread/status/changed", "thread/archived"),
        steps="new paginated: archive",
    ),
    Known(
        "a deletion that is refused",
        "thread/loaded/list",
        "result",
        r"result\.data(?:\[\]|\.length)",
        steps="new paginated: loaded after refusal",
    ),
)


def unknown(told: Mapping[str, Iterable[Difference]]) -> str:
    """The differences that are of no known class, for people."""
    left: dict[str, list[Difference]] = {}
    for method, some in told.items():
        if rest := [one for one in some if not any(known.matches(one) for known in KNOWN)]:
            left[method] = rest
    return report(left, limit=100)


def unseen(told: Mapping[str, Iterable[Difference]]) -> list[str]:
    """The known classes of which there is no difference any more."""
    every = [one for some in told.values() for one in some]
    return [str(known) for known in KNOWN if not any(map(known.matches, every))]
