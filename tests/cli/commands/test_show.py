"""``show``: a thread for reading, whatever its files hold."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from rollout.history.thread import open_history
from rollout.history.tool_calls import TOOL_CALL
from rollout.history.transcript import open_transcript
from rollout.turns.bare import BARE
from tests.samples.histories import first_line, numbered, rollouts_by_id, spell
from tests.samples.rollouts import THREAD_ID
from tests.support.command import Cli, thread_id, write_rollout
from tests.support.effort import PATIENCE_S, sample
from tests.support.reading import NEVER, TURN, call, cli, event, save, turn

__all__ = ["cli"]


OUTPUT = "\n".join(f"line {number}" for number in range(20))


def test_a_thread_reads_as_it_went(cli: Cli) -> None:
    save(
        cli.home,
        [
            *turn(
                1,
                event("agent_reasoning", text="**Looking**\n\nfirst\nsecond"),
                *call(
                    "shell",
                    {"command": ["bash", "-lc", "make all"]},
                    "Exit code: 2\nWall time: 1.5 seconds\nOutput:\n" + OUTPUT,
                ),
                event("agent_message", message="It **fails**:\n```\nmake\n```"),
            ),
            *turn(
                2,
                *call(
                    "update_plan",
                    {
                        "plan": [
                            {"step": "a", "status": "completed"},
                            {"step": "b", "status": "pending"},
                        ]
                    },
                    "ok",
                    2,
                ),
            ),
            *turn(
                3, event("turn_aborted", turn_id=TURN.format(3), reason="interrupted"), ended=False
            ),
        ],
    )
    ran = cli.run("show", THREAD_ID)
    assert ran.err == ""
    assert ran.lines[0] == "question 1"
    assert (
        ran.out.partition("\n\n")[2]
        == f"""\
turn 1 · 2025-10-09T08:53:20Z · 1.5 s · {TURN.format(1)}

user
  question 1

reasoning
  **Looking**
  … 3 more lines (--full)

$ make all  (exit 2, 1.5 s)
  line 0
  line 1
  line 2
  line 3
  … 12 more lines (--full)
  line 16
  line 17
  line 18
  line 19

agent
  It **fails**:
  ```
  make
  ```

turn 2 · 2025-10-09T08:53:20Z · 1.5 s · {TURN.format(2)}

user
  question 2

plan
  [x] a
  [ ] b

turn 3 · 2025-10-09T08:53:20Z · interrupted · {TURN.format(3)}

user
  question 3

