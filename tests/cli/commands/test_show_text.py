"""How ``show`` prints texts: safe for a terminal, collapsed, and in a pager."""

import json
import re
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cli.render.blocks.block import Block, Form, Role, collapsed
from cli.render.blocks.tools import picture, tool_call
from cli.terminal.text import many_lines
from rollout.history.tool_calls import TOOL_CALL
from tests.samples.hostile import COLOUR, HOSTILE, STYLE, hostile_characters
from tests.samples.rollouts import THREAD_ID
from tests.support.command import Cli
from tests.support.effort import examples
from tests.support.reading import NEVER, call, cli, event, save, turn
from tests.support.terminal import on_terminal

__all__ = ["cli"]


def test_nothing_that_was_said_steers_a_terminal(cli: Cli) -> None:
    hostile = HOSTILE + " \x1bP1;2|dcs\x1b\\ &#8238;&#x202e; <b>&#27;[31m</b> [x](javascript:x)"
    save(
        cli.home,
        turn(
            1,
            event("agent_message", message=hostile),
            event("agent_reasoning", text=hostile),
            *call("shell_command", {"command": hostile}, hostile),
            *call(hostile, {"x": hostile}, hostile, 2),
        ),
    )
    out = cli.run("show", THREAD_ID, "--full").out
    assert hostile_characters(out) <= {"\t"}
    real = Cli(cli.home, cli.base)
    shown = on_terminal(real, "show", THREAD_ID, "--full", env={"PAGER": "cat"})
    assert hostile_characters(shown.replace("\t", "")) == set()
    assert not re.search("\x1b(?!\\[[0-9;]*m)", shown)
    assert COLOUR.search(shown)
    plain = on_terminal(real, "show", THREAD_ID, env={"PAGER": "cat", "NO_COLOR": "1"})
    assert not COLOUR.search(plain)
    dumb = on_terminal(real, "show", THREAD_ID, env={"TERM": "dumb", "PAGER": ""}, columns=60)
    assert "\x1b" not in dumb
    assert max(map(len, dumb.splitlines())) == 60


@given(st.text(st.characters(codec=None, exclude_categories=())))
@examples(200)
def test_cleaned_text_has_no_control_character_and_keeps_its_lines(text: str) -> None:
    clean = many_lines(text)
    assert not NEVER.search(clean)
    assert many_lines(clean) == clean
    plain = "".join(char for char in text if char.isascii() and char.isprintable())
    assert many_lines(plain) == plain


def test_escape_sequences_go_with_all_that_belongs_to_them() -> None:
    assert many_lines("\x1b[1;31mred\x1b[0m\tx\r\ny\rz") == "red\tx\ny\nz"
    assert many_lines("a\x1b]0;title\x07b\x1b]8;;http://x\x1b\\c") == "abc"
    assert many_lines("a\x9b31mb\x1b(Bc\x1b") == "abc"


@given(st.lists(st.text("ab", max_size=3), max_size=30))
def test_what_is_folded_adds_up(lines: list[str]) -> None:
    shown = Block(Role.TOOL, "t", "\n".join(lines), Form.OUTPUT)
    every, none, _ = collapsed(shown, full=True)
    head, hidden, tail = collapsed(shown, full=False)
    assert none == 0
    assert len(head) + hidden + len(tail) == len(every)
    assert [*head, *tail] == [*every[: len(head)], *every[len(every) - len(tail) :]]


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=9) | st.booleans(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["text", "type", "cmd", "command", "plan", "image_url", "output", "metadata"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=8,
    ),
    st.sampled_from(["shell", "exec_command", "update_plan", "apply_patch", "x"]),
    st.booleans(),
)
def test_any_call_can_be_shown(value: Any, name: str, spelled: bool) -> None:
    text = json.dumps(value) if spelled else value
    call = {"type": TOOL_CALL, "id": "c", "name": name, "namespace": None}
    tool_call({**call, "arguments": text, "output": text})


def test_no_image_is_loaded_from_anywhere() -> None:
    assert picture("https://example.org/x.png").url == ""
    assert picture("data:image/svg+xml;base64,AAAA").url == ""
    assert picture('data:image/png;base64,AA"onload=').url == ""
    assert picture("data:image/png;base64,AAAA").url


def test_a_short_thread_is_printed_and_a_long_one_paged(cli: Cli, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    pager = tmp_path / "pager"
    pager.write_text(f"#!/bin/sh\ncat > {seen}\n")
    pager.chmod(0o755)
    real = Cli(cli.home, cli.base)
    save(cli.home, turn(1))
    env = {"PAGER": str(pager)}
    assert "question 1" in on_terminal(real, "show", THREAD_ID, env=env)
    assert not seen.exists()
    save(cli.home, [line for number in range(1, 9) for line in turn(number)])
    assert "question" not in on_terminal(real, "show", THREAD_ID, env=env)
    assert "question 8" in STYLE.sub("", seen.read_text())
    seen.unlink()
    assert "question 8" in on_terminal(real, "show", THREAD_ID, "--no-pager", env=env)
    assert "question 8" in on_terminal(real, "show", THREAD_ID, env={"PAGER": "/no/such"})
    assert not seen.exists()


def test_a_reader_who_quits_the_pager_ends_it(cli: Cli, tmp_path: Path) -> None:
    pager = tmp_path / "pager"
    pager.write_text("#!/bin/sh\nhead -n 1 > /dev/null\n")
    pager.chmod(0o755)
    many = [*call("shell_command", {"command": "x"}, "word " * 20_000)]
    save(cli.home, [line for number in range(1, 9) for line in turn(number, *many)])
    shown = on_terminal(
        Cli(cli.home, cli.base), "show", THREAD_ID, "--full", env={"PAGER": str(pager)}, words=True
    )
    assert "word" not in shown
    assert "Broken" not in shown


def test_a_pager_that_is_not_there_is_told_once_and_turns_have_bars(cli: Cli) -> None:
    said = event("agent_message", message=f"# Big\n\n`code` {'word ' * 40}\n\n```\nx = 1\n```")
    lines = [line for number in range(1, 9) for line in turn(number, said)] * 9
    path = save(cli.home, lines)
    path.write_text(path.read_text().replace("question 8", "long " * 40))
    real = Cli(cli.home, cli.base)
    shown = on_terminal(real, "show", THREAD_ID, env={"PAGER": "no-such-pager"}, words=True)
    assert shown.count("The pager no-such-pager cannot be run") == 1
    assert shown.index("no-such-pager") < shown.index("Turn 2 ")
    assert not re.search(r"\x1b\[(?:\d+;)*4[0-8]", shown)  # no background but by reversing
    plain = STYLE.sub("", on_terminal(real, "show", THREAD_ID, env={"PAGER": "cat", "TZ": "UTC-2"}))
    assert shown.count("question") == plain.count("question") > 70
    bars = [line for line in plain.splitlines() if line.startswith(" Turn ")]
    assert re.fullmatch(
        r" Turn 1 · 2025-10-09 10:53 · 1\.5 s · question 1 +019a0000-0000 ?", bars[0]
    )
    assert re.fullmatch(r" Turn 8 · 2025-10-09 10:53 · 1\.5 s · (long )+long… *", bars[7])
    assert {"  Big", "  word word word"} <= {*plain.splitlines()}
