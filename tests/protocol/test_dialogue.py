"""Our server is asked everything that Codex 0.169 was asked for ``protocol/golden.json`` and
``protocol/turns.json``, and differs from it in what is known to differ, and in nothing else."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

import pytest

from tests import ROOT
from tests.protocol.compare import Difference, differences
from tests.protocol.dialogue import Step, dialogue
from tests.protocol.known import KNOWN, unknown, unseen
from tests.protocol.known_class import Known
from tests.protocol.record import SCRIPTS, golden, sample_home
from tests.protocol.sample import EXPERIMENTAL
from tests.support.command import COMMAND, Inside

SERVER = (*COMMAND, "app-server", "--listen", "stdio://")
SERVED_HERE: Final = (
    "thread/start with modelProvider=nobody",
    "thread/resume of legacy with modelProvider=nobody",
)
"""Steps that Codex refuses. Here they are served, and their live threads would show in later
answers."""
Told = dict[str, list[Difference]]


def aside(script: Iterable[Step]) -> Iterator[Step]:
    """The steps in order, those of :data:`SERVED_HERE` each by a client of its own."""
    for step in script:
        if step.name not in SERVED_HERE:
            yield step
            continue
        at = f"aside: {step.name}"
        yield Step(f"greeting of {at}", at, "initialize", EXPERIMENTAL)
        yield replace(step, at=at)
        yield Step(f"end of {at}", at, ends=True)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """All that our server says otherwise."""
    found: Told = {}
    for name, script in SCRIPTS.items():
        folder = tmp_path_factory.mktemp(name)
        home = sample_home(folder / "home")
        index = {"THREADKEEP_DB": str(folder / "index.sqlite3")}
        # Codex has its database filled before it answers, too.
        Inside(home, folder, index).run("list")
        steps = list(aside(script()))
        said = dialogue(SERVER, home, steps, mark="threadkeep/mark", environment=index)
        for method, some in differences(golden(name), said).items():
            found.setdefault(method, []).extend(some)
    return found


def test_every_difference_from_codex_is_known(told: Told) -> None:
    assert not (left := unknown(told)), f"\n{left}"


def test_every_known_difference_is_still_there(told: Told) -> None:
    assert not unseen(told)


def test_every_known_difference_is_told_in_the_docs() -> None:
    told = (ROOT / "docs" / "differences.md").read_text("utf-8")
    rows = {line.split("|")[1].strip() for line in told.splitlines() if line.startswith("| ")}
    assert not {known.told for known in KNOWN} - rows


def test_a_new_difference_is_of_no_known_class() -> None:
    new = Difference("thread/read", "read legacy", "result", "result.thread.cwd", "/a", "/b")
    assert "read legacy: result result.thread.cwd: expected '/a', found '/b'" in unknown(
        {"thread/read": [new]}
    )


def test_a_known_class_without_a_difference_is_told() -> None:
    assert len(unseen({})) == len(KNOWN)
    assert isinstance(KNOWN[0], Known)