interrupted
"""
    )
    full = cli.run("show", THREAD_ID, "--full").out
    assert all(f"\n  line {number}\n" in full for number in range(20))
    assert "second" in full
    assert "--full" not in full


def test_turns_are_chosen_by_number_id_and_from_the_end(cli: Cli) -> None:
    save(cli.home, [*turn(1), *turn(2), *turn(3)])

    def shown(*options: str) -> list[str]:
        return re.findall(r"question \d", cli.run("show", THREAD_ID, *options).out)[1:]

    assert shown() == ["question 1", "question 2", "question 3"]
    assert shown("--last", "2") == ["question 2", "question 3"]
    assert shown("--last", "9") == shown()
    assert shown("--turn", "2") == ["question 2"]
    assert shown("--turn=-1") == ["question 3"]
    assert shown("--turn", TURN.format(2)) == ["question 2"]
    ran = cli.run("show", THREAD_ID, "--last", "1")
    assert "Turn 3 of 3: --outline lists all." in ran.out
    assert shown("--turn", "2-") == shown("--turn", "3,2") == ["question 2", "question 3"]
    assert "Turns 1, 3 of 3:" in cli.run("show", THREAD_ID, "--turn=-1,1").out
    document = cli.run("show", THREAD_ID, "--turn", "2", "--json").json
    assert [each["id"] for each in document["thread"]["turns"]] == [TURN.format(2)]
    save(cli.home, turn(1))
    wrong = cli.run("show", THREAD_ID, "--turn", "2", status=3).err
    assert "the thread has no turn '2' (its only turn: 1 'question 1')" in wrong


@pytest.mark.parametrize(
    "name", ["0", "4", "-4", "--4", "no such turn", "-1000", "9" * 5000, "3-", "1,9", "2-1", ","]
)
def test_a_turn_that_is_not_there_is_told_with_those_that_are(cli: Cli, name: str) -> None:
    save(cli.home, [*turn(1), *turn(2)])
    ran = cli.run("show", THREAD_ID, f"--turn={name}", status=3)
    assert ran.out == ""
    assert "(the last of its 2 turns: 1 'question 1', 2 'question 2')" in ran.err
    assert "threadkeep show THREAD --outline" in ran.err


@pytest.mark.parametrize("name", ["", "019a", "019a0000-0000-7000-9000"])
def test_a_beginning_that_several_turns_have_is_told_as_such(cli: Cli, name: str) -> None:
    save(cli.home, [*turn(1), *turn(2)])
    ran = cli.run("show", THREAD_ID, f"--turn={name}", status=2)
    assert f"turn {name!r} is ambiguous: 2 turns have ids that begin with it" in ran.err
    assert "--turn=-1" in ran.err


def test_an_outline_lists_prompts(cli: Cli) -> None:
    save(cli.home, [*turn(1), *turn(2, *call("shell", {"command": ["ls"]}, "x"))])
    ran = cli.run("show", THREAD_ID, "--outline")
    nothing = "\t0" * 4 + "\t"
    assert ran.lines == [f"{n}\t2025-10-09T08:53:20Z\tquestion {n}{nothing}" for n in (1, 2)]
    document = cli.run("show", THREAD_ID, "--outline", "--turn", "2", "--json").json
    assert (document["version"], document["id"], document["turnCount"]) == (1, THREAD_ID, 2)
    assert document["turns"] == [
        {
            "number": 2,
            "id": TURN.format(2),
            "status": "completed",
            "startedAt": 1_760_000_000,
            "completedAt": 1_760_000_002,
            "durationMs": 1500,
            "prompt": "question 2",
            "files": [],
            "failures": [],
            "tokens": None,
        }
    ]
    cli.run("show", THREAD_ID, "--outline", "--full", status=2)
    picture = event("user_message", message=" ", images=["data:image/png;base64,AAAA"])
    review = event(
        "entered_review_mode",
        target={"type": "custom", "instructions": "x"},
        user_facing_hint="Look at it\nclosely",
    )
    compacted = event("context_compacted")
    ends = [(turn(n)[0], each, turn(n)[-1]) for n, each in enumerate((picture, review, compacted))]
    save(cli.home, [line for each in ends for line in each])
    prompts = [line.split("\t")[2] for line in cli.run("show", THREAD_ID, "--outline").lines]
    assert prompts == ["[image]", "Look at it", "the history was compacted here"]


def test_a_patch_is_named_for_its_files(cli: Cli) -> None:
    files = [f"*** Update File: {name}.py" for name in "abcde"]
    patch = "\n".join(["*** Begin Patch", *files, "*** End Patch"])
    done = {"output": "Success. Updated", "metadata": {"exit_code": 0, "duration_seconds": 0.1}}
    failed = {"output": "no such line", "metadata": {"exit_code": 1}}
    save(
        cli.home,
        turn(
            1,
            *call("apply_patch", {"input": patch}, json.dumps(done), 1),
            *call("apply_patch", {"input": files[0]}, json.dumps(failed), 2),
        ),
    )
    lines = cli.run("show", THREAD_ID).lines
    assert "patch a.py, b.py, c.py and 2 more files" in lines
    assert "patch a.py  (failed)" in lines
    assert "patch output" in lines


@pytest.mark.parametrize(
    "words", [["--turn", "1", "--last", "1"], ["--meta", "--full"], ["--last", "0"]]
)
def test_options_that_exclude_each_other_are_refused(cli: Cli, words: list[str]) -> None:
    cli.run("show", THREAD_ID, *words, status=2)


def test_commands_of_a_legacy_thread_are_beside_what_codex_has(cli: Cli) -> None:
    path = save(
        cli.home,
        [
            *turn(1, *call("shell_command", {"command": "ls"}, "a.txt")),
            *turn(2, *call("shell_command", {"command": "rm a.txt"}, "", 2)),
            event("thread_rolled_back", num_turns=1),
            *turn(3, *call("exec_command", {"cmd": "pwd"}, "/w", 3)),
        ],
    )
    document = cli.run("show", THREAD_ID, "--json").json
    turns = document["thread"]["turns"]
    with open_transcript(path, lambda _: None) as dialogue:
        assert turns == [dialogue.answer(at) for at in range(2)]
    assert [len(each["items"]) for each in turns] == [1, 1]
    assert [(each["turnId"], each["index"]) for each in document["others"]] == [
        (TURN.format(1), 1),
        (TURN.format(3), 1),
    ]
    assert {each["item"]["type"] for each in document["others"]} == {TOOL_CALL}
    out = cli.run("show", THREAD_ID).out
    assert "$ ls" in out
    assert "$ pwd" in out
    assert "rm a.txt" not in out  # it was rolled back, and is nobody's


def test_a_call_that_an_item_shows_is_not_shown_twice(corpus: Cli) -> None:
    out = corpus.run("show", "019d9641").out  # an MCP call: an item and a function_call
    assert out.count("mcp_echo") == 1
    assert "user rejected MCP tool call" in out
    assert corpus.run("show", "019cc5c2").out.count("notes_73.txt") == 1


def test_the_json_is_what_the_history_has_with_turns(corpus: Cli) -> None:
    paths = rollouts_by_id(corpus.home)
    for id_ in ("01a1f8ef-3281", "01a1e766", "019c5993"):
        document = corpus.run("show", id_, "--json").json
        thread = document["thread"]
        meta = corpus.run("show", id_, "--meta", "--json").json
        assert thread | {"turns": []} == meta["thread"]
        assert document["movedTo"] == meta["movedTo"]
        row_path = Path(thread["path"])
        history = open_history(row_path, paths.get)
        with history.reader() as reader:
            assert thread["turns"] == [reader.turn(each) for each in history.turns]


def test_every_thread_of_the_corpus_can_be_read(corpus: Cli) -> None:
    ids = set(corpus.ids("--all", "--all-sources")) | set(corpus.ids("--all", "--archived"))
    assert len(ids) > 100
    empty = []
    for id_ in sample(sorted(ids)):
        printed = corpus.run("show", id_).out
        assert not NEVER.search(printed), id_
        assert id_ in printed
        if "No messages" in printed:
            empty.append(id_)
    assert len(empty) < 5


def test_an_unknown_history_mode_is_told_and_its_facts_are_there(cli: Cli) -> None:
    path = save(cli.home, turn(1))
    path.write_text(path.read_text().replace('"legacy"', '"new"', 1))
    ran = cli.run("show", THREAD_ID, status=4)
    assert ran.out == ""
    assert "history mode 'new'" in ran.err
    assert "--meta" in ran.err
    assert "unknown to this version" in cli.run("show", THREAD_ID, "--meta").out
    refused = cli.run("show", THREAD_ID, "--json", status=4).json["error"]
    assert (refused["kind"], refused["code"]) == ("history_unknown", 4)


def test_files_of_the_first_versions_read_too(corpus: Cli) -> None:
    out = corpus.run("show", "eae31d5b").out
    assert "\n$ echo hello-from-tool && pwd  (exit 0)\n  hello-from-tool\n" in out
    assert "\nuser\n" in out
    path = rollouts_by_id(corpus.home)["eae31d5b-850e-44ad-8bb2-e122a3a07a58"]
    with open_transcript(path, lambda _: None) as dialogue:
        assert dialogue.mode == BARE


def test_what_is_not_known_is_told_as_such(cli: Cli) -> None:
    new = {"type": "HoloDeck", "id": "h1", "program": "Dixon Hill"}
    base = {"thread_id": THREAD_ID, "turn_id": TURN.format(1)}
    lines = [
        event("task_started", turn_id=TURN.format(1), model_context_window=1),
        event("item_completed", **base, item=new),
        event("item_completed", **base | {"turn_id": TURN.format(9)}, item=new | {"id": "h2"}),
    ]
    save(cli.home, lines, "paginated")
    out = cli.run("show", THREAD_ID).out
    assert "holoDeck, unknown to this version" in out
    assert "Dixon Hill" in out
    assert "outside of any turn" in out
    assert "not finished" in out
    document = cli.run("show", THREAD_ID, "--json").json
    assert document["thread"]["turns"][0]["items"] == []
    assert [each["item"]["raw"]["id"] for each in document["others"]] == ["h1", "h2"]


def test_a_closed_pipe_ends_it_quietly(cli: Cli) -> None:
    many = [*call("shell_command", {"command": "x"}, "word\n" * 50_000)]
    save(cli.home, turn(1, *many))
    real = Cli(cli.home, cli.base)
    with real.start(
        "show", THREAD_ID, "--full", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(PATIENCE_S) == 0


def test_a_fork_reads_with_what_it_begins_with(corpus: Cli) -> None:
    turns = corpus.run("show", "01a1f8ef-3281", "--json").json["thread"]["turns"]
    assert len(turns) == 4
    assert corpus.run("show", "01a1f8ef-3281").out.count("\nuser\n") == 4


def test_a_beginning_that_is_gone_is_told(cli: Cli) -> None:
    base = {"thread_id": thread_id(7), "end_ordinal_exclusive": 5, "end_byte_offset": 5}
    lines = [first_line("paginated", history_base=base), *turn(1)]
    path = save(cli.home, [], "paginated")
    path.write_bytes(spell(numbered(lines, 5)))
    assert "The beginning is missing" in cli.run("show", THREAD_ID).out


def test_damage_is_told_and_does_not_hide_the_rest(cli: Cli) -> None:
    path = save(cli.home, [*turn(1), *turn(2)])
    path.write_bytes(path.read_bytes().replace(b"question 1", b"question 1\n{torn", 1))
    out = cli.run("show", THREAD_ID).out
    assert "cannot be read" in out
    assert "question 2" in out


@pytest.mark.full
@pytest.mark.parametrize("options", [["--last", "1"], [], ["--full"], ["--json"]], ids=str)
def test_a_thread_of_50_mb_takes_no_more_memory_than_a_small_one(
    cli: Cli, options: list[str]
) -> None:
    inner = [
        line
        for number in range(5)
        for line in call("shell_command", {"command": "make"}, "some words\n" * 10_000, number)
    ]
    path = save(cli.home, turn(1, *inner))
    chunk = spell(turn(2, *inner))
    with path.open("ab") as file:
        while file.tell() < 50 * 2**20:
            file.write(chunk)
    real = Cli(cli.home, cli.base)
    real.run("backfill")
    peak = real.peak_memory("show", THREAD_ID, *options)
    assert peak < 88_000  # KB; 66,000 with rollouts of any size
    assert os.path.getsize(path) > 50 * 2**20


def test_a_thread_that_write_rollout_makes_has_its_one_turn(cli: Cli) -> None:
    write_rollout(cli.home, 1, "hello")
    assert "\nuser\n  hello\n" in cli.run("show", thread_id(1)).out
