"""``export``: threads as files that stand by themselves."""

import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from cli.render.html.head import POLICY
from tests.samples.rollouts import THREAD_ID
from tests.support.command import Cli, thread_id, write_rollout
from tests.support.effort import PATIENCE_S, sample
from tests.support.reading import NEVER, call, cli, save, turn

__all__ = ["cli"]


KINDS = ["md", "html", "json", "jsonl"]


def well_formed(html: str) -> ElementTree.Element:
    """The page, which is also XML; nothing in it runs, and nothing is loaded."""
    assert html.startswith('<!DOCTYPE html>\n<html lang="en">')
    root = ElementTree.fromstring(html.partition("\n")[2])
    for each in root.iter():
        assert each.tag not in ("script", "iframe", "object", "link", "form", "base"), each.tag
        assert not [name for name in each.attrib if name.startswith("on")]
        assert (each.get("src") or "data:image/").startswith("data:image/")
        href = each.get("href") or "#"
        assert href.startswith(("#", "http", "mailto:")) or ":" not in href, href
    (policy,) = (each for each in root.iter("meta") if each.get("http-equiv"))
    assert policy.get("content") == POLICY
    return root


PIECES = ["[a]", "[^1]", ": http://x ", "![i]", "(http://x/y)", "> ", "- ", "1. ", "\n", "\t", "#"]


PIECES += [
    "    ",
    "`",
    "```",
    "~~~",
    "---",
    "===",
    "<b>",
    "<!--",
    "\\",
    "*",
    "turn",
    "\n\n",
    "&lt;",
]


def test_every_thread_of_the_corpus_becomes_each_kind(corpus: Cli, tmp_path: Path) -> None:
    every = {*corpus.ids("--all", "--all-sources"), *corpus.ids("--all", "--archived")}
    assert len(every) > 100
    ids = set(sample(sorted(every)))
    for kind in KINDS:
        folder = tmp_path / kind
        folder.mkdir()
        options = ("--format", kind, "--output", str(folder), "--json")
        ran = corpus.run("export", *sorted(ids), *options)
        done = ran.json
        assert {each["id"] for each in done["exported"]} == ids
        assert done["failed"] == []
        for each in done["exported"]:
            content = Path(each["path"]).read_bytes()
            assert len(content) == each["sizeBytes"] > 0
            if kind == "html":
                well_formed(content.decode())
            elif kind == "json":
                assert json.loads(content)["thread"]["id"] == each["id"]
            if kind in ("md", "html"):
                assert not NEVER.search(content.decode())


def test_raw_lines_are_those_of_the_file(cli: Cli) -> None:
    path = save(cli.home, [*turn(1), *turn(2)])
    path.write_bytes(path.read_bytes() + b'{"torn')
    out = cli.run("export", THREAD_ID, "--format", "jsonl").out
    assert out.encode() == path.read_bytes() + b"\n"


def test_raw_lines_of_a_fork_begin_with_those_of_its_source(corpus: Cli) -> None:
    out = corpus.run("export", "01a1f8ef-3281", "--format", "jsonl").out
    lines = [json.loads(line) for line in out.splitlines()]
    ordinals = [line["ordinal"] for line in lines]
    assert ordinals == sorted(ordinals)
    metas = [line for line in lines if line["type"] == "session_meta"]
    assert [meta["payload"]["id"][:13] for meta in metas] == ["01a1f8ef-3281"]
    texts = [line for line in lines if "Split big_module.py" in json.dumps(line)]
    assert texts


