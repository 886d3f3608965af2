"""The differences between a Codex and threadkeep on the homes that are driven, of those that are
meant to be there. Each is told in docs/differences.md, under the words of its ``told``."""

from typing import Any, Final

from tests.protocol.compare import ABSENT, Difference
from tests.protocol.known import KNOWN
from tests.protocol.known_class import Known

_THREAD: Final = r"result\.(?:data\[\]\.)?(?:thread\.)?"
_FORKED: Final = r".*\b(?:run|forks|agents) .*"


def _null(found: Any) -> bool:
    return found is None


def _absent(found: Any) -> bool:
    return bool(found == ABSENT)


def _empty(found: Any) -> bool:
    return isinstance(found, dict) and not found["preview"]


def _named(found: Any) -> bool:
    return _empty(found) and bool(found["name"])


def _told_by_an_agent(found: Any) -> bool:
    thread = found.get("thread", found) if isinstance(found, dict) else {}
    return isinstance(thread.get("source"), dict)


HERE: Final = (
    Known("`readStates`, `readState`", "thread/read", "result", r"result\.readState", found=_null),
    Known(
        "columns of sections, projects and accounts",
        "thread/.*",
        "result",
        _THREAD + "(?:section|sectionEnteredAt|projectId)",
        found=_null,
    ),
    Known(
        "git values and memory mode of paginated threads",
        "thread/.*",
        "result",
        _THREAD + r"gitInfo\..*",
        steps=".*metadata paginated .*",
    ),
    Known(
        "`forkedFromId`, `parentThreadId`, `threadSource`, `sessionId` in lists",
        "thread/(?:list|search)",
        "result",
        _THREAD + "(?:forkedFromId|parentThreadId|threadSource)",
        expected=_null,
    ),
    Known(
        "`forkedFromId`, `parentThreadId`, `threadSource`, `sessionId` in lists",
        "thread/(?:list|search|read)",
        "result",
        _THREAD + "sessionId",
        steps=r".*\b(?:agents|run_a_review|reviews) .*",
    ),
    Known(
        "`preview` of a paginated fork",
        "thread/(?:list|search|read)",
        "result",
        _THREAD + "preview",
        steps=_FORKED,
    ),
    Known(
        "`preview` of a reverted thread",
        "thread/(?:list|search|read)",
        "result",
        _THREAD + "preview",
        steps=r".*\breverts .*",
    ),
    Known("`recency_at`", "thread/.*", "result", _THREAD + "recencyAt"),
    Known(
        "reverted threads",
        "thread/list",
        "result",
        r"result\.data(?:\.repeated|\[\]\.path)",
        steps="by default(?:: reverts .*)?",
    ),
    Known(
        "a thread that has a name and no prompt",
        "thread/list",
        "result",
        r"result\.data\[\]",
        _absent,
        _named,
    ),
    Known(
        "a thread with no prompt but an agent's message or an attachment",
        "thread/(?:list|search)",
        "result",
        r"result\.data\[\]",
        _absent,
        _told_by_an_agent,
    ),
    Known(
        "an archived thread with nothing in it",
        "thread/list",
        "result",
        r"result\.data\[\]",
        _empty,
        _absent,
        "archived: .*",
    ),
    Known("cwd filter", "thread/list", "result", r"result\.data\[\]\.cwd", steps="by default: .*"),
    Known(
        "`updatedAt`",
        "thread/.*",
        "result",
        _THREAD + "updatedAt",
    ),
    Known(
        "`updatedAt`",
        "thread/list",
        "result",
        r"result\.data\.order",
        steps="by updated_at.*",
    ),
    Known(
        "`createdAt` of a thread that was begun in the last milliseconds of a second",
        "thread/.*",
        "result",
        _THREAD + "createdAt",
    ),
    Known(
        "what `thread/search` searches",
        "thread/search",
        "result",
        r"result\.data\[\]\.snippet",
    ),
    Known(
        "asynchronous messages of an agent",
        "thread/search",
        "result",
        r"result\.data\[\]",
        _absent,
        steps="for 'Heads up': every_model paginated .*",
    ),
    Known(
        "asynchronous messages of an agent",
        "thread/searchOccurrences",
        "result",
        r"result\.data\.length",
        steps="every_model paginated .*",
    ),
)


def is_known(one: Difference) -> bool:
    """Whether a difference is one of those that are told."""
    return any(known.matches(one) for known in (*HERE, *KNOWN))
