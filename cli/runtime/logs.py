"""The log of long-running commands: on stderr, as text or as JSON, and in a file."""

import json
import logging
import os
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import Final

import typer

from cli.terminal import output
from rollout.errors import RolloutError
from state.errors import FileUnusable, StateError

MOST_BYTES: Final = 10 * 2**20
"""Size of one file. Then it is renamed, and a new one begun."""
KEPT_FILES: Final = 4
"""Renamed files, the newest first: ``FILE.1`` to ``FILE.4``."""
MOST_WAITING: Final = 10_000
"""Unread records of a server. More are dropped."""
_FLUSH_S: Final = 0.2
_PROGRAM: Final = "threadkeep"
_LEVELS: Final = {
    "off": logging.CRITICAL + 10,
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": logging.DEBUG,
}
_NAMES: Final = {logging.WARNING: "WARN", logging.CRITICAL: "ERROR"}


def begin(levels: str | None, file: Path | None, *, waits: bool = True) -> None:
    """Log to stderr from now on, and to ``file`` as well: by ``levels`` (see :func:`levels_of`), or
    else by those in ``RUST_LOG``. ``waits`` says whether to wait for a slow reader of stderr.

    Raises:
        FileUnusable: the file cannot be written.
        typer.BadParameter: the levels are not valid.
    """
    as_json = os.environ.get("LOG_FORMAT") == "json"
    wanted = {_PROGRAM: logging.INFO if as_json or file else logging.WARNING} | _wanted(levels)
    handlers: list[logging.Handler] = [
        logging.StreamHandler(sys.stderr) if waits else _BackgroundHandler()
    ]
    handlers[0].setFormatter(_JsonLines() if as_json else logging.Formatter(_WORDS))
    if file is not None:
        handlers.append(_opened(file))
        handlers[1].setFormatter(_JsonLines() if as_json else _Dated(f"%(asctime)s {_WORDS}"))
    logging.raiseExceptions = False  # a log that cannot be written stops nothing
    logging.captureWarnings(True)
    logging.basicConfig(handlers=handlers, level=wanted.pop("", logging.WARNING), force=True)
    for target, level in wanted.items():
        logging.getLogger(target).setLevel(level)
    if as_json:  # nothing else is printed between the objects
        output.redirect_messages(_say)
        sys.excepthook = _note_uncaught


def end_by(error: BaseException) -> tuple[str, int]:
    """The reason and the level of the last record where an error ends a command. One that the
    command line reports itself is no second time an error."""
    if isinstance(error, StateError | RolloutError | OSError):
        return f"error: {error}", logging.INFO
    return f"error: {error!r}", logging.ERROR


def levels_of(text: str) -> dict[str, int]:
    """The level of each target in directives such as ``info,threadkeep.server=debug``, and of all
    others under the empty name. A target without a level logs everything. Raises ValueError if a
    level is unknown."""
    found: dict[str, int] = {}
    for directive in filter(None, map(str.strip, text.split(","))):
        target, given, level = directive.rpartition("=")
        if not given:
            target, level = ("", level) if level.lower() in _LEVELS else (level, "trace")
        if level.strip().lower() not in _LEVELS:
            raise ValueError(directive)
        found[target.partition("[")[0].strip().replace("::", ".")] = _LEVELS[level.strip().lower()]
    return found


def _wanted(levels: str | None) -> dict[str, int]:
    """The requested levels. A level for all is one for us, too."""
    text = levels or os.environ.get("RUST_LOG", "")
    try:
        found = levels_of(text)
        for word in filter(None, map(str.strip, (levels or "").split(","))):
            # Alone, a target of others is rather a level that is misspelt.
            if "=" not in word and not word.startswith(_PROGRAM) and word.lower() not in _LEVELS:
                raise ValueError(word)
    except ValueError as error:
        if not levels:
            return {}  # other programs use the variable, too
        known = ", ".join(_LEVELS)
        text = f"{error} is none of the levels {known}"
        raise typer.BadParameter(text, param_hint="--log-level, THREADKEEP_LOG") from None
    return ({_PROGRAM: found[""]} if "" in found else {}) | found


_WORDS: Final = "%(levelname)s %(name)s: %(message)s"


class _Dated(logging.Formatter):
    """Text with the time before it, in UTC."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"


class _JsonLines(_Dated):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {"message": record.getMessage(), **getattr(record, "fields", {})}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(
            {
                "timestamp": self.formatTime(record),
                "level": _NAMES.get(record.levelno, record.levelname),
                "target": record.name,
                "fields": fields,
            },
            default=str,
        )


class _BackgroundHandler(logging.Handler):
    """Writes to stderr in another thread, which may wait forever where nobody reads it, as where an
    editor started the server. Of too many records the newest are dropped."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: deque[bytes] = deque()
        self._some = threading.Condition()
        self._dropped = 0
        threading.Thread(target=self._write, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        with self._some:
            if len(self._waiting) < MOST_WAITING:
                self._waiting.append(self._line(record))
                self._some.notify_all()
            else:
                self._dropped += 1

    def flush(self) -> None:
        """Wait a moment until all is written."""
        with self._some:
            self._some.wait_for(lambda: not self._waiting, _FLUSH_S)

    def _line(self, record: logging.LogRecord) -> bytes:
        return f"{self.format(record)}\n".encode(errors="backslashreplace")

    def _write(self) -> None:
        while True:
            with self._some:
                self._some.wait_for(lambda: self._waiting)
                rest = self._waiting[0]
            with suppress(OSError):  # a log that cannot be written stops nothing
                while rest:  # not by sys.stderr, whose lock the end of the process would wait for
                    rest = rest[os.write(2, rest) :]
            with self._some:
                self._waiting.popleft()
                if self._dropped and not self._waiting:
                    text = "%d records were dropped here: nobody read the log"
                    lost = (self._dropped,)
                    record = logging.LogRecord(
                        _PROGRAM, logging.WARNING, __file__, 0, text, lost, None
                    )
                    self._waiting.append(self._line(record))
                    self._dropped = 0
                self._some.notify_all()


class _LogFile(RotatingFileHandler):
    """A bounded file, readable by its owner only: paths of threads are private."""

    def _open(self) -> TextIOWrapper:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        return open(os.open(self.baseFilename, flags, 0o600), "a", encoding="utf-8")


def _opened(file: Path) -> logging.Handler:
    try:
        return _LogFile(file, "a", MOST_BYTES, KEPT_FILES)
    except OSError as error:
        raise FileUnusable.of(error, file) from error


def _say(text: str, level: str) -> None:
    logging.getLogger(_PROGRAM).log(_LEVELS[level], "%s", text)


def _note_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    logging.getLogger(_PROGRAM).critical("%s", error, exc_info=(kind, error, trace))
