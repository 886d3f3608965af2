"""What shows a fleet says at its start what it cannot do."""

import asyncio
import socket
from pathlib import Path

import pytest

from cli.arguments.locations import Locations
from cli.fleet.config import VARIABLE
from cli.runtime.serving import kept_index
from cli.runtime.serving.kept_index import KeptIndex
from state.errors import FleetBusy
from tests.cli.fleet.faces import Faces
from tests.support.command import Inside
from tests.support.postgres.cluster import Fleet

ADDRESS = "host=/nowhere dbname=fleet"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["web", "--fleet", ADDRESS, "--allow-changes"], "--allow-changes: a fleet is only read"),
        (
            ["app-server", "--fleet", ADDRESS, "--listen", "unix://"],
            "unix:// alone is for a server of this home",
        ),
        (["web", "--machine", "laptop"], "add --fleet"),
        (["mcp", "--user", "ann"], "add --fleet"),
        (["mcp", "--fleet", "postgresql://me:secret@db/fleet"], "has a password in it"),
    ],
)
def test_what_a_fleet_cannot_be_is_refused(tmp_path: Path, words: list[str], told: str) -> None:
    ran = Inside(tmp_path / "home", tmp_path).run(*words, status=2)
    assert told in " ".join(ran.err.split())
    assert "secret" not in ran.err


@pytest.mark.parametrize("words", [["web"], ["mcp"], ["app-server"]])
def test_a_server_does_not_begin_with_whom_the_fleet_does_not_have(
    both: Faces, tmp_path: Path, words: list[str]
) -> None:
    assert both.fleet.fleet is not None
    ran = Inside(tmp_path / "home", tmp_path, {VARIABLE: both.fleet.fleet})
    told = ran.run(*words, "--fleet", "--machine", "desktop", status=2).err
    assert "no machine of the fleet is called 'desktop': it has laptop" in " ".join(told.split())
    told = ran.run(*words, "--fleet", "--user", "ann", status=2).err
    assert "no user of the fleet is called 'ann': it has me" in " ".join(told.split())


def test_a_fleet_that_does_not_answer_is_not_taken_for_an_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_index, "_PATIENCE_S", 0.2)

    async def ask(here: Locations) -> None:
        async with KeptIndex(here) as kept:
            with pytest.raises(FleetBusy, match="the fleet is busy: it has not answered"):
                await kept.store()

    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"host=127.0.0.1 port={silent.getsockname()[1]} dbname=fleet user=me"
        asyncio.run(ask(Locations(tmp_path, tmp_path / "index.sqlite3", None, address)))


def test_a_machine_without_threads_is_said_to_have_none(fleet: Fleet, tmp_path: Path) -> None:
    fleet.machine("server")
    here = Inside(tmp_path / "home", tmp_path, {VARIABLE: fleet.reader()})
    for words in (["list"], ["search", "word"], ["stats"]):
        ran = here.run(*words, "--fleet", "--machine", "server", status=1)
        assert "Machine server has no threads in the fleet." in ran.err
    assert "No threads in the fleet yet" in here.run("list", "--fleet", status=1).err
