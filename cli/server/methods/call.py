"""A request that is being answered, with what its method needs."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cli.server.protocol.messages import Id, invalid_request
from cli.server.protocol.serde_wording import bare_uuid, invalid_uuid
from rollout.files.layout import parse_uuid
from rollout.files.scan import check_home
from rollout.schema.modes import LEGACY
from state.errors import ThreadNotFound
from state.query.rows import Row
from state.query.thread_json import thread_json
from state.thread_store import ThreadStore

if TYPE_CHECKING:
    from cli.server.core.client import Client

_SESSION_IDS: Final = ("thread/archive", "thread/fork", "thread/resume", "thread/unarchive")
"""Methods that call what is no id a session id."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request that is being answered."""

    session: "Client"
    method: str
    request_id: Id
    _after: list[Callable[[], None]]

    async def store(self) -> ThreadStore:
        """The store, once it is open.

        Raises:
            HomeNotFound: its home is not there any more. Nothing of it is shown as gone.
            StateError: it cannot be opened.
        """
        check_home(self.session.service.locations.home)
        return await self.session.service.store()

    def id(self, text: str) -> str:
        """The id of a thread as it is written.

        Raises:
            RpcError: it is none.
        """
        found = parse_uuid(bare_uuid(text))
        if found is None:
            what = "session" if self.method in _SESSION_IDS else "thread"
            raise invalid_request(f"invalid {what} id: {invalid_uuid(text)}", "invalid_thread_id")
        return found

    def draft(self, thread_id: str) -> dict[str, Any] | None:
        """A live thread that has no file, or none yet, as it was begun."""
        draft = self.session.service.drafts.get(thread_id)
        if draft and draft["path"] and Path(draft["path"]).exists():
            del self.session.service.drafts[thread_id]
            return None
        return draft

    def is_legacy_draft(self, thread_id: str) -> bool:
        """Whether it has no file yet and, unlike a paginated one, gets none for being asked
        for."""
        draft = self.draft(thread_id)
        return draft is not None and draft["historyMode"] == LEGACY

    def is_ephemeral(self, thread_id: str) -> bool:
        """Whether it is a live thread that is never to have a file."""
        draft = self.draft(thread_id)
        return draft is not None and bool(draft["ephemeral"])

    def loaded_ids(self, store: ThreadStore) -> list[str]:
        """The ids of all live threads."""
        drafts = [*self.session.service.drafts]
        return sorted({*store.live, *filter(self.is_ephemeral, drafts)})

    async def thread(self, store: ThreadStore, thread_id: str) -> dict[str, Any]:
        """A thread as clients see it; one without a file as it was started."""
        try:
            row = await store.read_thread(thread_id)
        except ThreadNotFound:
            draft = self.draft(thread_id)
            if draft is None:
                raise
            return draft
        self.session.service.drafts.pop(thread_id, None)
        return self.thread_json(store, row)

    def thread_json(self, store: ThreadStore, row: Row) -> dict[str, Any]:
        """A row as clients see it."""
        return thread_json(row, store.home, "idle" if store.is_live(row["id"]) else "notLoaded")

    def notify_all(self, method: str, **values: Any) -> None:
        """Tell every client, when the request is answered."""
        self._after.append(partial(self.session.service.notify_all, method, **values))
