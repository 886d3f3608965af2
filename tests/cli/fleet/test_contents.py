"""``show``, ``export`` and ``pull``: threads of other machines, as far as these push them."""

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mcp.client import Client

from cli.arguments.locations import Locations
from cli.fleet.config import VARIABLE
from cli.mcp.server import make_server
from cli.runtime.serving.kept_index import KeptIndex
from state.edit.marks import set_marks
from state.userdata.marks import NOTE
from tests.cli.mcp.support import called
from tests.cli.web.support import web
from tests.samples.homes import encoded
from tests.samples.usage import used
from tests.state.fleet.contents import machine
from tests.support.command import Cli, Inside, thread_id, write_rollout
from tests.support.postgres.cluster import Cluster, new_fleet
from tests.support.postgres.copied import put_index

ONE, TWO, THREE, FOUR = map(thread_id, (1, 2, 3, 4))
USED = ("2026-10-02T09:00:00Z", "gpt-5", 90_000)


@dataclass(frozen=True)
class Fleet:
    """A desk has four threads, of which it has pushed all of two, the row of the third, and the
    messages of the fourth. A lap has the first one, too, as it was before."""

    desk: Cli
    here: Cli
    """A machine that has none of them."""
    reader: Locations
    """Those of a server that reads them."""


@pytest.fixture(scope="module")
def filled(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    base = tmp_path_factory.mktemp("machines")
    with new_fleet(cluster) as fleet:
        for name, numbers in (("desk", (1, 2, 3, 4)), ("lap", (1,))):
            home = base / name / "home"
            for number in numbers:
                path = write_rollout(home, number, f"question {number}")
                (home / "config.toml").write_text('model_provider = "acme"\n')
                if number == 2:
                    path.write_text(path.read_text().replace(', "model_provider": "openai"', ""))
                if name == "desk" and number == 1:
                    with path.open("a") as file:
                        file.write(path.read_text().splitlines()[1].replace("question", "again"))
                        file.write("\n")
                if name == "lap":  # whose model no newest copy has used
                    seconds = path.stat().st_mtime
                    with path.open("ab") as added:
                        added.write(encoded(used(1, USED)[1::2]))
                    os.utime(path, (seconds, seconds))

            async def push(name: str, numbers: tuple[int, ...]) -> None:
                async with machine(fleet, base / name, name, user=f"of {name}") as pushing:
                    if name == "lap":
                        await set_marks(pushing.index, [ONE], {NOTE: "of the lap"})
                    put_index(fleet, name, pushing.index.database.path)
                    await pushing.push(*(thread_id(number) for number in numbers if number < 3))
                    await pushing.push_messages(fleet, FOUR)

            asyncio.run(push(name, numbers))
        with fleet.administered() as admin:
            admin.execute(
                "UPDATE threadkeep.threads SET name = 'named' WHERE id = ANY(%s)", [[TWO, FOUR]]
            )
        here = Inside(base / "here", base, {VARIABLE: fleet.reader()})
        here.home.mkdir()
        reader = Locations(base / "none", base / "reader.sqlite3", None, fleet.reader("server"))
        yield Fleet(Inside(base / "desk" / "home", base / "desk"), here, reader)


def test_a_thread_of_another_machine_reads_as_there(filled: Fleet) -> None:
    own = filled.desk.run("show", TWO).out.splitlines()
    other = filled.here.run("show", TWO, "--fleet").out.splitlines()
    assert other[0].startswith("named")
    assert other[1] == own[1].replace(" · /w", " · machine desk (of desk) · /w")
    assert other[2:] == own[2:]
    local = filled.desk.run("show", TWO, "--json").json
    document = filled.here.run("show", TWO, "--fleet", "--json").json
    assert document["thread"]["turns"] == local["thread"]["turns"]
    assert document["thread"]["modelProvider"] == "acme"
    whose = {key: document["thread"][key] for key in ("machine", "user", "machines", "name")}
    assert whose == {
        "machine": "desk",
        "user": "of desk",
        "machines": ["desk"],
        "name": "named",
    }
    outline = filled.here.run("show", TWO, "--fleet", "--outline").out
    assert outline == filled.desk.run("show", TWO, "--outline").out


def test_the_newest_copy_is_shown_or_that_of_a_machine(filled: Fleet) -> None:
    newest = filled.here.run("show", ONE, "--fleet").out
    assert "machine desk" in newest
    assert "again 1" in newest
    named = filled.here.run("show", ONE, "--fleet", "--machine", "lap").out
    assert "machine lap" in named
    assert "again 1" not in named
    meta = filled.here.run("show", ONE, "--fleet", "--meta").out.splitlines()
    assert [line.split(None, 1)[1] for line in meta[1:3]] == ["desk", "of desk"]
    assert meta[3].split() == ["also", "on", "lap"]
    meta = filled.here.run("show", ONE, "--fleet", "--machine", "lap", "--meta").out.splitlines()
    assert meta[1].split() == ["machine", "lap"]
    assert meta[3].split() == ["also", "on", "desk"]
    unknown = filled.here.run("show", ONE, "--fleet", "--machine", "desc", status=2).err
    assert "no machine of the fleet is called 'desc': it has desk" in unknown


def test_of_a_machine_that_is_typed_marks_and_costs_are_its_own(filled: Fleet) -> None:
    async def look() -> None:
        async with web(filled.reader) as pages:
            assert "of the lap" in (await pages.get("/?q=machine:lap")).text
            assert "of the lap" not in (await pages.get("/")).text
            assert "$0.1" in (await pages.get("/usage?since=all&q=machine:lap")).text
        kept = KeptIndex(filled.reader)
        async with kept, Client(make_server(kept, redact=False)) as client:
            found, _ = await called(client, "list_threads", machine="lap")
            assert [thread.get("note") for thread in found["threads"]] == ["of the lap"]
            found, _ = await called(client, "list_threads")
            assert not any(thread.get("note") for thread in found["threads"])

    asyncio.run(look())


def test_of_metadata_alone_the_row_is_shown(filled: Fleet) -> None:
    shown = filled.here.run("show", THREE, "--fleet")
    assert "question 3" in shown.out
    assert "machine desk has pushed only the metadata" in shown.err
    assert "push --level text" in shown.err
    error = filled.here.run("show", THREE, "--fleet", "--json", status=3).json["error"]
    assert error["kind"] == "content_not_pushed"
    assert filled.here.run("show", THREE, "--fleet", "--tree", "--json").json["id"] == THREE


def test_of_messages_alone_a_thread_is_made(filled: Fleet) -> None:
    shown = filled.here.run("show", FOUR, "--fleet", "--machine", "desk").out
    assert shown.startswith("named\n")
    assert "question 4" in shown
    assert "The fleet has only the messages of this thread" in shown
    assert shown.index("question 4") < shown.index("The fleet has only")
    document = filled.here.run("show", FOUR, "--fleet", "--json").json["thread"]
    local = filled.desk.run("show", FOUR, "--json").json["thread"]
    assert [turn["id"] for turn in document["turns"]] == [turn["id"] for turn in local["turns"]]
    for key in ("preview", "cwd", "createdAt", "source", "modelProvider", "gitInfo", "historyMode"):
        assert document[key] == local[key]
    error = filled.here.run("pull", FOUR, status=3).err
    assert f"machine desk has pushed only the messages of thread {FOUR}" in error
    assert "threadkeep push --level raw" in error


def test_threads_of_a_fleet_are_exported(filled: Fleet, tmp_path: Path) -> None:
    theirs = filled.desk.run("export", TWO, "--format", "jsonl").out
    assert filled.here.run("export", TWO, "--fleet", "--format", "jsonl").out == theirs
    assert "machine desk (of desk)" in filled.here.run("export", TWO, "--fleet").out
    words = ("export", ONE, TWO, "--fleet", "--machine", "desk", "-o", f"{tmp_path}/", "--json")
    document = filled.here.run(*words).json
    assert [(each["id"], each["machine"]) for each in document["exported"]] == [
        (ONE, "desk"),
        (TWO, "desk"),
    ]
    words = (
        "export",
        "--cwd",
        "/w",
        "--fleet",
        "--machine",
        "desk",
        "-o",
        f"{tmp_path}/",
        "--json",
    )
    document = filled.here.run(*words, status=6).json
    assert len(document["exported"]) == 3
    assert [each["kind"] for each in document["failed"]] == ["content_not_pushed"]
    refused = filled.here.run("export", TWO, "--fleet", "--user", "of desk", status=2)
    assert "threads are named, and chosen by filters too" in refused.err
    of_user = ("export", "--fleet", "--user", "of desk", "-o", f"{tmp_path}/", "--json")
    document = filled.here.run(*of_user, status=6).json
    assert {each["user"] for each in document["exported"]} == {"of desk"}
    lost = filled.here.run("show", "nothing", "--fleet", status=3)
    assert "threadkeep list --fleet --all" in lost.err


def test_a_thread_is_pulled_once(filled: Fleet) -> None:
    planned = filled.here.run("pull", TWO, "--dry-run", "--json").json
    assert (planned["status"], planned["machine"]) == ("planned", "desk")
    assert filled.here.ids(status=1) == []
    pulled = filled.here.run("pull", TWO[:13])
    (path,) = filled.here.home.rglob("rollout-*.jsonl")
    relative = str(path.relative_to(filled.here.home))
    assert pulled.err.splitlines()[:2] == [
        f"Pulled 1 file, {path.stat().st_size}B, from machine desk (of desk):",
        f"  {relative}",
    ]
    assert pulled.out == f"codex resume {TWO}\n"
    assert path.read_bytes() == (filled.desk.home / relative).read_bytes()
    assert filled.here.ids() == [TWO]
    again = filled.here.run("pull", TWO)
    assert again.err.startswith("The thread is here already, the same as on machine desk")
    with path.open("a") as file:
        file.write("{}\n")
    document = filled.here.run("pull", TWO, "--json").json
    assert (document["status"], document["files"]) == ("ahead", [])
    path.write_text(path.read_text().replace("question", "answer"))
    error = filled.here.run("pull", TWO, status=7).err
    assert "it differs from the copy of machine desk; nothing was changed" in error
    assert "threadkeep export THREAD, and the same with --fleet" in error
    missing = filled.here.run("pull", THREE, status=3).err
    assert "machine desk has pushed only the metadata" in missing


def test_a_pull_needs_a_fleet(filled: Fleet) -> None:
    error = filled.here.run("pull", TWO, status=2, env={VARIABLE: ""}).err
    assert "no fleet is named" in error
