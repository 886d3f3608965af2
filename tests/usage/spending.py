"""Homes of which every response is known: threads that go on, are forked, reverted, resumed and
copied as Codex does it."""

import json
from collections.abc import Iterable
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import zstandard

from rollout.usage.model import Tokens

Line = dict[str, Any]
_START_MS = 1_790_000_000_000
_NAMES = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_input_tokens",
    "output_tokens",
    "reasoning_output_tokens",
    "total_tokens",
)


def counts(tokens: Tokens) -> dict[str, int]:
    """A usage object as Codex writes it."""
    return dict(zip(_NAMES, tokens, strict=True))


class Session:
    """One file, and the counter of the process that writes it."""

    def __init__(self, home: "Home", thread_id: str, *, paginated: bool, records: bool) -> None:
        self.home, self.thread_id = home, thread_id
        self.paginated, self.records = paginated, records
        self.lines: list[Line] = []
        self.total, self.last = Tokens(), Tokens()
        self.name = f"{thread_id}"
        self.folder = "sessions/2026/09/21"
        self.compressed = False
        self.ordinal = 0

    def add(self, kind: str, payload: Line) -> None:
        line: Line = {"timestamp": self.home.now()}
        if self.paginated:
            line["ordinal"] = self.ordinal
            self.ordinal += 1
        self.lines.append({**line, "type": kind, "payload": payload})

    def meta(self, **more: object) -> None:
        mode = "paginated" if self.paginated else "legacy"
        usual = {"id": self.thread_id, "model_provider": "openai", "history_mode": mode}
        self.add("session_meta", {**usual, "cwd": "/work", "cli_version": "0.169.0", **more})

    def count(self, limit: str = "codex") -> None:
        info = None
        if any(self.total):
            info = {
                "total_token_usage": counts(self.total),
                "last_token_usage": counts(self.last),
                "model_context_window": 258_400,
            }
        primary = {"used_percent": 10.0, "window_minutes": 300, "resets_at": 1_900_000_000}
        limits = {"limit_id": limit, "primary": primary, "secondary": None}
        self.add("event_msg", {"type": "token_count", "info": info, "rate_limits": limits})

    def respond(self, turn: str, *, counted: bool = True) -> None:
        """The model answers. ``counted``: the counter takes it, as it does but in compactions."""
        tokens = self.home.spend()
        if self.records or not counted:
            record = {
                "thread_id": self.thread_id,
                "turn_id": turn,
                "response_id": f"resp_{len(self.home.spent)}",
                "usage": counts(tokens),
            }
            self.add("token_usage_record", record)
        if counted:
            self.total = Tokens(*(a + b for a, b in zip(self.total, tokens, strict=True)))
            self.last = tokens
            self.count()

    def turn(self, responses: int, *, fails: bool = False) -> None:
        turn = self.home.new_id()
        self.home.wait(2000)
        self.add("event_msg", {"type": "task_started", "turn_id": turn})
        self.add("turn_context", {"turn_id": turn, "cwd": "/work", "model": "gpt-5-codex"})
        if fails:  # before an answer, the counts are told with the limits
            self.count("codex_other")
            error = {"message": "no", "codex_error_info": "usage_limit_exceeded"}
            self.add("event_msg", {"type": "task_complete", "turn_id": turn, "error": error})
            return
        for _ in range(responses):
            self.home.wait(1500)
            self.respond(turn)
        if responses > 1:
            self.count("codex_other")
        self.add("event_msg", {"type": "task_complete", "turn_id": turn})

    def compact(self) -> None:
        """A request that the counter does not take, and an estimate of what is left."""
        turn = self.home.new_id()
        self.add("event_msg", {"type": "task_started", "turn_id": turn})
        self.respond(turn, counted=False)
        if any(self.total):
            self.last = Tokens(total=999)
            self.count()
        self.add("event_msg", {"type": "task_complete", "turn_id": turn})

    def fill(self) -> None:
        """The model says that its context is full."""
        if any(self.total):
            self.last = Tokens(total=max(0, 258_400 - self.total.total))
            self.total = Tokens(total=258_400)
            self.count()


