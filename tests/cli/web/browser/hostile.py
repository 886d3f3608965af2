"""A home whose every text tries to run something in a browser, or to have it ask elsewhere.

The lines are made of the registry of kinds, so that a new kind is tried without anybody thinking of
it: those whose fields are known have them all, any other has fields of every usual name.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from rollout.jsonl.parse import Item as Line
from rollout.schema.kinds import KINDS, Kept, Level
from rollout.schema.modes import LEGACY, PAGINATED
from rollout.schema.strict import Fields
from tests.samples import rollouts
from tests.samples.histories import numbered
from tests.samples.item_shapes import EVENTS, ITEMS, item
from tests.support.effort import sample

ELSEWHERE: Final = "http://198.51.100.7"
"""An address that nobody has: every request to it is one too many."""
WORD: Final = "pwnedword"
"""Is said in every thread."""
_RUN: Final = "pwned(document.URL)"
_SVG: Final = "http://www.w3.org/2000/svg"
_HTML: Final = (
    f"<script>{_RUN}</script><img src=x onerror={_RUN}>\"'><svg onload={_RUN}></svg>"
    f'<iframe srcdoc="<script>parent.{_RUN}</script>"></iframe><body onload={_RUN}>'
    f"<details open ontoggle={_RUN}><input autofocus onfocus={_RUN}><style>@import '{ELSEWHERE}/a'"
    f'</style><link rel=stylesheet href="{ELSEWHERE}/b"><base href="{ELSEWHERE}/">'
    f'<meta http-equiv=refresh content="0;url={ELSEWHERE}/c"><form action="{ELSEWHERE}/d">'
    f'<object data="{ELSEWHERE}/e"></object><video src="{ELSEWHERE}/f" autoplay></video>'
    f"<a href=javascript:{_RUN}>a</a></textarea></title></style></script>--><!--]]>"
)
_MARKDOWN: Final = (
    f"[run](javascript:{_RUN}) [run](JaVa\tScRiPt:{_RUN}) [run](&#106;avascript:{_RUN})"
    f" [run](data:text/html,<script>{_RUN}</script>) [run](vbscript:{_RUN}) <javascript:{_RUN}>"
    f" ![i]({ELSEWHERE}/g.png) ![i](javascript:{_RUN}) ![i][r]"
    f" [go]({ELSEWHERE}/h 'x\" onclick={_RUN}')"
    f'\n\n[r]: {ELSEWHERE}/i.png\n\n# <img src=x onerror={_RUN}>\n\n```"><script>{_RUN}</script>\n'
    f"<script>{_RUN}</script>\n```\n\n| <svg onload={_RUN}> |\n| --- |\n| ![i]({ELSEWHERE}/j) |\n\n"
    f"<div onclick={_RUN}>\n\n$$\\href{{javascript:{_RUN}}}$$\n\n- [ ] `<b onclick={_RUN}>`\n"
)


class Attack(NamedTuple):
    """What stands in place of texts."""

    short: str
    full: str = ""

    @property
    def long(self) -> str:
        """What stands where there is room for all tricks."""
        return self.full or self.short


ATTACKS: Final = (
    Attack(f"\"'><img src=x onerror={_RUN}><script>{_RUN}</script>", _HTML),
    Attack(f"[run](javascript:{_RUN}) ![i]({ELSEWHERE}/k)", _MARKDOWN),
    Attack(f"\u202e<i>\u2066\x00\x1b]8;;{ELSEWHERE}\x07\u2028\ufeff\ud800{{{{7*7}}}}"),
    Attack(f"javascript:{_RUN}"),
    Attack(f"data:text/html,<script>{_RUN}</script>"),
    Attack(f"data:image/svg+xml,<svg xmlns='{_SVG}' onload='{_RUN}'/>"),
    Attack(f"{ELSEWHERE}/picture.png"),
    Attack("file:///etc/passwd"),
    Attack("x" * 200, "x" * 20_000 + _HTML),
)
_LONG: Final = {"text", "message", "aggregated_output", "unified_diff", "content"}
"""Names of fields in which there is room for all tricks."""
_KEPT: Final = {"type", "status", "kind", "tool", "action", "mode", "success", "thread_id"}
"""Names of fields that decide what the others mean."""


def thread_id(number: int) -> str:
    """The id of a thread of the home."""
    return f"019a1111-{number:04x}-7000-8000-{number:012x}"


def attacked(value: Any, attack: Attack, name: str = "") -> Any:
    """The value with the attack in place of every text, but for what decides of others."""
    if isinstance(value, str):
        return value if name in _KEPT else attack.long if name in _LONG else attack.short
    if isinstance(value, list):
        return [attacked(each, attack, name) for each in value]
    if isinstance(value, dict):
        return {
            key if key.isidentifier() else f"{attack.short}{key}": attacked(each, attack, key)
            for key, each in value.items()
        }
    return value


def _usual(attack: Attack) -> Fields:
    """Fields of every usual name."""
    short, long = attack
    diff = f"@@ -1 +1 @@\n-{short}\n+{short}\n"
    change = {"type": "update", "unified_diff": diff, "move_path": f"/w/{short}"}
    texts = [{"type": kind, "text": short} for kind in ("input_text", "output_text", "Text")]
    return {
        **dict.fromkeys(_USUAL, short),
        "content": [*texts, {"type": "input_image", "image_url": short}],
        "images": [short],
        "local_images": [short],
        "command": ["bash", "-lc", short],
        "cwd": f"/w/{short}",
        "changes": {f"/w/{short}": change, "/w/a.html": {"type": "add", "content": short}},
        "invocation": {"server": short, "tool": short, "arguments": {short: short}},
        "arguments": json.dumps({"command": ["bash", "-lc", short], short: short}),
        "input": f"*** Begin Patch\n*** Add File: {short}\n+{short}\n*** End Patch",
        "output": json.dumps({"output": long or short, "metadata": {"exit_code": 1}}),
        "action": {"type": "exec", "command": ["bash", "-lc", short], "query": short},
        "error": {"message": short, "codex_error_info": short},
        "summary": [{"type": "summary_text", "text": short}],
        "tools": [{"type": "function", "name": short, "description": short}],
        "goal": {"objective": short, "status": short, "threadId": short},
        "thread_settings": {"model": short, "effort": short, "cwd": f"/w/{short}"},
        "replacement_history": [],
        "exit_code": 1,
        "num_turns": 0,
        "success": False,
        "status": "failed",
    }


_USUAL: Final = (
    *("message", "text", "name", "query", "prompt", "stdout", "stderr", "path", "reason"),
    *("aggregated_output", "formatted_output", "thread_name", "objective", "model", "result"),
    *("namespace", "agent_nickname", "agent_role", "image_url", "revised_prompt", "role"),
    *("call_id", "turn_id", "item_id", "id", "new_thread_id", "saved_path", "title"),
)


def _item_lines(thread: str, turn: str, attack: Attack) -> Iterator[Line]:
    shapes = {**{kind.name: _usual(attack) for kind in KINDS if kind.level is Level.ITEM}, **ITEMS}
    for name, fields in shapes.items():
        for id_ in (f"{name}-1", f"{attack.short}{name}"):
            made = item(name, id_, attacked(fields, attack))
            yield rollouts.event("item_completed", thread_id=thread, turn_id=turn, item=made)


def _event_lines(attack: Attack) -> Iterator[Line]:
    for kind in KINDS:
        if kind.level is Level.EVENT and kind.name not in _OF_TURNS:
            fields = attacked(EVENTS.get(kind.name, {}), attack)
            payload = {**_usual(attack), **fields, "type": kind.name}
            yield rollouts.envelope("event_msg", payload)


_OF_TURNS: Final = {
    *("task_started", "turn_started", "task_complete", "turn_complete", "turn_aborted"),
    *("item_completed", "item_started", "thread_rolled_back", "token_count"),
}


def _response_lines(attack: Attack) -> Iterator[Line]:
    tools = ("shell", "exec_command", "apply_patch", "update_plan", "view_image", attack.short)
    for kind in KINDS:
        if kind.level is not Level.RESPONSE:
            continue
        for tool in tools if kind.name.endswith("_call") else (attack.short,):
            fields = {**_usual(attack), "name": tool, "role": "user"}
            yield rollouts.envelope("response_item", {"type": kind.name, **fields})


def _other_lines(attack: Attack) -> Iterator[Line]:
    done = {"session_meta", "turn_context", "event_msg", "response_item"}
    for kind in KINDS:
        if kind.level is Level.LINE and kind.name not in done and kind.kept is not Kept.NEVER:
            yield rollouts.envelope(kind.name, _usual(attack))
    yield rollouts.envelope(attack.short, _usual(attack))


def _usage_lines() -> Iterator[Line]:
    last = {"input_tokens": 900, "output_tokens": 100, "total_tokens": 1000}
    info = {"total_token_usage": {"total_tokens": 1000}, "last_token_usage": last}
    yield rollouts.event("token_count", info=info, rate_limits=None)


def rollout(number: int, mode: str, attack: Attack) -> bytes:
    """A thread with a line of every kind."""
    short = attack.short
    turn, cwd, thread = f"turn-1{short}", f"/w/{short}", thread_id(number)
    said = f"{WORD} {attack.long}"
    git = {"branch": short, "commit_hash": short, "repository_url": short}
    lines: list[Line] = [
        rollouts.meta(
            thread,
            cwd=cwd,
            originator=short,
            cli_version=short,
            model_provider=short,
            history_mode=mode,
            agent_nickname=short,
            agent_role=short,
            git=git,
            base_instructions={"text": short},
        ),
        rollouts.event("task_started", turn_id=turn, started_at=7),
        rollouts.turn(turn_id=turn, cwd=cwd, model=short, effort=short),
    ]
    if mode == PAGINATED:
        for kind, part in (("UserMessage", "text"), ("AgentMessage", "Text")):
            made = {"type": kind, "id": kind, "content": [{"type": part, "text": said}]}
            made_item = {"thread_id": thread, "turn_id": turn, "item": made}
            lines.append(rollouts.event("item_completed", **made_item))
        lines += _item_lines(thread, turn, attack)
    else:
        lines += [rollouts.user(said), rollouts.agent(said)]
    lines += [*_event_lines(attack), *_response_lines(attack), *_other_lines(attack)]
    lines += _usage_lines()
    lines.append(rollouts.event("task_complete", turn_id=turn, last_agent_message=short))
    return rollouts.content(*(numbered(lines) if mode == PAGINATED else lines))


def write_home(home: Path) -> dict[str, Attack]:
    """Write the home, with some of the attacks. Gives its threads by their ids."""
    folder = home / "sessions/2026/10/15"
    made = {}
    for number, attack in enumerate([*ATTACKS[:2], *sample(ATTACKS[2:])], 1):
        for mode, place in ((LEGACY, 0), (PAGINATED, 1)):
            id_ = thread_id(2 * number + place)
            path = folder / f"rollout-2026-10-15T07-00-{number:02}-{id_}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(rollout(2 * number + place, mode, attack))
            made[id_] = attack
    # Files of which nothing can be read are told of by their names.
    name = f"<img src=x onerror={_RUN}>"
    (folder / f"rollout-2026-10-15T07-00-00-{name}.jsonl").write_bytes(b"no line")
    odd = home / "sessions" / name
    odd.mkdir()
    (odd / f"rollout-2026-10-15T07-00-00-{thread_id(99)}.jsonl").write_bytes(b"{}\n")
    return made