def test_files_are_whole_private_and_named(cli: Cli, tmp_path: Path) -> None:
    for number in (1, 2):
        write_rollout(cli.home, number, "hello")
    ids = [thread_id(1), thread_id(2)]
    folder = tmp_path / "out"
    folder.mkdir()
    ran = cli.run("export", *ids, "-o", str(folder), "--format", "html")
    assert ran.lines == [str(folder / f"{id_}.html") for id_ in ids]
    assert sorted(os.listdir(folder)) == [f"{id_}.html" for id_ in ids]
    assert (folder / f"{ids[0]}.html").stat().st_mode & 0o777 == 0o600
    cli.run("export", ids[0], "-o", str(folder / "x.json"))
    assert json.loads((folder / "x.json").read_bytes())["thread"]["id"] == ids[0]
    listed = cli.run("export", "-", "-o", str(folder), stdin="\n".join(ids))
    assert listed.lines == [str(folder / f"{id_}.md") for id_ in ids]
    ran = cli.run("export", ids[0], "nobody", "-o", str(folder), status=6)
    assert "nobody" in ran.err
    assert "threadkeep search nobody" in ran.err
    assert len(ran.lines) == 1


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ([], 2),
        (["a", "b"], 2),
        (["-"], 2),
        ([thread_id(1), "--format", "pdf"], 2),
        ([thread_id(1), "--json"], 2),
        (["nobody"], 3),
        ([thread_id(1), "-o", "no/such/folder/x.md"], 2),
        ([thread_id(1), "-o", "no/such/folder/"], 2),
    ],
    ids=str,
)
def test_what_cannot_be_exported_is_refused(cli: Cli, words: list[str], status: int) -> None:
    write_rollout(cli.home, 1, "hello")
    ran = cli.run("export", *words, status=status)
    if "--json" in words:
        assert ran.json["error"]["message"].startswith("--json reports the files")
    else:
        assert ran.out == ""
        assert ran.err


def test_a_folder_is_made_if_it_is_named_as_one(cli: Cli, tmp_path: Path) -> None:
    write_rollout(cli.home, 1, "hello")
    write_rollout(cli.home, 2, "hello")
    ids = [thread_id(1), thread_id(2)]
    assert cli.run("export", ids[0], "-o", "one/").lines == [f"one/{ids[0]}.md"]
    assert [path.name for path in (tmp_path / "one").iterdir()] == [f"{ids[0]}.md"]
    assert len(cli.run("export", *ids, "-o", "two/").lines) == 2
    (tmp_path / "file").touch()
    assert "file is not a folder" in cli.run("export", ids[0], "-o", "file/", status=2).err
    cli.run("export", "nobody", "-o", "three/", status=3)
    assert not (tmp_path / "three").exists()
    for words in (["export", ids[0], "-o", "no/x.md"], ["stats", "--html", "no/x.html"]):
        assert (
            "there is no folder no\n  create it first: mkdir -p no" in cli.run(*words, status=2).err
        )


def test_a_thread_that_is_named_twice_is_written_once(cli: Cli, tmp_path: Path) -> None:
    path = write_rollout(cli.home, 1, "hello")
    id_ = thread_id(1)
    assert cli.run("export", id_, id_).out == cli.run("export", id_).out
    names = [id_, id_.upper(), id_[:23], str(path), id_]
    assert cli.run("export", *names, "-o", "out/").lines == [f"out/{id_}.md"]
    listed = cli.run("export", "-", "-o", "out/", "--json", stdin="\n".join(names)).json
    assert [each["id"] for each in listed["exported"]] == [id_]


def test_nothing_is_written_over_threads_or_the_index(cli: Cli, tmp_path: Path) -> None:
    rollout = write_rollout(cli.home, 1, "hello")
    cli.run("list")
    link = tmp_path / "link.md"
    link.symlink_to(rollout)
    names = cli.home / "session_index.jsonl"
    names.touch()
    targets = [rollout, cli.home, names, link, cli.index, Path(f"{cli.index}-wal")]
    before = [path.read_bytes() for path in (rollout, names, cli.index)]
    for target in targets:
        for words in (["export", thread_id(1), "-o"], ["stats", "--html"]):
            refused = cli.run(*words, str(target), status=2)
            assert "nothing may be written" in refused.err or "belongs to the index" in refused.err
    assert [path.read_bytes() for path in (rollout, names, cli.index)] == before


def test_help_shows_that_several_threads_are_taken(cli: Cli) -> None:
    assert "[OPTIONS] [THREAD...]" in cli.run("export", "--help").out
    assert "[OPTIONS] [THREAD...]" in cli.run("archive", "--help").out


