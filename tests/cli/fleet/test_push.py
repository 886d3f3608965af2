"""``threadkeep push``: what it says, and what it takes from the user's file."""

import os
import shutil
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from cli import errors
from cli.fleet.config import VARIABLE
from tests.support.command import Cli, Inside, thread_id, write_rollout
from tests.support.effort import PATIENCE_S
from tests.support.postgres.cluster import Fleet
from tests.support.watching import Watching


@pytest.fixture
def cli(fleet: Fleet, tmp_path: Path) -> Cli:
    home = tmp_path / "home"
    for number in range(3):
        write_rollout(home, number, f"prompt {number}, token ghp_{'x' * 36}", cwd=f"/w/{number}")
    return Inside(home, tmp_path, {VARIABLE: fleet.machine("laptop")})


def configure(cli: Cli, text: str) -> None:
    folder = cli.base / "user" / ".config" / "threadkeep"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fleet.toml").write_text(text)


def titles(fleet: Fleet) -> dict[str, str]:
    with fleet.administered() as admin:
        found = admin.execute("SELECT id, title FROM threadkeep.threads WHERE NOT deleted")
        return dict(found.fetchall())


def test_push_says_what_it_did(cli: Cli, fleet: Fleet) -> None:
    assert "fleet" not in cli.run("status").out
    plan = cli.run("push", "--dry-run")
    assert plan.lines[0].startswith("A push would send 3 rows (")
    assert thread_id(2) in plan.lines[2]
    assert "ghp_" not in plan.out
    assert titles(fleet) == {}
    assert cli.run("push").err.startswith("Pushed 3 threads as laptop at level metadata, in ")
    assert sorted(titles(fleet)) == [thread_id(number) for number in range(3)]
    assert "ghp_" not in repr(titles(fleet))
    write_rollout(cli.home, 3)
    cli.run("sync")
    assert "1 thread waits for threadkeep push" in cli.run("status").out
    status = cli.run("status", "--json").json["push"]
    assert (status["level"], status["waiting"], status["lastError"]) == ("metadata", 1, None)
    done = cli.run("push", "--json").json
    assert (done["threads"], done["everything"], done["machine"]) == (1, False, "laptop")
    assert "wait" not in cli.run("status").out
    with closing(sqlite3.connect(cli.index)) as connection, connection:
        held = "status = 'running', lease_expires_at_ms = 9e15, threads_total = 8, threads_done = 5"
        connection.execute(f"UPDATE fleet_state SET {held}")
    assert "pushing: 5 of 8 threads" in cli.run("status").out


def test_of_two_computers_that_cannot_be_told_apart_one_is_refused(cli: Cli, fleet: Fleet) -> None:
    note = "If two computers push as laptop, add a machine for one: threadkeep fleet machine add"
    clone = cli.base / "clone"

    def change_places() -> None:
        other = cli.base / "other"
        cli.index.parent.rename(other)
        clone.rename(cli.index.parent)
        other.rename(clone)

    assert note not in cli.run("push").err
    shutil.copytree(cli.index.parent, clone)
    write_rollout(cli.home, 3)
    assert cli.run("push").err.startswith("Pushed 1 thread as laptop at level metadata, in ")
    change_places()
    ran = cli.run("push")  # as an index does that was restored
    assert ran.err.startswith("Pushed 4 threads as laptop at level metadata, in ")
    assert note in ran.err
    change_places()
    write_rollout(cli.home, 4)
    ran = cli.run("push", status=errors.USAGE)
    assert "a copy of this index pushes into the fleet as laptop, too" in ran.err
    assert "threadkeep fleet machine add" in ran.err
    assert "1 thread waits" in cli.run("status").out
    change_places()
    assert cli.run("push").err.startswith("Pushed 1 thread as laptop at level metadata, in ")
    change_places()
    desktop = {VARIABLE: fleet.machine("desktop")}
    assert cli.run("push", env=desktop).err.startswith("Pushed 5 threads as desktop at level ")
    assert not cli.run("push", "--take-over", "--json").json["anew"]
    change_places()
    cli.run("push", status=errors.USAGE)


def test_a_secret_in_a_tag_or_a_branch_stays_here(cli: Cli, fleet: Fleet) -> None:
    key = f"sk-proj-{'a1b2c3d4' * 6}"
    cli.run("tag", key, thread_id(0))
    cli.run("tag", "plain", thread_id(0))
    cli.run("git-info", thread_id(1), "--branch", f"fix/{key}")
    reader = {VARIABLE: fleet.reader()}
    cli.run("push")
    listed = cli.run("list", "--fleet", "--json", env=reader).out
    assert key not in listed
    for chosen, number in (
        (("--tag", "[redacted-token]"), 0),
        (("--tag", "plain"), 0),
        (("--branch", "fix/[redacted token]"), 1),
    ):
        assert cli.ids("--fleet", *chosen, env=reader) == [thread_id(number)]


