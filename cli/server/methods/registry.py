"""The table of the methods that are served."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from cli.server.methods import live_threads, threads, turns
from cli.server.methods import search as searches
from cli.server.methods.call import Call
from cli.server.methods.changes import ChangesParams, changes
from cli.server.methods.command import CommandParams, command
from cli.server.methods.realtime import realtime_list
from cli.server.protocol import params as p

Work = Callable[[Call, Any], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Method:
    """A method: its parameters, and what answers it."""

    params: type[p.Params]
    work: Work
    experimental: bool = False
    experimental_fields: tuple[str, ...] = ()


METHODS: Final[dict[str, Method]] = {
    "thread/list": Method(
        p.ThreadListParams,
        threads.thread_list,
        experimental_fields=("parentThreadId", "ancestorThreadId", "projectId"),
    ),
    "thread/read": Method(p.ThreadReadParams, threads.thread_read),
    "thread/turns/list": Method(p.ThreadTurnsListParams, turns.turns_list),
    "thread/items/list": Method(
        p.ThreadItemsListParams,
        turns.items_list,
        experimental_fields=("deferOutput.commandExecution", "deferOutput.mcpToolCall"),
    ),
    "thread/items/read": Method(p.ThreadItemsReadParams, turns.items_read, experimental=True),
    "thread/search": Method(p.ThreadSearchParams, searches.thread_search, experimental=True),
    "thread/search/stream": Method(
        p.ThreadSearchParams, searches.thread_search_stream, experimental=True
    ),
    "thread/search/cancel": Method(
        p.ThreadSearchCancelParams, searches.cancel_search, experimental=True
    ),
    "thread/search/stream/cancel": Method(
        p.ThreadSearchCancelParams, searches.cancel_search, experimental=True
    ),
    "thread/searchOccurrences": Method(
        p.ThreadSearchOccurrencesParams, searches.search_occurrences, experimental=True
    ),
    "thread/realtime/list": Method(p.ThreadRealtimeListParams, realtime_list, experimental=True),
    "thread/loaded/list": Method(p.ThreadLoadedListParams, threads.loaded_list),
    "thread/start": Method(
        p.ThreadStartParams, live_threads.thread_start, experimental_fields=("historyMode",)
    ),
    "thread/resume": Method(
        p.ThreadResumeParams,
        live_threads.thread_resume,
        experimental_fields=("path", "history", "initialTurnsPage"),
    ),
    "thread/fork": Method(
        p.ThreadForkParams, live_threads.thread_fork, experimental_fields=("path", "beforeTurnId")
    ),
    "thread/name/set": Method(p.ThreadSetNameParams, threads.name_set),
    "thread/metadata/update": Method(p.ThreadMetadataUpdateParams, threads.metadata_update),
    "thread/memoryMode/set": Method(
        p.ThreadMemoryModeSetParams, threads.memory_mode_set, experimental=True
    ),
    "thread/archive": Method(p.ThreadArchiveParams, threads.thread_archive),
    "thread/unarchive": Method(p.ThreadUnarchiveParams, threads.thread_unarchive),
    "thread/delete": Method(p.ThreadDeleteParams, threads.thread_delete),
    "thread/unsubscribe": Method(p.ThreadUnsubscribeParams, live_threads.thread_unsubscribe),
    "thread/inject_items": Method(p.ThreadInjectItemsParams, live_threads.inject_items),
    "threadkeep/status": Method(p.Params, threads.status),
    "threadkeep/explain": Method(p.ThreadParams, threads.explain_thread),
    "threadkeep/changes": Method(ChangesParams, changes),
    "threadkeep/command": Method(CommandParams, command),
}
OF_FLEETS: Final = frozenset(
    {
        *("thread/list", "thread/read", "thread/turns/list", "thread/items/list"),
        *("thread/items/read", "thread/search", "thread/search/stream", "thread/search/cancel"),
        *("thread/search/stream/cancel", "thread/searchOccurrences", "thread/realtime/list"),
        "thread/loaded/list",
    }
)
"""The methods that read stored threads, which there are for a fleet, too."""
