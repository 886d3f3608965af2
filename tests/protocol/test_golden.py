"""What the real Codex said to the script of ``protocol/script.py``, and how that is used."""

import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from cli.server.methods.registry import METHODS
from cli.server.methods.unsupported import OF_CODEX
from tests.codex import codex_app
from tests.conftest import CORPUS
from tests.protocol.compare import FOREIGN, differences, report
from tests.protocol.dialogue import Exchange, Step, dialogue, filled
from tests.protocol.record import GOLDEN, SCRIPTS, command, golden, sample_home, text
from tests.protocol.schemas import RESULTS, conforms, known
from tests.support.each import each

# Answers each request with its params, after a notification that holds the home and a time.
ECHO = """
import json, os, sys, time
for line in sys.stdin:
    asked = json.loads(line)
    home = os.environ["CODEX_HOME"]
    at = int(time.time() * 1000)
    said = {"method": "echo", "params": {"home": home + "/a"}, "emittedAtMs": at}
    print(json.dumps(said), flush=True)
    if "id" in asked:
        answer = {"id": asked["id"], "result": asked["params"]}
        print(json.dumps(answer), flush=True)
    print(json.dumps({"method": "warning", "params": {}}), flush=True)
sys.exit(3)
"""
RECORDED = [one for name in SCRIPTS for one in golden(name)]
# The milliseconds in an id
V7 = r"\b([0-9a-f]{8})-([0-9a-f]{4})-7"


def of_method(method: str) -> list[Exchange]:
    return [one for one in RECORDED if one.get("method") == method]


def heard(one: Exchange) -> list[Any]:
    """The notifications of an exchange."""
    return [*one.get("before", []), *one.get("after", [])]


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_record_is_of_this_script(name: str) -> None:
    script, recorded = SCRIPTS[name], golden(name)
    asked = [(step.name, step.method or None) for step in script()]
    assert [(one["step"], one.get("method")) for one in recorded] == asked
    assert len({name for name, _ in asked}) == len(asked)
    as_sent = json.loads(json.dumps([step.params for step in script()], default=lambda _: None))
    assert [one.get("params") for one in recorded] == as_sent


def test_nothing_of_one_machine_or_run_is_left() -> None:
    whole = "".join(GOLDEN.with_name(f"{name}.json").read_text("utf-8") for name in SCRIPTS)
    assert whole == "".join(text(golden(name)) for name in SCRIPTS)
    assert tempfile.gettempdir() not in whole
    ids = [entry["id"] for entry in json.loads((CORPUS / "manifest.json").read_text("utf-8"))]
    made = [int("".join(found), 16) for found in re.findall(V7, " ".join(ids))]
    shown = [int("".join(found), 16) for found in re.findall(V7, whole)]
    assert max(shown) < max(made) + 3_600_000
    assert len(whole) < 1_000_000


SEARCHES = {"thread/search", "thread/searchOccurrences"}
"""No step of the dialogues: tests/cli/server/test_search.py has what was recorded of them."""


def test_recorded_results_conform() -> None:
    def conform(method: str) -> None:
        results = [one["result"] for one in of_method(method) if "result" in one]
        assert results
        for result in results:
            conforms(method, filled(result))

    each(sorted(RESULTS.keys() - SEARCHES), conform)


def test_recorded_refusals_conform() -> None:
    refusals = [one for one in RECORDED if "error" in one]
    assert len(refusals) > 100
    for one in refusals:
        conforms("refusal", {"id": 1, "error": one["error"]})
    assert {one["error"]["code"] for one in refusals} == {-32600, -32601, -32602, -32603}


def test_recorded_notifications_conform() -> None:
    said = [said for one in RECORDED for said in heard(one) if said["method"] not in FOREIGN]
    for one in filled(said):
        assert known(one["method"]), one["method"]
        conforms("notification", one)
        conforms(one["method"], one["params"])
        assert isinstance(one["emittedAtMs"], int)


