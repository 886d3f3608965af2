"""A client of an app-server that has it do turns, and hears all that it says."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.protocol.dialogue import Connection

CLIENT = {"name": "threadkeep-tests", "title": "threadkeep's tests", "version": "1"}
Heard = Callable[[str, Any], None]
"""Is told each result, error, notification and request: what it is, and the content."""
_PAGE = 100
_UNSUPPORTED = {"error": {"code": -32601, "message": "not supported"}}


class Refused(Exception):
    """An app-server answered with an error."""

    def __init__(self, method: str, error: Mapping[str, Any]) -> None:
        super().__init__(f"{method}: {error.get('message')}")
        self.error = error


class NoAnswer(Exception):
    """An app-server has ended, or took too long."""


class AppServer:
    """An app-server in a process of its own, on which one thing is done after the other. Use it
    in a ``with``.

    Raises:
        OSError: it cannot be started
        Refused, NoAnswer: it did not shake hands
    """

    def __init__(
        self,
        command: Sequence[str],
        work: Path,
        environment: Mapping[str, str],
        *,
        within: float = 60.0,
        heard: Heard = lambda what, content: None,
    ) -> None:
        self.within = within
        """Seconds that an answer may take."""
        self.answers: dict[str, Any] = {}
        """What its own requests are answered with, by method."""
        self.notifications: list[tuple[str, Any]] = []
        self._heard = heard
        self._connection = Connection(command, work, environment)
        self._count = 0
        try:
            capabilities = {"experimentalApi": True}
            self.call("initialize", clientInfo=CLIENT, capabilities=capabilities)
            self._send({"method": "initialized"})
        except BaseException:
            self.kill()
            raise

    def __enter__(self) -> "AppServer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.end()
        else:
            self.kill()

    def end(self) -> None:
        """End its input, and wait until it has ended."""
        self._connection.end()

    def kill(self) -> None:
        """End it at once, in the middle of whatever it does."""
        self._connection.kill()

    def call(self, method: str, **params: Any) -> Any:
        """The result of a request.

        Raises:
            Refused: it has none
            NoAnswer: nothing came
        """
        answer = self.ask(method, **params)
        if "error" in answer:
            raise Refused(method, answer["error"])
        return answer["result"]

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """The answer to a request, which may be an error.

        Raises:
            NoAnswer: nothing came
        """
        self._count += 1
        self._send({"id": self._count, "method": method, "params": params})
        until = time.monotonic() + self.within
        while True:
            message: dict[str, Any] = self._hear(until, method)
            if "method" not in message and message.get("id") == self._count:
                self._tell(method, message)
                return message
            self._take(message)

    def pages(self, method: str, **params: Any) -> list[Any]:
        """All items of a list, by small pages.

        Raises:
            Refused: a page has no result
            NoAnswer: nothing came
        """
        found: list[Any] = []
        cursor = None
        while True:
            answer = self.call(method, **params, limit=_PAGE, cursor=cursor)
            found += answer["data"]
            cursor = answer.get("nextCursor")
            if not cursor or not answer["data"]:
                return found

    def turn(self, thread: str, given: str | list[Any], **params: Any) -> str:
        """Have it do a whole turn: the id.

        Raises:
            Refused: it did not begin
            NoAnswer: it did not end
        """
        id_ = self.begin(thread, given, **params)
        self.until_done(id_)
        return id_

    def begin(self, thread: str, given: str | list[Any], **params: Any) -> str:
        """Have it begin a turn: the id.

        Raises:
            Refused: it did not
            NoAnswer: nothing came
        """
        parts = [{"type": "text", "text": given}] if isinstance(given, str) else given
        started = self.call("turn/start", threadId=thread, input=parts, **params)
        return str(started["turn"]["id"])

    def until_done(self, turn: str) -> None:
        """Wait for the end of a turn.

        Raises:
            NoAnswer: it did not come
        """
        self.until("turn/completed", lambda params: params["turn"]["id"] == turn)

    def until(
        self,
        method: str,
        right: Callable[[Any], bool] = lambda params: True,
        *,
        since: int = 0,
    ) -> None:
        """Wait for a notification, if it did not come yet (behind the first ``since`` ones).

        Raises:
            NoAnswer: it did not come
        """
        until = time.monotonic() + self.within
        while True:
            for said, params in self.notifications[since:]:
                if said == method and right(params):
                    return
            since = len(self.notifications)
            self._take(self._hear(until, method))

    def listen(self, seconds: float) -> None:
        """Hear what comes in this time."""
        until = time.monotonic() + seconds
        for message in self._messages(until):
            self._take(message)

    def _messages(self, until: float) -> Iterator[Any]:
        while message := self._connection.hear(max(0.0, until - time.monotonic())):
            yield message

    def _hear(self, until: float, awaited: str) -> Any:
        message = next(self._messages(until), None)
        if message is None:
            late = time.monotonic() >= until
            why = f"within {self.within:g} seconds" if late else "before the server ended"
            raise NoAnswer(f"{awaited} did not come {why}")
        return message

    def _take(self, message: Any) -> None:
        method = message.get("method")
        if method is None:  # of a request that took too long
            return
        params = message.get("params")
        if "id" in message:
            self._heard(f"request {method}", params)
            self._send({"id": message["id"]} | self._reply(method))
        else:
            self.notifications.append((method, params))
            self._heard(f"notification {method}", params)

    def _reply(self, method: str) -> dict[str, Any]:
        return {"result": self.answers[method]} if method in self.answers else _UNSUPPORTED

    def _tell(self, method: str, message: Mapping[str, Any]) -> None:
        if "error" in message:
            self._heard(f"error of {method}", {"code": message["error"]["code"]})
        else:
            self._heard(f"result of {method}", message["result"])

    def _send(self, message: Mapping[str, Any]) -> None:
        self._connection.send(json.dumps(message))