def test_what_is_no_file_stays_what_it_is(cli: Cli, tmp_path: Path) -> None:
    write_rollout(cli.home, 1, "hello")
    os.mkfifo(tmp_path / "pipe.md")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.md"))
    (tmp_path / "folder.md").mkdir()
    (tmp_path / "link.md").symlink_to("pipe.md")
    (tmp_path / "device.md").symlink_to(os.devnull)
    names = {"pipe": "a pipe", "socket": "a socket", "link": "a pipe", "device": "a device"}
    before = {path.name: path.lstat().st_mode for path in tmp_path.iterdir()}
    for name, what in (names | {"folder": "a folder"}).items():
        for words in (["export", thread_id(1), "-o"], ["stats", "--html"]):
            if name != "folder" or words[0] == "stats":
                ran = cli.run(*words, f"{name}.md", status=2)
                assert f"{name}.md is {what}, " in ran.err
                assert "-o FILE" in ran.err
                assert ran.out == ""
    assert {name: (tmp_path / name).lstat().st_mode for name in before} == before


def test_what_is_no_file_stays_in_a_folder_too(cli: Cli, tmp_path: Path) -> None:
    write_rollout(cli.home, 1, "hello")
    write_rollout(cli.home, 2, "hello")
    (tmp_path / "out").mkdir()
    os.mkfifo(tmp_path / "out" / f"{thread_id(1)}.md")
    done = cli.run("export", thread_id(1), thread_id(2), "-o", "out", "--json", status=6).json
    assert [each["id"] for each in done["exported"]] == [thread_id(2)]
    assert [each["kind"] for each in done["failed"]] == ["no_regular_file"]
    assert (tmp_path / "out" / f"{thread_id(1)}.md").is_fifo()


@pytest.mark.parametrize("linked", [False, True])
def test_stdout_is_not_replaced_by_its_name(cli: Cli, tmp_path: Path, linked: bool) -> None:
    write_rollout(cli.home, 1, "hello")
    with (tmp_path / "out.md").open("wb") as file:
        real = Cli(cli.home, cli.base)
        target = f"/proc/self/fd/{file.fileno()}"  # a link to a file, as /dev/stdout may be
        link = tmp_path / "link.md"
        link.symlink_to(target)
        ran = real.start(
            *("export", thread_id(1), "-o", str(link) if linked else target),
            stdout=file,
            stderr=subprocess.PIPE,
            pass_fds=[file.fileno()],
        )
        assert b"a link of the system" in ran.communicate()[1]
    assert ran.returncode == 2
    assert (tmp_path / "out.md").read_bytes() == b""
    assert link.is_symlink()


def test_a_file_may_have_as_long_a_name_as_there_can_be(cli: Cli, tmp_path: Path) -> None:
    write_rollout(cli.home, 1, "hello")
    (tmp_path / "out").mkdir()
    target = f"out/{'ä' * 126}.md"
    assert cli.run("export", thread_id(1), "-o", target).lines == [target]
    assert [f"out/{name}" for name in os.listdir(tmp_path / "out")] == [target]


def test_a_line_is_stdout_and_no_file(cli: Cli, tmp_path: Path) -> None:
    write_rollout(cli.home, 1, "hello")
    before = cli.run("export", thread_id(1)).out
    assert cli.run("export", thread_id(1), "-o", "-").out == before
    assert "name a file" in cli.run("stats", "--html", "-", status=2).err
    cli.run("export", thread_id(1), "-o", "-", "--json", status=2)
    assert not (tmp_path / "-").exists()


@pytest.mark.full
@pytest.mark.parametrize("kind", KINDS)
def test_50_mb_are_written_in_little_memory(cli: Cli, kind: str, tmp_path: Path) -> None:
    inner: list[dict[str, Any]] = []
    for number in range(5):
        inner += call("shell_command", {"command": "make"}, "some words\n" * 10_000, number)
    path = save(cli.home, turn(1, *inner))
    chunk = path.read_bytes().partition(b"\n")[2]
    with path.open("ab") as file:
        while file.tell() < 50 * 2**20:
            file.write(chunk)
    target = str(tmp_path / f"x.{kind}")
    assert cli.peak_memory("export", THREAD_ID, "-o", target) < 88_000  # KB
    os.unlink(target)


def test_a_closed_pipe_ends_it_quietly(cli: Cli) -> None:
    save(cli.home, turn(1, *call("shell_command", {"command": "x"}, "word\n" * 50_000)))
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with Cli(cli.home, cli.base).start("export", THREAD_ID, **options) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(PATIENCE_S) == 0
