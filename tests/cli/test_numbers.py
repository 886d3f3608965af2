"""Files may hold any number in any place: what shows, counts or serves them says something all the
same, and JSON that comes of them is JSON."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.render.blocks.tools import duration_text, tool_call
from cli.terminal.text import age, amount, iso
from rollout.history.tool_calls import TOOL_CALL
from rollout.jsonl.parse import Line, parse_line
from tests.samples.histories import numbered
from tests.samples.rollouts import envelope, event, meta, text_part, user, write_rollout
from tests.support.command import Inside, thread_id

NUMBERS = (
    *("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e300", "-0.5", "0.1"),
    *map(str, (2**31, -(2**31) - 1, 2**63 - 1, 2**63, -(2**63), 2**64 - 1, 2**64, 2**80, -(2**80))),
    *("9" * 400, "9" * 5000, "-5", "-50000", "253402300800", "253402300800000", '"x"', "null"),
)
ANY = "@number@"
"""Stands for a number until the line is spelled."""
CALL = {"namespace": None, "arguments": "{}"}


def turn(*lines: dict[str, Any], **ends: Any) -> list[dict[str, Any]]:
    begun = event("task_started", turn_id=str(ends), started_at=1, model_context_window=1)
    ended = {"turn_id": str(ends), "last_agent_message": None, **ends}
    return [begun, user("go on"), *lines, event("task_complete", **ended)]


def call_of(output: object) -> list[dict[str, Any]]:
    """A tool that a model called, and what it gave."""
    call = {"type": "function_call", "name": "shell", "arguments": "{}", "call_id": "c"}
    given = {"type": "function_call_output", "call_id": "c", "output": output}
    return [envelope("response_item", call), envelope("response_item", given)]


def command_end(**fields: Any) -> dict[str, Any]:
    usual = {"call_id": "x", "turn_id": "t", "command": ["ls"], "cwd": "/w", "parsed_cmd": []}
    outputs = {"stdout": "", "stderr": "", "aggregated_output": "o", "formatted_output": "o"}
    took_ = {"exit_code": 0, "duration": {"secs": 1, "nanos": 0}}
    return event("exec_command_end", **usual, **outputs, status="completed", **(took_ | fields))


def mcp_end(secs: Any) -> dict[str, Any]:
    call = {"server": "s", "tool": "t", "arguments": {"n": ANY}}
    result = {"Ok": {"content": [{"type": "text", "text": "x"}], "structuredContent": {"n": ANY}}}
    duration = {"secs": secs, "nanos": 0}
    return event(
        "mcp_tool_call_end", call_id="m", invocation=call, duration=duration, result=result
    )


ACTIVITY = {
    "type": "sub_agent_activity",
    "event_id": "e",
    "occurred_at_ms": ANY,
    "agent_thread_id": thread_id(1),
    "agent_path": "/root/a",
    "kind": "started",
}
USAGE = {"input_tokens": ANY, "output_tokens": ANY, "total_tokens": ANY}
LEGACY = [
    *turn(completed_at=ANY),
    *turn(started_at=ANY, completed_at=3),
    *turn(duration_ms=ANY),
    *turn(time_to_first_token_ms=ANY),
    event("task_started", turn_id="t", started_at=ANY, model_context_window=ANY),
    user("again"),
    command_end(exit_code=ANY),
    command_end(duration={"secs": ANY, "nanos": 0}),
    command_end(duration={"secs": 1, "nanos": ANY}),
    mcp_end(1),
    mcp_end(ANY),
    event("turn_aborted", turn_id="t", reason="interrupted", completed_at=ANY, duration_ms=ANY),
    event("token_count", info={"total_token_usage": USAGE, "last_token_usage": USAGE}),
    envelope("event_msg", ACTIVITY),
    *call_of('{"output":"x","metadata":{"exit_code":@number@,"duration_seconds":@number@}}'),
    *call_of("Exit code: @number@\nWall time: @number@ seconds\nOutput:\nx"),
    event("thread_rolled_back", num_turns=ANY),
    envelope("token_usage_record", {"usage": USAGE}),
]


def timed(item: dict[str, Any], **times: Any) -> dict[str, Any]:
    times = {"started_at_ms": 1, "completed_at_ms": 2} | times
    return event("item_completed", thread_id="t", turn_id="t", item=item, **times)


def sleep(milliseconds: Any) -> dict[str, Any]:
    item = {"type": "Extension", "kind": "clock.sleep", "durationMs": milliseconds}
    return item | {"id": f"s{milliseconds}"}


USER = {"type": "UserMessage", "id": "u", "content": [text_part("hello")]}
PAGINATED = [
    event("task_started", turn_id="t", started_at=1, model_context_window=1),
    timed(USER, started_at_ms=ANY),
    timed(USER | {"id": "v"}, completed_at_ms=ANY),
    timed(sleep(ANY)),
    event("task_complete", turn_id="t", completed_at=ANY, duration_ms=ANY, last_agent_message=None),
]


def spelled(lines: list[dict[str, Any]], number: str) -> bytes:
    """The lines with that number, in texts as well."""
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    return text.replace(f'"{ANY}"', number).replace(ANY, number.strip('"')).encode()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Inside:
    """Two threads for each of the numbers."""
    base = tmp_path_factory.mktemp("numbers")
    for place, number in enumerate(NUMBERS):
        for mode, lines in (("legacy", LEGACY), ("paginated", PAGINATED)):
            id_ = thread_id(2 * place + (mode == "legacy"))
            first = meta(id_, history_mode=mode)
            whole = [first, *lines] if mode == "legacy" else numbered([first, *lines])
            path = f"sessions/2026/10/15/rollout-2026-10-15T07-00-00-{id_}.jsonl"
            write_rollout(base / "home", spelled(whole, number), path)
    return Inside(base / "home", base)


def strictly(text: str) -> Any:
    """A JSON text, without the words that Python adds to JSON."""
    return json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


@pytest.mark.parametrize(
    "command",
    [
        ["list", "--all"],
        ["search", "hello"],
        ["stats"],
        ["stats", "--turns"],
        ["du"],
        ["status"],
        ["query", "SELECT * FROM v_threads"],
    ],
)
def test_any_number_is_listed_counted_and_printed(home: Inside, command: list[str]) -> None:
    assert home.run(*command).out
    strictly(home.run(*command, "--json").out)


@pytest.mark.parametrize("kind", ["md", "html", "json"])
def test_threads_with_any_number_are_exported(home: Inside, kind: str, tmp_path: Path) -> None:
    ids = [thread_id(number) for number in range(2 * len(NUMBERS))]
    home.run("export", *ids, "--format", kind, "-o", f"{tmp_path}/out/")
    written = [*(tmp_path / "out").iterdir()]
    assert len(written) == len(ids)
    if kind == "json":
        for file in written:
            strictly(file.read_text("utf-8"))


def test_a_thread_with_odd_numbers_is_shown_and_explained(home: Inside) -> None:
    for number in (3, 6, 9):  # an infinite duration and one that no float holds
        assert "hello" in home.run("show", thread_id(number)).out or number % 2
        home.run("explain", thread_id(number), "--json", status=None)


numbers = st.one_of(
    st.integers(),
    st.integers(-(2**2000), 2**2000),
    st.floats(),
    st.sampled_from([0, 2**63, -(2**63), 10**15, -1]),
)


@given(numbers)
def test_every_formatter_takes_any_number(number: float) -> None:
    assert isinstance(duration_text(number), str)
    output = json.dumps({"output": "x", "metadata": {"duration_seconds": number, "exit_code": 1}})
    (shown,) = tool_call({"type": TOOL_CALL, "name": "shell", "output": output, **CALL})
    assert shown.text == "x"
    if isinstance(number, int):
        for text in (iso(number), amount(number), age(number, 0), age(0, number)):
            assert isinstance(text, str)


@given(numbers)
def test_lines_give_numbers_that_json_and_the_index_can_hold(number: float) -> None:
    for line in (f'{{"n":{json.dumps(number)}}}', f'{{"n":{json.dumps(number)},"l":"\x01"}}'):
        found = parse_line(Line(0, line.encode()))
        assert isinstance(found, dict)
        value = found["n"]
        strictly(json.dumps(value))
        assert not isinstance(value, int) or -(2**63) <= value < 2**64
