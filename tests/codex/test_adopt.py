"""What the command finds that takes in a new version of Codex."""

import copy
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tests import ROOT
from tests.codex import adopt
from tests.codex.client import AppServer
from tests.codex.facts import known, measure
from tests.codex.facts.agreement import ask, differences, unequal, unknown_methods, worded
from tests.codex.facts.record import RECORDED, Record, changes, load, text
from tests.codex.scenarios import SCENARIOS
from tests.protocol.compare import ABSENT, Difference
from tests.support.app_client import soon
from tests.support.command import COMMAND, Cli, thread_id, write_rollout

CODEX = os.environ.get("THREADKEEP_CODEX_BIN", "")
FAKE = f"""#!{sys.executable}
import os, pathlib, sys, time
if sys.argv[1] == "--version":
    print("codex-cli 9.9.9")
elif {{hangs}}:
    pathlib.Path(sys.argv[0] + ".pid").write_text(str(os.getpid()))
    time.sleep(60)
else:
    sys.exit("it does nothing")
"""


@pytest.fixture(scope="module")
def recorded() -> Record:
    return load()


def fake(folder: Path, *, hangs: bool) -> Path:
    """A program that says that it is a Codex."""
    path = folder / "codex"
    path.write_text(FAKE.format(hangs=hangs))
    path.chmod(0o755)
    return path


