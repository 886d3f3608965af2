"""The log of commands that run for long: on stderr, as words or as JSON, and in a file."""

import json
import logging
import os
import sys
from datetime import UTC, datetime
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import Final

import typer

from cli import output
from state.errors import FileUnusable

MOST_BYTES: Final = 10 * 2**20
"""Of one file; then it is renamed, and a new one begun."""
KEPT_FILES: Final = 4
"""Renamed files beside it, the newest first: ``FILE.1`` to ``FILE.4``."""
_OURS: Final = "threadkeep"
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


def begin(levels: str | None, file: Path | None) -> None:
    """Have all that is logged from now on go to stderr, and to ``file`` as well: by ``levels``
    (see :func:`levels_of`), or else by those in ``RUST_LOG``.

    Raises:
        FileUnusable: the file cannot be written.
        typer.BadParameter: the levels are none.
    """
    as_json = os.environ.get("LOG_FORMAT") == "json"
    wanted = {_OURS: logging.INFO if as_json or file else logging.WARNING} | _wanted(levels)
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    handlers[0].setFormatter(_JsonLines() if as_json else logging.Formatter(_WORDS))
    if file is not None:
        handlers.append(_opened(file))
        handlers[1].setFormatter(_JsonLines() if as_json else _Dated(f"%(asctime)s {_WORDS}"))
    logging.raiseExceptions = False  # a log that cannot be written ends nothing
    logging.captureWarnings(True)
    logging.basicConfig(handlers=handlers, level=wanted.pop("", logging.WARNING), force=True)
    for target, level in wanted.items():
        logging.getLogger(target).setLevel(level)
    if as_json:  # nothing else gets between the objects
        output.say_elsewhere(_say)
        sys.excepthook = _note_uncaught


def levels_of(text: str) -> dict[str, int]:
    """The level of each target in directives such as ``info,threadkeep.server=debug``; of all
    others under the empty name. A target without a level logs everything.

    Raises:
        ValueError: a level is not known.
    """
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
    """The levels that are asked for. A level for all is one for us, too."""
    text = levels or os.environ.get("RUST_LOG", "")
    try:
        found = levels_of(text)
    except ValueError as error:
        if not levels:
            return {}  # the variable is for other programs, too
        known = ", ".join(_LEVELS)
        text = f"{error} has none of the levels {known}"
        raise typer.BadParameter(text, param_hint="--log-level, THREADKEEP_LOG") from None
    return ({_OURS: found[""]} if "" in found else {}) | found


_WORDS: Final = "%(levelname)s %(name)s: %(message)s"


def _time_of(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Dated(logging.Formatter):
    """Words with the time before them."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return _time_of(record)


class _JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {"message": record.getMessage(), **getattr(record, "fields", {})}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(
            {
                "timestamp": _time_of(record),
                "level": _NAMES.get(record.levelno, record.levelname),
                "target": record.name,
                "fields": fields,
            },
            default=str,
        )


class _LogFile(RotatingFileHandler):
    """A bounded file, which its owner alone can read: paths of threads are private."""

    def _open(self) -> TextIOWrapper:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        return open(os.open(self.baseFilename, flags, 0o600), "a", encoding="utf-8")


def _opened(file: Path) -> logging.Handler:
    try:
        return _LogFile(file, "a", MOST_BYTES, KEPT_FILES)
    except OSError as error:
        raise FileUnusable(file, error.strerror or str(error)) from error


def _say(text: str, level: str) -> None:
    logging.getLogger(_OURS).log(_LEVELS[level], "%s", text)


def _note_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    logging.getLogger(_OURS).critical("%s", error, exc_info=(kind, error, trace))
