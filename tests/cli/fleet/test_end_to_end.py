"""One thread goes on on two machines, by nothing but commands."""

from pathlib import Path

from cli.fleet.config import VARIABLE
from tests.support.command import Inside, thread_id, write_rollout
from tests.support.postgres.cluster import Fleet

ONE = thread_id(1)


def test_a_thread_goes_on_on_another_machine(tmp_path: Path, fleet: Fleet) -> None:
    clis = {}
    for name in ("desk", "lap"):
        address = fleet.machine(name, user="me", reads=True)
        clis[name] = Inside(tmp_path / name / "home", tmp_path / name, {VARIABLE: address})
        clis[name].home.mkdir(parents=True)
    desk, lap = clis["desk"], clis["lap"]
    path = write_rollout(desk.home, 1, "the first question")
    desk.run("push", "--level", "raw")
    (thread,) = lap.run("list", "--fleet", "--json").json["data"]
    assert (thread["id"], thread["machines"]) == (ONE, ["desk"])
    assert "the first question" in lap.run("show", ONE, "--fleet").out
    assert lap.run("pull", ONE).out == f"codex resume {ONE}\n"
    pulled = lap.home / path.relative_to(desk.home)
    assert pulled.read_bytes() == path.read_bytes()

    with pulled.open("a") as file:
        file.write(path.read_text().splitlines()[1].replace("first", "second") + "\n")
    lap.run("push", "--level", "raw")
    (thread,) = desk.run("list", "--fleet", "--json").json["data"]
    assert (thread["machine"], thread["machines"]) == ("lap", ["lap", "desk"])
    assert "the second question" in desk.run("show", ONE, "--fleet").out
    assert "the second" not in desk.run("show", ONE, "--fleet", "--machine", "desk").out
    before = path.read_bytes()
    planned = desk.run("pull", ONE, "--dry-run").err
    assert "of new lines from machine lap (me):" in planned
    assert path.read_bytes() == before
    brought = desk.run("pull", ONE, "--json").json
    size = pulled.stat().st_size
    assert brought["status"] == "pulled"
    assert brought["files"] == [
        {
            "path": str(path.relative_to(desk.home)),
            "sizeBytes": size,
            "addedBytes": size - len(before),
        }
    ]
    assert path.read_bytes() == pulled.read_bytes()
    assert "the second question" in desk.run("show", ONE).out
    assert desk.run("pull", ONE).err.startswith("The thread is here already, the same as on")

    with path.open("a") as file:
        file.write(before.decode().splitlines()[1].replace("first", "third") + "\n")
    desk.run("push", "--level", "raw")
    assert "Brought " in lap.run("pull", ONE, "--machine", "desk").err
    assert pulled.read_bytes() == path.read_bytes()
    for cli, mine, word in ((desk, path, "fourth"), (lap, pulled, "fifth")):
        with mine.open("a") as file:
            file.write(before.decode().splitlines()[1].replace("first", word) + "\n")
        cli.run("push", "--level", "raw")
    error = desk.run("pull", ONE, "--machine", "lap", status=7).err
    assert "it differs from the copy of machine lap; nothing was changed" in error
    assert "threadkeep delete THREAD, then pull" in error

    desk.run("push", "--level", "metadata")
    only = desk.run("show", ONE, "--fleet", "--machine", "desk").err
    assert "machine desk has pushed only the metadata" in only
    assert "another machine has pushed more: --machine lap" in only
    pulled.unlink()
    lap.run("push")
    (thread,) = desk.run("list", "--fleet", "--json").json["data"]
    assert thread["machines"] == ["desk"]