def runs(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_record_can_be_read_and_is_of_no_machine(recorded: Record) -> None:
    written = RECORDED.read_text("utf-8")
    assert text(recorded) == written
    assert tempfile.gettempdir() not in written
    assert str(ROOT) not in written
    assert len(written) < 500_000
    assert max(map(len, written.splitlines())) < 1500
    assert f"\n| {recorded.version} |" in (ROOT / "docs/differences.md").read_text("utf-8")


def test_the_record_holds_what_the_scenarios_leave(recorded: Record) -> None:
    facts = recorded.facts
    assert facts["lines"]["session_meta"]["payload.history_mode"] == {"'legacy'", "'paginated'"}
    assert "event_msg/item_completed/Extension/clock.sleep" in facts["lines"]
    assert "thread.turns[].items[mcpToolCall].server" in facts["answers"]["result of thread/read"]
    assert "ClientRequest[thread/list]" in facts["protocol"]
    assert facts["protocol"]["ThreadListParams"]["cursor"] == {"null", "string"}
    assert "rollout_path" in facts["databases"]["state_5.sqlite table threads"]
    assert facts["files"]["state_5.sqlite"] == {"": {"file"}}


def test_nothing_is_new_in_the_same(recorded: Record) -> None:
    assert changes(recorded, copy.deepcopy(recorded)) == ""


def test_all_that_is_new_is_told(recorded: Record) -> None:
    new = copy.deepcopy(recorded)
    lines, protocol = new.facts["lines"], new.facts["protocol"]
    databases = new.facts["databases"]
    lines["event_msg/thread_blessed"] = {"payload.by": {"string"}, "type": {"'event_msg'"}}
    lines["session_meta"]["payload.mood"] = {"'calm'", "null"}
    lines["session_meta"]["payload.history_mode"].add("'threaded'")
    for subject in ("compacted", "turn_context", "world_state"):
        lines[subject]["metadata.seal"] = {"string"}
    protocol["ClientRequest[thread/bless]"] = {"params": {"ThreadBlessParams", "experimental"}}
    protocol["ThreadListParams"]["blessed"] = {"boolean", "null"}
    protocol["CodexErrorInfo"][""].add("'cursed'")
    databases["state_5.sqlite migrations"]["999"] = {"blessings"}
    databases["state_5.sqlite table threads"]["blessed"] = {"INTEGER NOT NULL DEFAULT 0"}
    databases["state_5.sqlite trigger bless"] = {"on threads": {"AFTER INSERT ON threads"}}
    assert changes(recorded, new).splitlines() == [
        "Lines of rollouts:",
        "  + event_msg/thread_blessed: payload.by (string), type ('event_msg')",
        "  + metadata.seal: string, in 3: compacted, turn_context, world_state",
        "  + session_meta payload.history_mode: 'threaded'",
        "  + session_meta payload.mood: 'calm' | null",
        "",
        "Types of the protocol:",
        "  + ClientRequest[thread/bless] (experimental): params (ThreadBlessParams)",
        "  + CodexErrorInfo 'cursed'",
        "  + ThreadListParams blessed: boolean | null",
        "",
        "Databases:",
        "  + state_5.sqlite trigger bless: on threads (AFTER INSERT ON threads)",
        "  + state_5.sqlite migrations 999: blessings",
        "  + state_5.sqlite table threads blessed: INTEGER NOT NULL DEFAULT 0",
    ]
    gone = changes(new, recorded)
    assert "  - session_meta payload.history_mode: 'threaded'" in gone
    assert gone.count("  - ") == 10
    assert "+" not in gone
    assert "Lines of rollouts" not in changes(new, recorded, partly=True)
    assert "  - ThreadListParams blessed: boolean | null" in changes(new, recorded, partly=True)


def test_lines_are_told_by_kinds_paths_and_words(home: Path) -> None:
    path = write_rollout(home, 1)
    item = {"type": "Extension", "kind": "clock.sleep", "id": "i1", "/w/a.txt": {"type": "add"}}
    content = [{"type": "input_text", "text": "one"}, {"type": "input_image", "detail": "high"}]
    more: list[Any] = [
        {"type": "event_msg", "payload": {"type": "item_completed", "item": item}},
        {"type": "response_item", "payload": {"role": "user", "content": content}},
    ]
    data = path.read_bytes() + b"".join(json.dumps(line).encode() + b"\n" for line in more)
    path.with_name(f"{path.name}.zst").write_bytes(zstandard.compress(data + b'{"torn'))
    path.unlink()
    facts = measure.of_rollouts(home)
    assert facts["session_meta"]["payload.originator"] == {"'codex_cli_rs'"}
    assert facts["session_meta"]["payload.id"] == {"string"}
    slept = facts["event_msg/item_completed/Extension/clock.sleep"]
    assert slept["payload.item[Extension].*.type"] == {"'add'"}
    assert facts["response_item/user"]["payload.content[input_image].detail"] == {"'high'"}
    assert facts["response_item/user"]["payload.content[input_text].text"] == {"string"}
    assert "(no JSON)" in facts
    assert measure.of_files(home) == {
        "sessions/<date>/rollout-<time>-<id>.jsonl.zst": {"": {"file"}}
    }


def test_databases_are_told_by_columns_constraints_and_migrations(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a_1.sqlite")) as connection:
        connection.executescript(
            "CREATE TABLE t (id TEXT PRIMARY KEY, -- the id, of course\n"
            " state TEXT NOT NULL CHECK (state IN ('a, b', 'c')), UNIQUE (id, state));"
            "CREATE UNIQUE INDEX i ON t(state DESC) WHERE state <> '';"
            "CREATE TRIGGER w AFTER INSERT ON t BEGIN DELETE FROM t; END;"
            "CREATE TABLE _sqlx_migrations (version, description);"
            "INSERT INTO _sqlx_migrations VALUES (1, 'the first')"
        )
    assert measure.of_databases(tmp_path) == {
        "a_1.sqlite table t": {
            "id": {"TEXT PRIMARY KEY"},
            "state": {"TEXT NOT NULL CHECK (state IN ('a, b', 'c'))"},
            "(constraint)": {"UNIQUE (id, state)"},
        },
        "a_1.sqlite index i": {"on t": {"UNIQUE (state DESC) WHERE state <> ''"}},
        "a_1.sqlite trigger w": {"on t": {"AFTER INSERT ON t BEGIN DELETE FROM t; END"}},
        "a_1.sqlite migrations": {"1": {"the first"}},
    }


def test_answers_are_compared_by_ids_and_types() -> None:
    def item(id_: str, kind: str, **more: Any) -> dict[str, Any]:
        return {"id": id_, "type": kind, **more}

    one = [item("a", "plan", text="x"), item("b", "mcp", new=None), item("c", "plan"), {"id": "d"}]
    other = [item("b", "mcp"), item("a", "plan", text="y"), item("c", "image"), {"id": "e"}]
    assert list(unequal(one, other, "items")) == [
        ("items[=d]", {"id": "d"}, ABSENT),
        ("items[=e]", ABSENT, {"id": "e"}),
        ("items.order", ["a", "b", "c"], ["b", "a", "c"]),
        ("items[plan].text", "x", "y"),
        ("items[mcp].new", None, ABSENT),
        ("items[].type", "[plan]", "[image]"),
    ]
    assert list(unequal([1, 2], [1], "n")) == [("n.length", 2, 1)]
    assert list(unequal([{"id": "a"}] * 2, [{"id": "a"}], "n")) == [("n.repeated", 1, 0)]


def test_threadkeep_is_asked_which_methods_it_knows(home: Path, tmp_path: Path) -> None:
    write_rollout(home, 1)
    cli = Cli(home, tmp_path)
    cli.run("sync")  # or the server answers from an index that it is only filling
    with AppServer([*COMMAND, "app-server"], tmp_path, cli.environment()) as server:
        told = unknown_methods(server, ["turn/start", "thread/list", "thread/bless"])
        answers = ask(server, {thread_id(1): "a thread"})
    assert told == ["thread/bless"]
    assert [one["preview"] for one in answers["thread/list", "by default"]["result"]["data"]] == [
        "hello"
    ]
    assert not list(differences(answers, answers, {}))


def test_differences_of_one_place_make_a_line() -> None:
    places = (("thread/read", "result.thread.turns[]"), ("thread/turns/list", "result.data[]"))
    told = worded(
        Difference(method, "tools legacy 1", "result", f"{path}.items[plan].text", "x", ABSENT)
        for method, path in places
    )
    assert told == [
        "turn.items[plan].text: 1 in thread/read, 1 in thread/turns/list; tools legacy 1:"
        ' Codex "x", threadkeep (absent)'
    ]


def test_every_difference_that_is_meant_is_told_in_the_docs() -> None:
    told = (ROOT / "docs" / "differences.md").read_text("utf-8")
    rows = {line.split("|")[1].strip() for line in told.splitlines() if line.startswith("| ")}
    assert not {one.told for one in known.HERE} - rows
    new = Difference("thread/read", "tools legacy 1", "result", "result.thread.preview", "a", "b")
    assert not known.is_known(new)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere"], "nowhere cannot be run: "),
        ([sys.executable], "is not a Codex: `--version` says 'Python "),
        (["{fake}", "--only", "dances"], "there is no scenario dances; --help names them all"),
        (["{fake}", "--keep", "{fake}"], "name a folder that is not there"),
    ],
)
def test_what_cannot_begin_is_told(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    binary = str(fake(tmp_path, hangs=False))
    assert adopt.main([one.replace("{fake}", binary) for one in arguments]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("adopt: ")
    assert says in err


def test_what_fails_is_named_and_the_rest_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept"
    binary = str(fake(tmp_path, hangs=False))
    only = ["--only", "unused", "--only", "run_a_review"]
    assert adopt.main([binary, "--keep", str(kept), *only]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("Codex 9.9.9, against the recorded ")
    failed = [line.split(": ")[0] for line in out.partition("\nFailed:\n")[2].splitlines()]
    assert failed == [
        "  generate-json-schema",
        "  run_a_review",
        "  unused paginated",
        "  unused legacy",
        "  comparing the answers",
    ]
    assert "run_a_review: Failed: exec ended with status 1: it does nothing" in out
    assert "[3/3] unused legacy" in err
    assert (kept / "driven" / "config.toml").exists()


def test_an_interruption_ends_it_and_what_it_started(tmp_path: Path) -> None:
    binary = fake(tmp_path, hangs=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.codex.adopt", str(binary), "--only", "unused"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    child = Path(f"{binary}.pid")
    while not (child.exists() and child.read_text()):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err.splitlines()[-1]) == (130, "adopt: interrupted")
    soon(lambda: not runs(int(child.read_text())))
    assert not [*tmp_path.glob("codex-*")]


def test_help_names_the_scenarios(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        adopt.main(["--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert all(one.name.split()[0] in told for one in SCENARIOS)


@pytest.mark.skipif(not CODEX, reason="no THREADKEEP_CODEX_BIN")
def test_the_real_codex_goes_through_scenarios(
    recorded: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    only = [f"--only={name}" for name in ("run", "tools", "interruptions", "archives")]
    adopt.main([CODEX, *only, "--keep", str(tmp_path / "kept")])
    out, _ = capsys.readouterr()
    assert "Failed:" not in out
    assert len(measure.rollout_files(tmp_path / "kept" / "driven")) > 10
    if adopt.version_of(Path(CODEX)) == recorded.version:
        assert "+ " not in out