def test_the_file_says_what_is_left_out(cli: Cli, fleet: Fleet) -> None:
    cli.run("tag", "private", thread_id(2))
    configure(cli, '[exclude]\nfolders = ["/w/1/"]\ntags = ["Private"]\n')
    plan = cli.run("push", "--dry-run", "--json").json
    assert plan["excluded"] == {"folder /w/1": 1, "tag private": 1}
    assert [each["id"] for each in plan["sent"]] == [thread_id(0)]
    assert plan["deleted"] == 0
    assert "left 2 out" in cli.run("push").err
    assert [*titles(fleet)] == [thread_id(0)]


def test_a_plan_says_what_is_taken_back(cli: Cli, fleet: Fleet) -> None:
    cli.run("push")
    configure(cli, '[exclude]\nfolders = ["/w/1/", "/w/2"]\n')
    (cli.home / cli.run("show", thread_id(0), "--json").json["thread"]["path"]).unlink()
    for words in ((), ("--level", "text")):
        plan = cli.run("push", "--dry-run", *words)
        assert "What the fleet has of 2 of them is taken back by the push." in plan.out
    assert cli.run("push", "--dry-run", "--json").json["deleted"] == 3
    assert "took 3 back" in cli.run("push").err
    assert "taken back" not in cli.run("push", "--dry-run").out
    assert cli.run("push", "--dry-run", "--json").json["deleted"] == 0


def test_all_is_pushed_again_after_a_prune(cli: Cli, fleet: Fleet) -> None:
    reader = {VARIABLE: fleet.reader()}
    cli.run("push", "--level", "text")
    found = cli.run("search", "--fleet", "prompt", "--json", env=reader).json["data"]
    assert len(found) == 3
    for level in ((), ("--level", "text")):
        words = ("--older-than", "0d", "--yes", *level)
        cli.run("fleet", "prune", *words, env={VARIABLE: fleet.admin})
        assert "Nothing new" in cli.run("push").err
        plan = cli.run("push", "--all", "--dry-run")
        assert plan.lines[0].startswith("A push would send 3 rows (")
        assert "has not pushed" not in plan.out
        assert "Pushed 3 threads" in cli.run("push", "--all").err
        assert cli.run("search", "--fleet", "prompt", "--json", env=reader).json["data"] == found
    assert "Nothing new" in cli.run("push").err
    cli.run("push", "--level", "raw")
    words = ("--older-than", "0d", "--yes", "--level", "raw")
    cli.run("fleet", "prune", *words, env={VARIABLE: fleet.admin})
    cli.run("push", "--all")
    assert "3 rollouts" in cli.run("fleet", "prune", *words, env={VARIABLE: fleet.admin}).err


def test_a_machine_that_is_let_in_again_pushes_all(cli: Cli, fleet: Fleet) -> None:
    admin = {VARIABLE: fleet.admin}
    role = f"{fleet.database}_default_laptop"
    clone = cli.base / "clone"
    cli.run("push")
    shutil.copytree(cli.index.parent, clone)
    cli.run("fleet", "machine", "revoke", "laptop", env=admin)
    words = ("--machine", "laptop", "--older-than", "0d", "--yes")
    cli.run("fleet", "prune", *words, env=admin)
    assert titles(fleet) == {}
    write_rollout(cli.home, 3)
    cli.run("fleet", "machine", "add", "laptop", "--role", role, "--no-password", env=admin)
    ran = cli.run("push")
    assert ran.err.startswith("Pushed 4 threads as laptop at level metadata, in ")
    assert "laptop was revoked for a time" in ran.err
    assert len(titles(fleet)) == 4
    assert "Nothing new" in cli.run("push").err
    shutil.rmtree(cli.index.parent)
    clone.rename(cli.index.parent)
    ran = cli.run("push", status=errors.USAGE)
    assert "a copy of this index pushes into the fleet as laptop, too" in ran.err


def test_a_plan_has_all_threads_the_newest_first(cli: Cli) -> None:
    for number in range(3, 14):
        path = write_rollout(cli.home, number)
        os.utime(path, (1_900_000_000 - number, 1_900_000_000 - number))
    plan = cli.run("push", "--dry-run", "--json").json
    sent = [each["id"] for each in plan["sent"]]
    assert sent[:11] == [thread_id(number) for number in range(3, 14)]
    assert len(sent) == plan["threads"] == 14
    lines = cli.run("push", "--dry-run").lines
    assert lines[2].split()[0] == thread_id(3)
    assert "  … and 4 more, which --json has" in lines


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[exclude]\nfolder = []\n", "exclude has no folder"),
        ('[exclude]\ntags = "private"\n', "tags is not a list of texts"),
        ("exclude = 1\n", "exclude is not a table"),
        ('[exclude]\nfolders = ["private"]\n', "the folder private is not an absolute one"),
        ('[exclude]\nsources = ["exce"]\n', "there is no source exce"),
        ('[exclude]\ntags = ["a b"]\n', "holds a blank"),
        ('[exclude]\nremotes = [" "]\n', "a remote is empty"),
        ('level = "all"\n', "there is no level all"),
        ('[exlude]\ntags = ["private"]\n', "has exlude, which is unknown"),
        ("level = \n", "cannot be used"),
    ],
)
def test_a_file_that_is_wrong_keeps_all_here(cli: Cli, fleet: Fleet, text: str, why: str) -> None:
    configure(cli, text)
    assert why in cli.run("push", status=errors.USAGE).err
    assert titles(fleet) == {}


