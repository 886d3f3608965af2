"""Plays a script of requests against any app-server, and writes down what it says.

What differs from one run to the next stands in a record as a placeholder:

=================  ===================================================================
``<p>``, ``<q>``   an id that the dialogue was given, by the name under which a step binds it
``<uuid>``         any other id that was made during the dialogue
``<now>``          a time during the dialogue: a number of seconds, or a text
``<now ms>``       the same as a number of milliseconds
``<date>``         the folder ``YYYY/MM/DD`` of a file that was made during the dialogue
``<home>``         the home; ``<work>`` is the folder in which the server was started
``<system>``       what follows the name and version in ``userAgent``
=================  ===================================================================

Ids and times that come from the home stay as they are, for they are always the same. Of the
notifications in :data:`OF_THE_MACHINE` only the method is kept.
"""

import contextlib
import json
import os
import queue
import re
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.support.effort import PATIENCE_S
from tests.support.warm import started

Exchange = dict[str, Any]
ANSWER_WITHIN = END_WITHIN = PATIENCE_S
QUIET = 0.25  # seconds without a message after which no more is expected
NO_PARAMS: Any = object()
_MARK = "the end of the step"
OF_THE_MACHINE = frozenset({"configWarning", "remoteControl/status/changed"})

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-([0-9a-f])[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d[:-]\d\d[:-]\d\d(?:\.\d+)?Z?")
_NEW_FILE = re.compile(r"\d{4}/\d\d/\d\d/rollout-<now>")
_AGENT = re.compile(r"^([^/]+/[\w.-]+) \(.*; .*\).*")


@dataclass(frozen=True)
class Step:
    """One thing that the client does, on the connection ``at``, which is started if need be.

    ``binds`` says which parts of the result get which placeholders: ``{"<p>": "thread.id"}``.
    With a ``line`` that very text is sent; with ``ends`` the input of the server is closed.
    """

    name: str
    at: str
    method: str = ""
    params: Any = NO_PARAMS
    binds: Mapping[str, str] = field(default_factory=dict)
    answered: bool = True
    line: str | None = None
    ends: bool = False


class Connection:
    """A server process, and what it says."""

    def __init__(self, command: Sequence[str], work: Path, environment: Mapping[str, str]) -> None:
        self._process = started(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=work,
            env=environment,
            text=True,
            encoding="utf-8",
        )
        self._said: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._said.put(json.loads(line))
        self._said.put(None)

    def send(self, line: str) -> None:
        """Write one line; a server that has ended is noticed when it does not answer."""
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def hear(self, within: float) -> Any:
        """The next message, or None if there is none ``within`` so many seconds, or at the end."""
        if self._ended:
            return None
        try:
            said = self._said.get(timeout=within)
        except queue.Empty:
            return None
        self._ended = said is None
        return said

    def end(self) -> int | str:
        """Close its input and wait for its end: the exit status, or "killed" if it stayed."""
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            status: int | str = self._process.wait(END_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            status = "killed"
        self._close()
        return status

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._close()

    def _close(self) -> None:
        self._reader.join()
        assert self._process.stdout
        self._process.stdout.close()


class Names:
    """Real values for placeholders, and the other way round."""

    def __init__(self, home: Path, work: Path) -> None:
        self._began = time.time() - 1
        self._real = {"<home>": str(home), "<work>": str(work)}

    def bind(self, result: Any, binds: Mapping[str, str]) -> None:
        """Give names to parts of a result; parts that are not there get none."""
        for name, path in binds.items():
            value = result
            for key in path.split("."):
                value = value.get(key) if isinstance(value, dict) else None
            if isinstance(value, str):
                self._real[name] = value

    def real(self, value: Any) -> Any:
        """``value`` with what the placeholders stand for."""

        def text(found: str) -> str:
            for name, real in self._real.items():
                found = found.replace(name, real)
            return found

        return _mapped(value, text, lambda number: number)

    def shown(self, value: Any) -> Any:
        """``value`` with placeholders for what is different each time."""
        return _mapped(value, self._text, self._number)

    def _text(self, found: str) -> str:
        for name, real in self._real.items():
            if name in ("<home>", "<work>") or _UUID.fullmatch(real):
                found = found.replace(real, name)
        found = _UUID.sub(self._uuid, found)
        found = _NEW_FILE.sub("<date>/rollout-<now>", _ISO.sub(self._iso, found))
        return _AGENT.sub(r"\1 <system>", found)

    def _uuid(self, match: "re.Match[str]") -> str:
        made = int(match[0].replace("-", "")[:12], 16) / 1000
        return "<uuid>" if match[1] == "7" and self._recent(made) else match[0]

    def _iso(self, match: "re.Match[str]") -> str:
        day, _, hours = match[0].removesuffix("Z").partition("T")
        at = datetime.fromisoformat(f"{day}T{hours[:8].replace('-', ':')}+00:00")
        return "<now>" if self._recent(at.timestamp()) else match[0]

    def _number(self, found: int) -> int | str:
        if self._recent(found):
            return "<now>"
        return "<now ms>" if self._recent(found / 1000) else found

    def _recent(self, seconds: float) -> bool:
        return self._began - 1 <= seconds <= time.time() + 1


def _mapped(value: Any, text: Callable[[str], str], number: Callable[[int], Any]) -> Any:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return number(value)
    if isinstance(value, list):
        return [_mapped(item, text, number) for item in value]
    if isinstance(value, dict):
        return {text(key): _mapped(item, text, number) for key, item in value.items()}
    return value


def filled(value: Any) -> Any:
    """A record with numbers for the placeholders that stand for numbers, as schemas want them.

    A time as a text is never alone in its text.
    """
    samples = {"<now>": 1_800_000_000, "<now ms>": 1_800_000_000_000}
    if isinstance(value, str):
        return samples.get(value, value)
    if isinstance(value, list):
        return [filled(item) for item in value]
    return {key: filled(item) for key, item in value.items()} if isinstance(value, dict) else value


def dialogue(
    start_command: Sequence[str],
    home: Path,
    script: Sequence[Step],
    *,
    quiet: float = QUIET,
    mark: str = "",
    environment: Mapping[str, str] | None = None,
) -> list[Exchange]:
    """Play ``script`` against the server that ``start_command`` starts, on ``home``, and tell what
    it answered to each step, with placeholders.

    Each exchange has ``step``, ``at``, and ``method`` and ``params`` as sent; then ``result`` or
    ``error`` or, if nothing came, ``silence``; ``before`` and ``after`` are the notifications that
    came before and after the answer (left out if empty). ``id`` is there if it is another than the
    step's number, and ``exit`` is the status with which a server ended.

    ``quiet`` is how long to wait for more notifications. Not at all, if ``mark`` is the name of a
    method: it is asked for after each step, and its answer, whichever that is, ends the step. That
    is right for a server that answers and notifies in the order of the requests.
    """
    home = home.resolve()
    work = home.parent / "work"
    work.mkdir(exist_ok=True)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("CODEX_")}
    given = {"CODEX_HOME": str(home), "HOME": str(work), "TZ": "UTC", **(environment or {})}
    names = Names(home, work)
    connections: dict[str, Connection] = {}
    try:
        told = []
        for number, step in enumerate(script, 1):
            if step.at not in connections:
                connections[step.at] = Connection(start_command, work, kept | given)
            connection = connections[step.at]
            if step.ends:
                told.append({"step": step.name, "at": step.at, "exit": connection.end()})
                del connections[step.at]
            else:
                told.append(_exchange(connection, number, step, names, quiet, mark))
        return told
    finally:
        for connection in connections.values():
            connection.end()


def _exchange(
    connection: Connection, number: int, step: Step, names: Names, quiet: float, mark: str
) -> Exchange:
    told: Exchange = {"step": step.name, "at": step.at}
    told |= {"line": step.line} if step.line is not None else {"method": step.method}
    if step.params is not NO_PARAMS:
        told["params"] = step.params
    connection.send(_line(number, step, names))
    notes: dict[str, list[Any]] = {"before": [], "after": []}
    place = "before" if step.answered else "after"
    until = time.monotonic() + ANSWER_WITHIN
    end = json.dumps({"id": _MARK, "method": mark, "params": {}}) if mark else ""
    if end and place == "after":
        connection.send(end)
    while (
        message := connection.hear(_wait(until) if end or place == "before" else quiet)
    ) is not None:
        if message.get("id") == _MARK:
            break
        if "method" in message:
            if message["method"] in OF_THE_MACHINE:
                message = {"method": message["method"]}
            notes[place].append(message)
        else:
            told["answer"] = message
            if end and place == "before":
                connection.send(end)
            place = "after"
    answer = told.pop("answer", None)
    if isinstance(answer, dict):
        names.bind(answer.get("result"), step.binds)
        if (id_ := answer.pop("id", None)) != number:
            told["id"] = id_
        told |= names.shown(answer)
    elif step.answered:
        told["silence"] = True
    return told | {key: names.shown(value) for key, value in notes.items() if value}


def _line(number: int, step: Step, names: Names) -> str:
    if step.line is not None:
        return step.line.replace("<number>", str(number))
    message: dict[str, Any] = {"id": number} if step.answered else {}
    message["method"] = step.method
    if step.params is not NO_PARAMS:
        message["params"] = names.real(step.params)
    return json.dumps(message)


def _wait(until: float) -> float:
    return max(0.0, until - time.monotonic())
