"""A request that is being answered, and what its method needs."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from cli.server.core.client import Client
from cli.server.core.service import Service
from cli.server.protocol.messages import Id, invalid_request
from cli.server.protocol.serde_wording import bare_uuid, invalid_uuid
from rollout.files.layout import parse_uuid
from rollout.files.scan import check_home
from rollout.schema.modes import LEGACY
from state.errors import ThreadNotFound
from state.query.rows import Row
from state.query.thread_json import thread_json
from state.thread_store import ThreadStore

_SESSION_IDS: Final = ("thread/archive", "thread/fork", "thread/resume", "thread/unarchive")
"""Methods whose errors say "session id"."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request that is being answered."""

    service: Service
    client: Client
    method: str
    request_id: Id
    _notifications: list[Callable[[], None]]

    async def store(self) -> ThreadStore:
        """The store, once it is open.

        Raises:
            HomeNotFound: its home has disappeared; its threads must not look deleted.
            StateError: the store cannot be opened.
        """
        if self.service.locations.fleet is None:
            check_home(self.service.locations.home)
        return await self.service.store()

    def id(self, text: str) -> str:
        """Parse the id of a thread. Raises RpcError if it is not a UUID."""
        found = parse_uuid(bare_uuid(text))
        if found is None:
            what = "session" if self.method in _SESSION_IDS else "thread"
            raise invalid_request(f"invalid {what} id: {invalid_uuid(text)}", "invalid_thread_id")
        return found

    async def thread_of(self, text: str) -> tuple[ThreadStore, str]:
        """The store, and the id of a thread. Raises RpcError if the id is not a UUID."""
        return await self.store(), self.id(text)

    def draft(self, thread_id: str) -> dict[str, Any] | None:
        """A live thread that has no file (yet), as it was started."""
        draft = self.service.drafts.get(thread_id)
        if draft and draft["path"] and Path(draft["path"]).exists():
            del self.service.drafts[thread_id]
            return None
        return draft

    def is_legacy_draft(self, thread_id: str) -> bool:
        """Whether it is a legacy thread without a file. Reading it creates none, unlike reading a
        paginated one."""
        draft = self.draft(thread_id)
        return draft is not None and draft["historyMode"] == LEGACY

    def is_ephemeral(self, thread_id: str) -> bool:
        """Whether it is a live thread that never gets a file."""
        draft = self.draft(thread_id)
        return draft is not None and bool(draft["ephemeral"])

    def loaded_ids(self, store: ThreadStore) -> list[str]:
        """The ids of all live threads."""
        return sorted({*store.live, *filter(self.is_ephemeral, [*self.service.drafts])})

    async def thread(self, store: ThreadStore, thread_id: str) -> dict[str, Any]:
        """A thread as clients see it; one without a file is shown as it was started."""
        try:
            row = await store.read_thread(thread_id)
        except ThreadNotFound:
            draft = self.draft(thread_id)
            if draft is None:
                raise
            return draft
        self.service.drafts.pop(thread_id, None)
        return self.thread_json(store, row)

    def thread_json(self, store: ThreadStore, row: Row) -> dict[str, Any]:
        """A row as clients see it."""
        return thread_json(row, store.home, "idle" if store.is_live(row["id"]) else "notLoaded")

    def notify_all(self, method: str, **values: Any) -> None:
        """Send every client a notification when the request is answered."""
        self._notifications.append(partial(self.service.notify_all, method, **values))