def test_a_password_is_not_taken(cli: Cli) -> None:
    for address in ("postgresql://me:hunter2@h/d", "host=h sslpassword=hunter2"):
        ran = cli.run("push", address, status=errors.USAGE)
        assert "hunter2" not in ran.err
        assert "~/.pgpass" in ran.err


def test_an_address_in_the_file_is_a_text(tmp_path: Path) -> None:
    cli = Inside(tmp_path, tmp_path)
    configure(cli, "url = 5432\n")
    assert "url is not a text" in cli.run("push", status=errors.USAGE).err


def test_the_level_stays_until_another_one_is_given(cli: Cli, fleet: Fleet) -> None:
    assert cli.run("push", "--level", "text", "--json").json["level"] == "text"
    assert cli.run("push").err.startswith("Nothing new to push as laptop, in ")
    assert "next push" not in cli.run("push", "--level", "raw").err
    write_rollout(cli.home, 3)
    assert "at level raw, in" in cli.run("push").err
    assert "rollouts of 4 threads were" in cli.run("push", "--level", "text").err
    # The same fleet under another name: what one name was pushed at says nothing of the other.
    other = f"{cli.extra[VARIABLE]} application_name=x"
    ran = cli.run("push", other)
    assert ran.err.splitlines()[1:] == [
        "Level lowered to metadata: the messages of 4 threads were removed from the fleet."
    ]
    assert cli.run("push", "--level", "raw", other, "--json").json["lowered"] == 0
    configure(cli, 'level = "text"\n')
    done = cli.run("push", other, "--json").json
    assert (done["level"], done["lowered"]) == ("text", 4)


def test_a_level_that_the_next_push_takes_back_is_told(cli: Cli) -> None:
    configure(cli, 'level = "metadata"\n')
    for level, what in (("text", "messages"), ("raw", "messages and rollouts")):
        err = cli.run("push", "--level", level).err
        assert f"so the next push without --level takes the {what} back." in err
        assert f'put level = "{level}" there' in err
    assert "the messages of 3 threads were removed from the fleet" in cli.run("push").err
    assert "next push" not in cli.run("push", "--level", "metadata").err
    configure(cli, 'level = "raw"\n')
    err = cli.run("push", "--level", "text").err
    assert "so the next push without --level pushes the rollouts again." in err


def test_a_plan_of_nothing_says_so(cli: Cli) -> None:
    cli.run("push")
    assert cli.run("push", "--dry-run").lines == ["Nothing new to push."]
    configure(cli, '[exclude]\nfolders = ["/w/1"]\n')
    assert cli.run("push", "--dry-run").lines[0] == "Left out by folder /w/1: 1 thread."


def test_what_goes_wrong_is_told_by_status(cli: Cli) -> None:
    cli.run("push")
    write_rollout(cli.home, 3)
    ran = cli.run("push", "host=127.0.0.1 port=1 dbname=x", status=errors.BUSY)
    assert "the fleet cannot be reached" in ran.err
    out = cli.run("status").out
    assert "1 thread waits" in out
    assert "last error: the fleet cannot be reached" in out


def start_watch(cli: Cli) -> "subprocess.Popen[bytes]":
    """A push of what changes, as a process of its own."""
    return Cli(cli.home, cli.base, cli.extra).start(
        "push", "--watch", "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_watch_pushes_what_changes(cli: Cli, fleet: Fleet) -> None:
    with start_watch(cli) as process:
        watching = Watching(process)
        assert watching.next()["threads"] == 3
        write_rollout(cli.home, 3)
        change = watching.next()
        assert (change["threads"], change["everything"]) == (1, False)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == errors.INTERRUPTED
    assert len(titles(fleet)) == 4
    assert watching.said == [f"Watching {cli.home}. Ctrl-C ends it.\n"]


def test_watch_takes_what_the_file_says_now(cli: Cli, fleet: Fleet) -> None:
    with start_watch(cli) as process:
        watching = Watching(process)
        assert watching.next()["threads"] == 3
        watching.until_said("Watching ")
        configure(cli, '[exclude]\nfolders = ["/w/1"]\n')
        assert watching.next()["deleted"] == 1
        configure(cli, "[exclude]\nfolders = [\n")
        watching.until_said("Nothing is pushed until that is right.")
        write_rollout(cli.home, 3, cwd="/w/3")
        write_rollout(cli.home, 4, cwd="/w/4")
        configure(cli, '[exclude]\nfolders = ["/w/1", "/w/4"]\n')
        watching.until_said("Pushing again.")
        while thread_id(3) not in titles(fleet):
            watching.next()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == errors.INTERRUPTED
    assert sorted(titles(fleet)) == [thread_id(number) for number in (0, 2, 3)]
    told = [line for line in watching.said if line.startswith("Not pushed yet: ")]
    assert len(told) == 1
