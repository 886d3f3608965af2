"""The methods that are served, each with its parameters."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from cli.server.methods import live, stored, turns
from cli.server.methods import search as searches
from cli.server.methods.changes import Changes, changes
from cli.server.methods.command import Command, command
from cli.server.methods.context import Call
from cli.server.methods.realtime import RealtimeList, realtime_list
from cli.server.methods.search import SearchCancel, SearchOccurrences, ThreadSearch
from cli.server.methods.unsupported import OF_CODEX
from cli.server.protocol import params as p

__all__ = ["METHODS", "OF_CODEX", "Method"]

Work = Callable[[Call, Any], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Method:
    """One method."""

    params: type[p.Params]
    work: Work
    experimental: bool = False
    experimental_fields: tuple[str, ...] = ()


METHODS: Final[dict[str, Method]] = {
    "thread/list": Method(
        p.ThreadList,
        stored.thread_list,
        experimental_fields=("parentThreadId", "ancestorThreadId", "projectId"),
    ),
    "thread/read": Method(p.ThreadRead, stored.thread_read),
    "thread/turns/list": Method(p.TurnsList, turns.turns_list),
    "thread/items/list": Method(
        p.ItemsList,
        turns.items_list,
        experimental_fields=("deferOutput.commandExecution", "deferOutput.mcpToolCall"),
    ),
    "thread/items/read": Method(p.ItemsRead, turns.items_read, experimental=True),
    "thread/search": Method(ThreadSearch, searches.thread_search, experimental=True),
    "thread/search/stream": Method(ThreadSearch, searches.thread_search_stream, experimental=True),
    "thread/search/cancel": Method(SearchCancel, searches.cancel_search, experimental=True),
    "thread/search/stream/cancel": Method(SearchCancel, searches.cancel_search, experimental=True),
    "thread/searchOccurrences": Method(
        SearchOccurrences, searches.search_occurrences, experimental=True
    ),
    "thread/realtime/list": Method(RealtimeList, realtime_list, experimental=True),
    "thread/loaded/list": Method(p.LoadedList, stored.loaded_list),
    "thread/start": Method(p.ThreadStart, live.thread_start, experimental_fields=("historyMode",)),
    "thread/resume": Method(
        p.ThreadResume,
        live.thread_resume,
        experimental_fields=("path", "history", "initialTurnsPage"),
    ),
    "thread/fork": Method(
        p.ThreadFork, live.thread_fork, experimental_fields=("path", "beforeTurnId")
    ),
    "thread/name/set": Method(p.NameSet, stored.name_set),
    "thread/metadata/update": Method(p.MetadataUpdate, stored.metadata_update),
    "thread/memoryMode/set": Method(p.MemoryModeSet, stored.memory_mode_set, experimental=True),
    "thread/archive": Method(p.Archive, stored.thread_archive),
    "thread/unarchive": Method(p.Unarchive, stored.thread_unarchive),
    "thread/delete": Method(p.Delete, stored.thread_delete),
    "thread/unsubscribe": Method(p.Unsubscribe, live.thread_unsubscribe),
    "thread/inject_items": Method(p.InjectItems, live.inject_items),
    "threadkeep/status": Method(p.Params, stored.status),
    "threadkeep/explain": Method(p.OneThread, stored.explain_thread),
    "threadkeep/changes": Method(Changes, changes),
    "threadkeep/command": Method(Command, command),
}
