"""A real Codex goes on with a thread that was pulled from another machine."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from cli.fleet.config import VARIABLE
from tests.codex.codex_app import Call, answers, codex_exec
from tests.codex.mock_model import mock_model
from tests.codex.model.deeds import ANSWER
from tests.codex.model.request import Request
from tests.support.command import Inside
from tests.support.postgres.cluster import Fleet

CODEX = os.environ.get("THREADKEEP_CODEX_BIN", "")
pytestmark = pytest.mark.skipif(not CODEX, reason="no THREADKEEP_CODEX_BIN")


@pytest.fixture
def asked() -> list[Request]:
    """What the model is asked."""
    return []


@pytest.fixture
def config(asked: list[Request]) -> Iterator[str]:
    """What makes Codex ask a model server of ours."""
    with mock_model(asked=asked) as text:
        yield text


@pytest.mark.parametrize("form", ["plain", "compressed", "archived"])
def test_codex_goes_on_with_a_pulled_thread(
    form: str, tmp_path: Path, fleet: Fleet, config: str, asked: list[Request]
) -> None:
    there, here = tmp_path / "home", tmp_path / "here"
    there.mkdir()
    here.mkdir()
    codex_exec(CODEX, there, config, "the question of the first machine")
    (path,) = there.rglob("rollout-*.jsonl")
    if form == "archived":
        (there / "archived_sessions").mkdir()
        path = path.rename(there / "archived_sessions" / path.name)
    if form == "compressed":
        plain, path = path, path.with_name(f"{path.name}.zst")
        path.write_bytes(zstandard.compress(plain.read_bytes()))
        plain.unlink()
    codex_exec(CODEX, here, config, "a thread that is here already")
    asked.clear()
    clis = [
        Inside(home, tmp_path / home.name, {VARIABLE: fleet.machine(home.name, reads=True)})
        for home in (there, here)
    ]
    (id_,) = clis[0].ids("--all-sources", *(["--archived"] if form == "archived" else []))
    clis[0].run("push", "--level", "raw")
    assert clis[1].run("pull", id_).out == f"cd {there} && codex resume {id_}\n"
    calls: list[Call] = [
        ("thread/list", {"sourceKinds": ["exec"]}),
        ("thread/read", {"threadId": id_}),
    ]
    listed, read = answers(CODEX, here, calls)
    assert id_ in [thread["id"] for thread in listed["result"]["data"]]
    assert read["result"]["thread"]["preview"] == "the question of the first machine"
    codex_exec(CODEX, here, config, "resume", id_, "the question of the second machine")
    sent = json.dumps(asked[-1].input)
    places = [
        sent.find(text)
        for text in (
            "the question of the first machine",
            ANSWER,
            "the question of the second machine",
        )
    ]
    assert -1 not in places
    assert places == sorted(places)
    if form == "plain":
        clis[1].run("push", "--level", "raw")
        assert "of new lines" in clis[0].run("pull", id_).err
        pulled = here / path.relative_to(there)
        assert path.read_bytes() == pulled.read_bytes()
        codex_exec(CODEX, there, config, "resume", id_, "the third question")
        sent = json.dumps(asked[-1].input)
        second, third = sent.find("question of the second"), sent.find("the third question")
        assert -1 < second < third