class Home:
    """What the sessions wrote, and what they spent."""

    def __init__(self) -> None:
        self.sessions: list[Session] = []
        self.spent: list[Tokens] = []
        self._ms = _START_MS

    def now(self) -> str:
        moment = datetime.fromtimestamp(self._ms / 1000, UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{self._ms % 1000:03d}Z"

    def wait(self, milliseconds: int) -> None:
        self._ms += milliseconds

    def new_id(self) -> str:
        self._ms += 1
        digits = f"{self._ms:012x}"
        return f"{digits[:8]}-{digits[8:]}-7000-8000-{self._ms % 2**48:012x}"

    def spend(self) -> Tokens:
        chance = Random(len(self.spent))  # no two sums of these are the same
        read, written = chance.randrange(1000, 100_000), chance.randrange(20, 10_000)
        tokens = Tokens(read, read // 2, 3, written, written // 2, read + written)
        self.spent.append(tokens)
        return tokens

    def session(self, thread_id: str, *, paginated: bool, records: bool) -> Session:
        self.wait(1000)
        made = Session(self, thread_id, paginated=paginated, records=records)
        self.sessions.append(made)
        return made

    def new(self, *, paginated: bool, records: bool) -> Session:
        made = self.session(self.new_id(), paginated=paginated, records=records)
        made.meta()
        return made

    def fork(self, source: Session, *, subagent: bool = False) -> Session:
        """A fork or a subagent of a session: by lines that are copied, or by a reference."""
        same = {"paginated": source.paginated, "records": source.records}
        made = self.session(self.new_id(), **same)
        more: Line = {"forked_from_id": source.thread_id}
        if subagent:
            spawn = {"parent_thread_id": source.thread_id, "depth": 1}
            more["source"] = {"subagent": {"thread_spawn": spawn}}
            copied = [line for line in source.lines if not tells_counts(line)]
            if source.paginated:
                more["subagent_history_start_ordinal"] = 1 + len(copied)
        elif source.paginated:
            base = {"thread_id": source.thread_id, "end_ordinal_exclusive": source.ordinal}
            more["history_base"], copied = base, []
            made.ordinal = source.ordinal
        else:
            copied = source.lines
        if not subagent:
            made.total, made.last = source.total, source.last
        made.meta(**more)
        for line in copied:
            made.add(line["type"], deepcopy(line["payload"]))
        self.wait(50)
        return made

    def revert(self, source: Session) -> Session:
        """The thread goes on in another file, from the beginning of what it has."""
        same = {"paginated": True, "records": source.records}
        made = self.session(source.thread_id, **same)
        made.name = f"{source.thread_id}_{self.new_id()}"
        if any(total := first_total(source)):
            made.total = made.last = total
        base = {"thread_id": source.thread_id, "end_ordinal_exclusive": 8}
        made.meta(history_base=base)
        return made

    def restart(self, source: Session) -> None:
        """The thread is resumed by a Codex whose counters begin again."""
        source.total, source.last = Tokens(), Tokens()
        source.count()

    def copy(self, source: Session, *, archived: bool) -> Session:
        """Another file of the same rollout, which may go on."""
        same = {"paginated": source.paginated, "records": source.records}
        made = self.session(source.thread_id, **same)
        made.lines = deepcopy(source.lines)
        made.name, made.folder = source.name, f"sessions/2026/10/{len(self.sessions):02}"
        made.total, made.last, made.ordinal = source.total, source.last, source.ordinal
        places = {(one.folder, one.name) for one in self.sessions}
        if archived and ("archived_sessions", made.name) not in places:
            made.folder = "archived_sessions"
        return made

    def write(self, home: Path) -> None:
        for session in self.sessions:
            folder = home / session.folder
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"rollout-2026-09-21T10-00-00-{session.name}.jsonl"
            if session.compressed:
                packed = zstandard.ZstdCompressor().compress(encoded(session.lines))
                path.with_name(f"{path.name}.zst").write_bytes(packed)
            else:
                path.write_bytes(encoded(session.lines))


def encoded(lines: Iterable[Line]) -> bytes:
    return b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)


def tells_counts(line: Line) -> bool:
    kinds = {line["type"], line["payload"].get("type")}
    return not kinds.isdisjoint({"token_usage_record", "token_count"})


def first_total(session: Session) -> Tokens:
    """What the session's counter was at after its first response."""
    for line in session.lines:
        info = line["payload"].get("info") if tells_counts(line) else None
        if info and info["last_token_usage"]["input_tokens"]:
            return Tokens(*(info["total_token_usage"][name] for name in _NAMES))
    return Tokens()


def spending(steps: Iterable[tuple[str, int]]) -> Home:
    """The home of some steps, each with a number that chooses."""
    home = Home()
    home.new(paginated=False, records=False).turn(1)
    for step, number in steps:
        at = home.sessions[number % len(home.sessions)]
        if step == "new":
            home.new(paginated=bool(number & 1), records=bool(number & 2)).turn(1 + number % 3)
        elif step == "turn":
            at.turn(1 + number % 3)
        elif step == "fails":
            at.turn(0, fails=True)
        elif step == "compact":
            at.compact()
        elif step == "full":
            at.fill()
        elif step == "fork":
            home.fork(at).turn(1 + number % 2, fails=number % 5 == 4)
        elif step == "subagent":
            home.fork(at, subagent=True).turn(1 + number % 2)
        elif step == "revert" and at.paginated:
            home.revert(at).turn(1 + number % 2)
        elif step == "restart":
            home.restart(at)
        elif step == "copy":
            copy = home.copy(at, archived=bool(number & 1))
            copy.turn(number % 2)
            copy.compressed = number % 3 == 2
        elif step == "beside":
            beside = Session(home, at.thread_id, paginated=at.paginated, records=at.records)
            beside.lines, beside.ordinal = at.lines, at.ordinal
            beside.turn(1)
            at.turn(1)
            beside.turn(1 + number % 2)
    return home


STEPS = (
    "new",
    "turn",
    "fails",
    "compact",
    "full",
    "fork",
    "subagent",
    "revert",
    "restart",
    "copy",
    "beside",
)
