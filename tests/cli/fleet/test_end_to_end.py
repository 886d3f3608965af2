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
    error = desk.run("pull", ONE, status=7).err
    assert "the copy of machine lap has gone on from what is here; nothing was changed" in error

    desk.run("push", "--level", "metadata")
    only = desk.run("show", ONE, "--fleet", "--machine", "desk").err
    assert "machine desk has pushed only the metadata" in only
    assert "another machine has pushed more: --machine lap" in only
    pulled.unlink()
    lap.run("push")
    (thread,) = desk.run("list", "--fleet", "--json").json["data"]
    assert thread["machines"] == ["desk"]
