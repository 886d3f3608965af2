"""Reduces the lines of a rollout to what its responses used (docs/usage.md#rules)."""

import json
from operator import add
from typing import Any, Final

from rollout.files.text import storable_text
from rollout.jsonl.parse import compact_json
from rollout.schema.times import time_ms
from rollout.usage.counters import Counters
from rollout.usage.counts import COUNTS, is_response, same_use, tokens_of
from rollout.usage.model import (
    FileUsage,
    RateLimits,
    Tokens,
    UsageKey,
    UsageSums,
    long_context_of,
    rate_limits,
)
from rollout.usage.origin import ANSWER_MS, Origin

_HOUR_MS: Final = 3_600_000
_FIRST_MS: Final = -62_135_510_400_000  # 0001-01-02: a time that has a day in every time zone
_END_MS: Final = 253_402_214_400_000  # 9999-12-31
_MOST_UNTOLD: Final = 8
_MOST_IDS: Final = 32
_MOST_LIMITS: Final = 8
_LONGEST_NAME: Final = 200
_LONGEST_SNAPSHOT: Final = 4096
_NOTHING: Final = [0] * len(UsageSums._fields)
_DEFAULT_TIER: Final = "default"


class UsageReducer:
    """Takes the parsed lines of one file, in order. With the :class:`FileUsage` of an earlier pass
    it continues where that one ended.

    ``seen`` has the responses of copies of the file: these are not counted again. ``told`` has
    those of this file.
    """

    def __init__(
        self, earlier: FileUsage | None = None, seen: set[tuple[object, ...]] | None = None
    ) -> None:
        self._seen = seen
        self.told: set[tuple[object, ...]] = set()
        self._rows: dict[UsageKey, list[int]] = {}
        self._limits: dict[str, tuple[int, dict[str, Any]]] = {}
        self._repeated: tuple[Any, Any] | None = None  # counts that tell nothing new
        self._repeated_limit: str | None = None  # what was told with them
        self.repeatable = False
        """Whether :meth:`repeat` can stand for repetitions of the last ``token_count``."""
        self.odd = 0
        self.odd_at: int | None = None
        self._total = 0  # of the responses that this pass has counted
        state: list[Any] = [None, None, "", "", "", "", None, False, [], [], None, "", None, None]
        if earlier is not None:
            self._rows = {key: list(sums) for key, sums in earlier.rows.items()}
            limits = json.loads(earlier.limits.value) if earlier.limits else {}
            self._limits = {limit: (one["at_ms"], one) for limit, one in limits.items()}
            self.odd, self.odd_at = earlier.odd, earlier.odd_at
            state = json.loads(earlier.state) if earlier.state else state
        self._counters = Counters(state[0])
        self._origin = Origin(state[1])
        self._model: str = state[2]
        self._provider: str = state[3]
        self._effort: str = state[4]
        self._service_tier: str = state[5]
        self._at_ms: int | None = state[6]  # the latest time that could be read
        self._reviewing: bool = state[7]  # whether events of a review are repeated here
        self._untold = [Tokens(*tokens) for tokens in state[8]]
        # ... recorded responses that no token_count has told yet
        self._ids: list[str] = state[9]  # of the latest recorded responses
        self._doubtful: list[Any] | None = state[10]
        # ... the key and counts of a response that may be inherited, until its turn ends
        self._turn: str = state[11]
        self._turn_ms: int | None = state[12]  # when it began
        self._unrecorded = state[13] and Tokens(*state[13])
        # ... the latest response that a token_count told, if no record has told it yet

    def usage(self) -> FileUsage:
        """What the lines so far tell."""
        state = [
            self._counters.state(),
            self._origin.state(),
            self._model,
            self._provider,
            self._effort,
            self._service_tier,
            self._at_ms,
            self._reviewing,
            [list(tokens) for tokens in self._untold],
            self._ids,
            self._doubtful,
            self._turn,
            self._turn_ms,
            self._unrecorded and list(self._unrecorded),
        ]
        rows = {key: UsageSums._make(sums) for key, sums in self._rows.items()}
        told = compact_json(state) or ""
        return FileUsage(rows, told, self._rate_limits(), self.odd, self.odd_at)

    def _rate_limits(self) -> RateLimits | None:
        told = {}
        for limit, (at_ms, snapshot) in self._limits.items():
            text = compact_json(snapshot)
            small = text is not None and len(text) <= _LONGEST_SNAPSHOT
            told[limit] = {**(snapshot if small else {}), "at_ms": at_ms}
        return rate_limits(told)

    @classmethod
    def resumed(cls, state: str) -> "UsageReducer":
        """A reducer that continues where one ended that told this ``state``, and counts only what
        follows. Raises what reading JSON of another shape raises."""
        doubtful = json.loads(state)[10]
        rows = {UsageKey(*doubtful[0]): UsageSums._make([*doubtful[1], 1])} if doubtful else {}
        return cls(FileUsage(rows, state))

    @property
    def thread_id(self) -> str | None:
        """The thread that the file is of, once it has told that."""
        return self._origin.thread_id

    @property
    def copying(self) -> bool:
        """Whether the lines are copies of another thread's at present."""
        return self._origin.copying

    @property
    def certain(self) -> int:
        """The tokens of all responses that this pass has counted, but for one that may still turn
        out to be inherited."""
        return self._total - self.doubtful

    @property
    def doubtful(self) -> int:
        """The tokens of the response that may still turn out to be inherited."""
        return int(self._doubtful[1][5]) if self._doubtful else 0

    @property
    def needs_ends(self) -> bool:
        """Whether it matters how the turn ends."""
        return self._doubtful is not None

    def repeat(self, at: str) -> None:
        """Take the last ``token_count`` again, which came ``at`` another time that can be read."""
        self._time(at)
        if self._repeated_limit is not None:
            self._limits[self._repeated_limit] = (
                self._at_ms or 0,
                self._limits[self._repeated_limit][1],
            )

    def apply(self, line: dict[str, Any], offset: int) -> bool:
        """Take one line, which begins at ``offset``. Whether it is a ``token_count`` and
        ``repeatable``."""
        kind, payload = line.get("type"), line.get("payload")
        if not isinstance(payload, dict):
            return False
        if kind == "event_msg":
            event = payload.get("type")
            if event == "token_count":
                self.repeatable = self._token_count(line, payload, offset)
                return self.repeatable
            if event in ("task_started", "turn_started"):
                self._begin_turn(payload.get("turn_id"), self._time(line.get("timestamp")))
            elif event == "thread_settings_applied":
                self._settings(payload.get("thread_settings"))
            elif event in ("task_complete", "turn_complete", "turn_aborted"):
                if event == "turn_aborted" or payload.get("error") is not None:
                    self._withdraw()
                self._doubtful = None
            elif event == "entered_review_mode":
                self._reviewing, self.repeatable = True, False
            elif event == "exited_review_mode":
                self._reviewing = False
        elif kind == "token_usage_record":
            self._record(line, payload, offset)
        elif kind == "turn_context":
            self._reviewing = False
            self._begin_turn(payload.get("turn_id"), self._time(line.get("timestamp")))
            self._model = _name(payload.get("model")) or self._model
            self._effort = _name(payload.get("effort"))
        elif kind == "session_meta":
            self.repeatable = False
            if self._origin.session(payload, self._time(line.get("timestamp"))):
                self._provider = _name(payload.get("model_provider")) or self._provider
        return False

    def _begin_turn(self, turn_id: object, at_ms: int | None) -> None:
        self._origin.turn(turn_id, at_ms)
        self._turn, self._turn_ms = _name(turn_id), at_ms

    def _settings(self, settings: object) -> None:
        if isinstance(settings, dict):
            self._model = _name(settings.get("model")) or self._model
            self._provider = _name(settings.get("model_provider_id")) or self._provider
            self._effort = _name(settings.get("reasoning_effort"))
            tier = _name(settings.get("service_tier"))
            self._service_tier = "" if tier == _DEFAULT_TIER else tier

    def _token_count(self, line: dict[str, Any], payload: dict[str, Any], offset: int) -> bool:
        """Whether the same counts tell nothing new."""
        if self._reviewing:
            return False  # told in the file of the review, too
        at_ms = self._time(line.get("timestamp"))
        copy = self._origin.is_copy(line.get("ordinal"), at_ms)
        limits = payload.get("rate_limits")
        self._repeated_limit = None
        if isinstance(limits, dict) and not copy:
            self._repeated_limit = self._limit(limits)
        info = payload.get("info")
        if not isinstance(info, dict):
            if info is None:
                self._counters.begin()
                self._repeated = None
            return False
        totals, lasts = info.get("total_token_usage"), info.get("last_token_usage")
        if self._repeated == (totals, lasts):
            return not copy
        total, odd_total = tokens_of(totals)
        last, odd_last = tokens_of(lasts)
        if odd_total or odd_last:
            self._odd(offset)
        elif totals and lasts and totals.keys() <= COUNTS and lasts.keys() <= COUNTS:
            self._repeated = totals, lasts
        repeatable = not copy and self._repeated == (totals, lasts)
        if total is None:
            if last is not None and not copy:
                self._response(last, line)
            return False
        if self._counters.is_repeated(total, last):
            return repeatable
        origin = self._origin
        new = origin.thread_id is not None and not (copy or origin.copied or origin.based)
        goes_on = origin.based and not self._counters
        window = info.get("model_context_window")
        limit = _name(limits.get("limit_id")) if isinstance(limits, dict) else ""
        more = self._counters.missing(total, last, window, limit, new=new)
        if copy:
            return False
        if last is not None:
            self._response(last, line, total, doubtful=goes_on)
        if more is not None:
            self._response(more, line, total)
        return repeatable

    def _record(self, line: dict[str, Any], payload: dict[str, Any], offset: int) -> None:
        """A response at once; the ``token_count`` that follows tells the same."""
        self._time(line.get("timestamp"))
        thread_id = payload.get("thread_id")
        if isinstance(thread_id, str) and self._origin.thread_id not in (None, thread_id.lower()):
            return  # another thread's
        self._origin.own()
        response_id = payload.get("response_id")
        if isinstance(response_id, str):
            response_id = response_id[:_LONGEST_NAME]
            if response_id in self._ids:
                self._withdraw()
                return
            self._ids = [*self._ids[1 - _MOST_IDS :], response_id]
        tokens, odd = tokens_of(payload.get("usage"))
        if odd:
            self._odd(offset)
        told, self._unrecorded = self._unrecorded, None
        if tokens is not None and told is not None and same_use(told, tokens):
            self._doubtful = None
            return
        self._withdraw()
        if tokens is not None and is_response(tokens):
            self._add(tokens, line, response_id)
            self._untold = [*self._untold[1 - _MOST_UNTOLD :], tokens]

    def _response(
        self,
        tokens: Tokens,
        line: dict[str, Any],
        total: Tokens | None = None,
        *,
        doubtful: bool = False,
    ) -> None:
        """Count a response that a ``token_count`` tells, unless its record was there before."""
        for place, recorded in enumerate(self._untold):
            if same_use(recorded, tokens):
                del self._untold[place]
                self._unrecorded = None
                return
        if is_response(tokens):
            key = self._add(tokens, line, total)
            self._unrecorded = tokens
            if doubtful and key is not None:
                self._doubtful = [list(key), list(tokens)]

    def _withdraw(self) -> None:
        """Do not count the doubtful response: its turn had none, or responses are recorded here,
        and it was not."""
        if self._doubtful is not None:
            self._total -= self.doubtful
            key = UsageKey(*self._doubtful[0])
            sums = self._rows[key]
            for place, count in enumerate(self._doubtful[1]):
                sums[place] -= count
            sums[-1] -= 1
            if not sums[-1]:
                del self._rows[key]
            self._doubtful = None

    def _add(self, tokens: Tokens, line: dict[str, Any], known_by: object) -> UsageKey | None:
        """Count a response; its row, if it was not counted before."""
        if self._seen is not None and self._is_seen(line, (tokens, str(known_by))):
            return None
        self._total += tokens.total
        hour = (self._at_ms or 0) // _HOUR_MS
        key = UsageKey(
            hour,
            self._model,
            self._provider,
            self._effort,
            self._service_tier,
            long_context_of(tokens.input),
        )
        sums = self._rows.get(key, _NOTHING)
        self._rows[key] = [*map(add, sums, tokens), sums[-1] + 1]
        return key

    def _is_seen(self, line: dict[str, Any], use: tuple[object, ...]) -> bool:
        """Whether a copy of the file told a response before: of the same time, or, if the line was
        written anew as no model answers so soon, of the same turn."""
        by_time, by_turn = ("time", str(line.get("timestamp")), *use), ("turn", self._turn, *use)
        written_anew = (
            self._at_ms is not None
            and self._turn_ms is not None
            and self._at_ms - self._turn_ms < ANSWER_MS
        )
        seen = self._seen or ()
        if by_time in seen or (self._turn and written_anew and by_turn in seen):
            return True
        self.told |= {by_time, by_turn}
        return False

    def _limit(self, snapshot: dict[str, Any]) -> str | None:
        """Note the limits that a line tells, if any, and give their id."""
        get = snapshot.get
        if get("primary") is get("secondary") is get("plan_type") is get("credits") is None:
            return None  # nothing is told
        limit = _name(get("limit_id"))
        self._limits.pop(limit, None)
        self._limits[limit] = self._at_ms or 0, snapshot
        if len(self._limits) > _MOST_LIMITS:
            del self._limits[next(iter(self._limits))]
        return limit

    def _odd(self, offset: int) -> None:
        self.odd += 1
        if self.odd_at is None:
            self.odd_at = offset

    def _time(self, text: object) -> int | None:
        """The time of a line; the latest that could be read stands for one that cannot."""
        at_ms = time_ms(text) if isinstance(text, str) else None
        if at_ms is None or not _FIRST_MS <= at_ms < _END_MS:
            return None
        self._at_ms = at_ms
        return at_ms


def _name(value: object) -> str:
    return storable_text(value[:_LONGEST_NAME]) if isinstance(value, str) else ""