def test_a_dialogue_tells_what_was_said_with_placeholders(tmp_path: Path) -> None:
    steps = [
        Step("ask", "a", "echo/this", {"in": "<home>", "threadId": "0"}, {"<p>": "threadId"}),
        Step("ask more", "a", "echo/that", {"threadId": "<p>", "at": "1999-01-01T00:00:00Z"}),
        Step("tell", "a", "echo/told", {}, answered=False),
        Step("another", "b", "echo/this", {}),
        Step("end", "a", ends=True),
    ]
    (tmp_path / "home").mkdir()
    told = dialogue([sys.executable, "-c", ECHO], tmp_path / "home", steps)
    before = {"method": "echo", "params": {"home": "<home>/a"}, "emittedAtMs": "<now ms>"}
    after = {"method": "warning", "params": {}}
    around = {"before": [before], "after": [after]}
    asked = {"method": "echo/this", "params": {"in": "<home>", "threadId": "0"}}
    assert told[0] == {"step": "ask", "at": "a", **asked, "result": asked["params"]} | around
    assert told[1]["result"] == {"threadId": "0", "at": "1999-01-01T00:00:00Z"}
    assert told[2]["after"] == [before, after]
    assert "result" not in told[2]
    assert told[3]["at"] == "b"
    assert told[4] == {"step": "end", "at": "a", "exit": 3}


def test_a_server_that_ends_is_silent(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    steps = [Step("ask", "a", "x", {}), Step("ask again", "a", "x", {}), Step("e", "a", ends=True)]
    told = dialogue([sys.executable, "-c", ""], tmp_path / "home", steps)
    assert [one.get("silence") for one in told] == [True, True, None]
    assert told[2]["exit"] == 0


def test_a_record_differs_in_nothing_from_itself() -> None:
    assert differences(RECORDED, RECORDED) == {}  # so that no two steps have one name


def test_differences_are_told_by_method() -> None:
    said = {"method": "thread/started", "params": {"x": 1}}
    one: list[Exchange] = [
        {"step": "1", "method": "a", "result": {"data": [{"x": "<now>"}, {"x": 1}], "y": None}},
        {"step": "2", "method": "a", "error": {"code": 1, "message": "no"}},
        {"step": "3", "method": "b", "result": {}, "after": [said]},
        {"step": "4", "method": "b", "result": {}, "after": [said, {"method": "warning"}]},
        {"step": "5", "method": "c", "result": {}},
        {"step": "6", "method": "c", "error": {"code": 1, "message": "no"}},
        {"step": "7", "at": "a", "exit": 0},
    ]
    other: list[Exchange] = [
        {"step": "1", "method": "a", "result": {"data": [{"x": "<now>"}, {"x": True}]}},
        {"step": "2", "method": "a", "error": {"code": 2, "message": "nay"}},
        {"step": "3", "method": "b", "result": {}, "before": [said]},
        {"step": "4", "method": "b", "result": {}},
        {"step": "6", "method": "c", "silence": True},
        {"step": "7", "at": "a", "exit": "killed"},
    ]
    told = differences(one, other)
    short = {
        method: [(each.step, each.kind, each.path) for each in some]
        for method, some in told.items()
    }
    assert short == {
        "a": [
            ("1", "result", "result.data[1].x"),
            ("1", "result", "result.y"),
            ("2", "code", "error.code"),
            ("2", "message", "error.message"),
        ],
        "b": [("3", "moment", "thread/started"), ("4", "notifications", "")],
        "c": [("5", "outcome", ""), ("6", "outcome", "")],
        "(end)": [("7", "outcome", "exit")],
    }
    assert "1: result result.data[1].x: expected 1, found True" in report(told)
    ignored = frozenset({"result.data[].x", "result.y", "error.message"})
    assert [each.path for each in differences(one, other, ignored=ignored)["a"]] == ["error.code"]
    assert "… and 3 more" in report(told, limit=1)


@pytest.mark.skipif(not codex_app.is_recorded(), reason=f"needs a real Codex {codex_app.RECORDED}")
@pytest.mark.parametrize("name", SCRIPTS)
def test_codex_says_the_same_again(name: str, tmp_path: Path) -> None:
    home = sample_home(tmp_path / "home")
    told = dialogue(command(os.environ["THREADKEEP_CODEX_BIN"]), home, SCRIPTS[name]())
    found = differences(golden(name), told)
    assert not found, report(found)


def test_every_method_of_codex_is_served_or_refused_as_unsupported() -> None:
    [refusal] = [one for one in RECORDED if one["step"] == "unknown method"]
    _, *known_there = re.findall("`([^`]+)`", refusal["error"]["message"])
    assert len(known_there) > 100
    assert not {*known_there} - {*METHODS, *OF_CODEX, "initialize"}
    assert not OF_CODEX & METHODS.keys()
