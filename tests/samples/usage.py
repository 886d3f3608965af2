"""A home whose threads used tokens."""

from pathlib import Path
from typing import Any

from tests.samples.homes import encoded, event, lines, write
from tests.samples.hostile import HOSTILE
from tests.support.command import Inside

PROJECTS = ["/w/one", "/w/two", "/w/one", "/w/\x1b[31m<b>three"]


def used(
    number: int, *responses: tuple[str, str, int], cwd: str = "/w", **meta: Any
) -> list[dict[str, Any]]:
    """The lines of a thread with responses: when, of which model, and how many tokens; a tenth of
    them is output, and a fifth cached."""
    made = lines(number, cwd=cwd, **meta)[:1]
    total = 0
    for stamp, model, tokens in responses:
        total += tokens
        part = {"cached_input_tokens": tokens // 5, "output_tokens": tokens // 10}
        last = {"input_tokens": tokens - tokens // 10, **part, "total_tokens": tokens}
        info = {"total_token_usage": {"total_tokens": total}, "last_token_usage": last}
        turn = {"cwd": cwd, "model": model, "effort": "high"}
        made += [
            {"timestamp": stamp, "type": "turn_context", "payload": turn},
            event(stamp, "user_message", message=HOSTILE),
            event(stamp, "token_count", info=info, rate_limits=None),
        ]
    return made


def used_home(base: Path) -> Inside:
    """Four threads that were used on three days, with three models, of which one has no price."""
    made = Inside(base / "home", base, {"TZ": "UTC"})
    for number, responses in enumerate(
        (
            [("2026-10-01T08:10:00Z", "gpt-5", 1000), ("2026-10-02T23:30:00Z", "gpt-5", 2000)],
            [("2026-10-02T09:00:00Z", "gpt-5-mini", 500)],
            [("2026-10-03T07:59:59Z", "gpt-5", 100), ("2026-10-03T08:00:00Z", "mine", 50)],
            [("2026-11-15T20:00:00Z", "gpt-5", 10)],
        )
    ):
        source = "exec" if number == 1 else "cli"
        content = encoded(used(number, *responses, cwd=PROJECTS[number], source=source))
        write(made.home, number, content, archived=number == 2)
    return made
