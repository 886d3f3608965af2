"""The differences between Codex's app-server and ours that are meant to be there.

Each is told in docs/differences.md, under the words of its :attr:`Known.told`.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from tests.codex.codex_app import RECORDED
from tests.protocol.compare import ABSENT, Difference, report
from tests.protocol.known_class import (
    BEGINS,
    LIST,
    MADE_HERE,
    NULL,
    THREAD,
    Known,
    error,
    is_methods,
    is_number,
    is_one_of,
    is_result,
    text,
)
from tests.protocol.known_lists import LISTS

KNOWN: Final = (
    # Messages
    Known(
        "lines that are not messages",
        r"\(line\)",
        "outcome",
        expected=is_one_of({"nothing": None}),
        found=lambda said: (
            error(-32700, "Parse error: ")(said) or error(-32600, "Invalid request: ")(said)
        ),
    ),
    Known(
        "the list of methods in a refusal",
        "thread/nothing",
        "message",
        r"error\.message",
        text("Invalid request: unknown variant `thread/nothing`, expected one of `initialize`.*"),
        text("Invalid request: unknown variant `thread/nothing`, expected one of `initialize`.*"),
    ),
    # What we do not know of threads
    Known(
        "`readStates`, `readState`",
        LIST,
        "result",
        r"result\.readStates",
        lambda found: isinstance(found, dict),
        NULL,
    ),
    Known(
        "`readStates`, `readState`",
        "thread/read",
        "result",
        r"result\.readState",
        lambda found: isinstance(found, dict) and found["firstUnread"] is None,
        NULL,
    ),
    Known(
        "`environments`, `canAcceptDirectInput`",
        r"thread/.*",
        "result",
        r"result\.thread\.environments",
        lambda found: isinstance(found, list),
        NULL,
    ),
    Known(
        "`environments`, `canAcceptDirectInput`",
        BEGINS,
        "params",
        r"thread/started\.params\.thread\.environments",
        lambda found: isinstance(found, list),
        NULL,
    ),
    Known(
        "`environments`, `canAcceptDirectInput`",
        r"thread/.*",
        "result",
        r"result\.thread\.canAcceptDirectInput",
        is_one_of(True),
        NULL,
    ),
    Known(
        "`environments`, `canAcceptDirectInput`",
        BEGINS,
        "params",
        r"thread/started\.params\.thread\.canAcceptDirectInput",
        is_one_of(True),
        NULL,
    ),
    Known(
        "`daybreakEnabled`",
        "thread/.*",
        "result",
        r"result\.thread\.daybreakEnabled",
        is_one_of(True),
        NULL,
        "(?:legacy|paginated|compressed|ephemeral).*",
    ),
    Known(
        "`daybreakEnabled`",
        "thread/fork",
        "params",
        r"thread/started\.params\.thread\.daybreakEnabled",
        is_one_of(True),
        NULL,
    ),
    Known(
        "`daybreakEnabled`",
        "thread/metadata/update",
        "outcome",
        expected=is_result,
        found=error(-32601, "daybreakEnabled is not supported"),
        steps=".*: metadata daybreak",
    ),
    # What a model is told
    *(
        Known(
            "`model` before a turn",
            method,
            kind,
            path,
            is_one_of("gpt-5-codex", "m"),
            is_one_of(None, ""),
            MADE_HERE,
        )
        for method, kind, path in (
            ("thread/.*", "result", r"result\.thread\.model"),
            (BEGINS, "params", r"thread/started\.params\.thread\.model"),
            (BEGINS, "result", r"result\.model"),
        )
    ),
    Known(
        "`activePermissionProfile`, `collaborationMode`",
        BEGINS,
        "result",
        r"result\.activePermissionProfile",
        is_one_of({"id": ":read-only", "extends": None}),
        NULL,
    ),
    Known(
        "`activePermissionProfile`, `collaborationMode`",
        "thread/resume",
        "result",
        r"result\.collaborationMode",
        lambda found: isinstance(found, dict),
        is_one_of(ABSENT),
    ),
    Known(
        "`modelProvider`",
        BEGINS,
        "outcome",
        expected=error(-32600, "rovider"),
        found=is_result,
        steps="thread/(?:start|resume of legacy) with modelProvider=nobody",
    ),
    Known(
        "`modelProvider`",
        BEGINS,
        "notifications",
        expected=is_methods(),
        found=is_one_of(["thread/started"], ["thread/status/changed"]),
        steps="thread/(?:start|resume of legacy) with modelProvider=nobody",
    ),
    Known(
        "`cliVersion`",
        "thread/.*",
        "result",
        r"result\.thread\.cliVersion",
        is_one_of(RECORDED),
        lambda found: found != RECORDED,
        MADE_HERE + "|.*(?:fork|unarchive).*",
    ),
    Known(
        "`cliVersion`",
        BEGINS,
        "params",
        r"thread/started\.params\.thread\.cliVersion",
        is_one_of(RECORDED),
        lambda found: found != RECORDED,
        MADE_HERE + "|.*fork.*",
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
            (r"result\.(?:thread\.turns|data)\.length", is_one_of(0), is_number),
            (r"result\.backwardsCursor", NULL, text(r"\{.*\}")),
        )
    ),
    Known(
        "`thread/tokenUsage/updated`, `thread/goal/cleared`",
        "thread/(?:resume|fork)",
        "notifications",
        expected=lambda found: (
            "thread/goal/cleared" in found or "thread/tokenUsage/updated" in found
        ),
        found=is_one_of([], ["thread/status/changed"], ["thread/started"]),
    ),
    *LISTS,
    # Forks
    Known(
        "`preview` of a paginated fork",
        "thread/(?:fork|read)",
        "result",
        r"result\.thread\.preview",
        text(".+"),
        is_one_of(""),
        ".*fork.*",
    ),
    Known(
        "`preview` of a paginated fork",
        "thread/fork",
        "params",
        r"thread/started\.params\.thread\.preview",
        text(".+"),
        is_one_of(""),
    ),
    *(
        Known(
            "name of a paginated fork without one",
            "thread/(?:fork|read)",
            kind,
            THREAD + "name",
            NULL,
            text("Why does the import .*|Summarize open TODOs .*"),
            "two paginated: .*|fork with turns|read the fork",
        )
        for kind in ("result", "params")
    ),
    # A refused deletion
    Known(
        "a deletion that is refused",
        "thread/delete",
        "notifications",
        expected=is_methods("thread/status/changed"),
        found=is_methods(),
        steps="new paginated: delete with a fork",
    ),
    Known(
        "a deletion that is refused",
        "thread/archive",
        "notifications",
        expected=is_methods("thread/archived"),
        found=is_methods("thread/status/changed", "thread/archived"),
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
