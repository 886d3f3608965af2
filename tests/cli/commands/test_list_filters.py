"""The filters of ``list``."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from rollout.search.normalize import casefold
from tests.cli.commands.test_list import Thread, everything, small
from tests.support.command import Cli, Inside, thread_id, write_rollout

__all__ = ["everything", "small"]


INTERACTIVE = ("cli", "vscode")


def is_shown_by_default(thread: Thread) -> bool:
    """Started by hand, and no side thread of another one."""
    return thread["source"] in INTERACTIVE and thread["attachedToThreadId"] is None


def chosen(
    everything: list[Thread], fits: Callable[[Thread], bool], *, interactive: bool = True
) -> list[str]:
    """The ids that a filter should leave, in the list's order."""
    return [
        thread["id"]
        for thread in everything
        if fits(thread) and (not interactive or is_shown_by_default(thread))
    ]


def test_by_default_only_what_was_started_by_hand_is_listed(
    corpus: Cli, everything: list[Thread]
) -> None:
    assert corpus.ids("--all") == chosen(everything, lambda _: True)
    assert len(everything) == 24 + 1 + len(corpus.ids("--all"))


@pytest.mark.parametrize(
    ("kinds", "fits"),
    [
        (["exec"], lambda source: source == "exec"),
        (["appServer"], lambda source: source == "appServer"),
        (["cli", "exec"], lambda source: source in ("cli", "exec")),
        (["subAgent"], lambda source: isinstance(source, dict)),
        (["subAgentReview"], lambda source: source == {"subAgent": "review"}),
        (
            ["subAgentThreadSpawn"],
            lambda source: isinstance(source, dict) and "thread_spawn" in source["subAgent"],
        ),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, list) else "",
)
def test_source_filter(
    corpus: Cli, everything: list[Thread], kinds: list[str], fits: Callable[[Any], bool]
) -> None:
    options = [word for kind in kinds for word in ("--source", kind)]
    expected = chosen(everything, lambda thread: fits(thread["source"]), interactive=False)
    assert expected
    assert corpus.ids("--all", *options) == expected


def test_provider_filter(corpus: Cli, everything: list[Thread]) -> None:
    for providers in (["acme"], ["acme", "mock"]):
        options = [word for name in providers for word in ("--provider", name)]
        expected = chosen(everything, lambda t, names=providers: t["modelProvider"] in names)  # type: ignore[misc]
        assert expected
        assert corpus.ids("--all", *options) == expected
    assert corpus.ids("--provider", "nobody", status=1) == []


def test_cwd_filter_of_the_corpus(corpus: Cli, everything: list[Thread]) -> None:
    spaced = "/home/dev/projects/epsilon space ünï"
    beta = "/home/dev/projects/beta"
    assert corpus.ids("--all", "--cwd", spaced + "/") == chosen(
        everything, lambda thread: thread["cwd"] == spaced
    )
    assert corpus.ids("--all", "--cwd", spaced, "--cwd", beta) == chosen(
        everything, lambda thread: thread["cwd"] in (spaced, beta)
    )


def test_folders_with_and_without_those_below(corpus: Cli, everything: list[Thread]) -> None:
    alpha = "/home/dev/projects/alpha"
    below = chosen(everything, lambda t: t["cwd"] == alpha or t["cwd"].startswith(f"{alpha}/"))
    exactly = chosen(everything, lambda t: t["cwd"] == alpha)
    assert corpus.ids("--all", "--cwd", alpha) == below
    assert corpus.ids("--all", "--exact-cwd", alpha) == exactly
    assert corpus.ids("--all", "--project", "alpha") == below
    assert corpus.ids("--all", "--cwd", "/home/dev", "--exact-cwd", alpha) == exactly
    assert len(below) > len(exactly) > 0
    assert corpus.ids("--project", "alph", status=1) == []


def test_filters_by_model_and_branch(corpus: Cli, everything: list[Thread]) -> None:
    def branch(thread: Thread) -> str:
        return str((thread["gitInfo"] or {}).get("branch") or "")

    for options, fits in (
        (["--model", "gpt-5-codex"], lambda t: t["model"] == "gpt-5-codex"),
        (["--model", "gpt-5.*"], lambda t: (t["model"] or "").startswith("gpt-5.")),
        (["--branch", "feature/*"], lambda t: branch(t).startswith("feature/")),
        (
            ["--branch", "main", "--branch", "*x*"],
            lambda t: branch(t) == "main" or "x" in branch(t),
        ),
    ):
        expected = chosen(everything, fits)
        assert expected
        assert corpus.ids("--all", *options) == expected
    for options, hint in (
        (["--model", "GPT-5-codex"], "Similar models: gpt-5-codex"),
        (["--branch", "feature"], "Similar branches: feature/"),
        (["--model", "none"], ""),
    ):
        err = corpus.run("list", *options, status=1).err
        assert hint in err
        assert ("Similar" in err) == bool(hint)


def test_filters_by_time_tokens_and_size(corpus: Cli, everything: list[Thread]) -> None:
    def used_from(thread: Thread, text: str) -> bool:
        return bool(thread["recencyAt"] >= datetime.fromisoformat(f"{text}+00:00").timestamp())

    utc = {"TZ": "UTC"}
    day = chosen(
        everything, lambda t: used_from(t, "2026-11-17") and not used_from(t, "2026-11-19T08:00")
    )
    span = ["--since", "2026-11-17", "--until", "2026-11-19T08:00"]
    assert day
    assert corpus.ids("--all", *span, env=utc) == day
    rows = corpus.run("list", "--all", "--min-tokens", "20k", "--columns", "id,tokens").lines
    everyone = corpus.run("list", "--all", "--columns", "id,tokens").lines
    assert rows == [row for row in everyone if int(row.split("\t")[1]) >= 20_000]
    sizes = {
        t["id"]: Path(t["path"]).stat().st_size for t in everything if Path(t["path"]).exists()
    }
    large = corpus.ids("--all", "--min-size", "0.01M")
    assert {*large} & {*sizes} == {
        id_ for id_ in chosen(everything, lambda _: True) if sizes.get(id_, 0) >= 10_000
    }
    for wrong in ("--min-size=x", "--since=never", "--older-than=yesterday", "--until=2026-13"):
        assert wrong.split("=")[0] in corpus.run("list", wrong, status=2).err
    assert "later" in corpus.run("list", "--since", "7d", "--until", "8d", status=2).err


def test_every_choice_of_threads_takes_the_same_filters(corpus: Cli, tmp_path: Path) -> None:
    options = ["--project", "alpha", "--model", "gpt-5*", "--older-than", "1h", "--min-tokens", "1"]
    listed = corpus.ids("--all", *options)
    assert listed
    for command in ("archive", "fork"):
        lines = corpus.run(command, "--dry-run", *options).lines
        assert {line.split("\t")[0] for line in lines} >= {*listed}
    folder = f"{tmp_path}/exported/"
    few = [*options, "--since", "2026-11-16"]
    corpus.run("export", *few, "-o", folder)
    assert {path.stem for path in Path(folder).iterdir()} == {*corpus.ids("--all", *few)}
    assert "No threads match" in corpus.run("export", "--model", "x", "-o", folder, status=1).err
    assert "need a folder" in corpus.run("export", *few, status=2).err
    assert "no threads are given" in corpus.run("export", status=2).err
    found = corpus.run("search", "e*", "--limit", "500", "--json", *options, status=None).json
    assert {each["thread"]["id"] for each in found["data"]} <= {*listed}
    counted = corpus.run("stats", "--by", "thread", "--json", *options[:4]).json
    assert counted["leftOut"]["threads"] > 0


def test_search_filter_of_the_corpus(corpus: Cli, everything: list[Thread]) -> None:
    def holds(text: str) -> Callable[[Thread], bool]:
        return lambda thread: (
            casefold(text) in casefold(f"{thread['name'] or ''}\n{thread['preview']}")
        )

    for text in ("CHANGELOG", "nÄme", "name", "🎉"):
        expected = chosen(everything, holds(text))
        assert expected
        assert corpus.ids("--all", "--search", text) == expected
    assert corpus.ids("--search", "no such words", status=1) == []


def test_a_blank_folder_is_refused(corpus: Cli) -> None:
    for blank in ("", " "):
        for command in ("list", "explain"):
            assert "a folder is blank" in corpus.run(command, "--cwd", blank, status=2).err
    assert "is blank" in corpus.run("list", "--project", "/", status=2).err


def test_archived_filter(corpus: Cli, everything: list[Thread]) -> None:
    page = corpus.run("list", "--archived", "--json").json
    assert len(page["data"]) == 7
    assert all("/archived_sessions/" in thread["path"] for thread in page["data"])
    assert not {t["id"] for t in page["data"]} & {t["id"] for t in everything}


def test_lineage_filters(corpus: Cli) -> None:
    grandparent = "019e3f76-a305-71c1-85c9-875b5b2c2bfe"
    parent = "019e3f76-a387-7dc2-b125-87de55e594b9"
    child = "019e3f76-a412-7262-8b72-ef221e76b264"
    grandchild = "019e3f76-a487-71b2-92cc-7ae0b2ccd958"
    assert corpus.ids("--parent", grandparent) == [parent]
    assert corpus.ids("--parent", parent.upper()) == [child]
    assert set(corpus.ids("--ancestor", grandparent)) == {parent, child, grandchild}
    assert corpus.ids("--ancestor", grandchild, status=1) == []


def test_excluded_threads_are_left_out(corpus: Cli) -> None:
    first, second, third = corpus.ids("--limit", "3")
    assert corpus.ids("--limit", "1", "--exclude", first, "--exclude", second) == [third]


def test_filters_compose(corpus: Cli, everything: list[Thread]) -> None:
    beta = "/home/dev/projects/beta"
    expected = chosen(
        everything,
        lambda t: (
            t["cwd"] == beta
            and t["modelProvider"] == "mock"
            and "add" in f"{t['name']} {t['preview']}".casefold()
        ),
        interactive=False,
    )
    options = ["--cwd", beta, "--provider", "mock", "--search", "Add", "--all-sources"]
    assert expected
    assert corpus.ids("--all", *options) == expected


def test_search_takes_percent_and_underscore_as_they_are(small: Cli) -> None:
    for number, text in enumerate(("100% done", "100 done", "a_b snake", "aXb snake", 'say "q" x')):
        write_rollout(small.home, number, text)
    assert small.ids("--search", "%") == [thread_id(0)]
    assert small.ids("--search", "100% D") == [thread_id(0)]
    assert small.ids("--search", "_") == [thread_id(2)]
    assert small.ids("--search", "A_B s") == [thread_id(2)]
    assert small.ids("--search", '"Q"') == [thread_id(4)]
    assert small.ids("--search", "SNAKE") == [thread_id(3), thread_id(2)]


def test_cwd_may_be_relative_and_end_in_a_slash(small: Cli) -> None:
    project = small.base / "work" / "project"
    project.mkdir(parents=True)
    link = small.base / "link"
    link.symlink_to(project)
    write_rollout(small.home, 1, cwd=str(project))
    write_rollout(small.home, 2, cwd=str(small.base / "work"))
    write_rollout(small.home, 3, cwd="/elsewhere")
    assert small.ids("--cwd", "work/project") == [thread_id(1)]
    assert small.ids("--cwd", "work/project/") == [thread_id(1)]
    assert small.ids("--cwd", ".", cwd=project) == [thread_id(1)]
    assert small.ids("--cwd", "link") == [thread_id(1)]
    exactly = small.ids("--exact-cwd", "..", "--exact-cwd", "/elsewhere/", cwd=project)
    assert exactly == [thread_id(3), thread_id(2)]
    assert small.ids("--cwd", "..", cwd=project) == [thread_id(2), thread_id(1)]
    assert small.ids("--cwd", "/nowhere", status=1) == []


def test_a_project_by_a_path(tmp_path: Path) -> None:
    cli = Inside(tmp_path / "home", tmp_path)
    folder = tmp_path / "api" / "src"
    folder.mkdir(parents=True)
    for number, cwd in enumerate((folder, folder.parent, tmp_path / "other" / "src")):
        write_rollout(cli.home, number, cwd=str(cwd))
    newest, inner = thread_id(1), thread_id(0)
    assert cli.ids("--project", ".", cwd=folder) == [inner]
    assert cli.ids("--project", "..", cwd=folder) == [newest, inner]
    assert cli.ids("--project", "./src", cwd=folder.parent) == [inner]
    assert cli.ids("--project", str(folder.parent)) == [newest, inner]
    assert cli.ids("--project", "src") == [thread_id(2), inner]
    for name, hint in (("AP", ""), ("PI", ""), ("Api", "Similar projects: api"), ("none", "")):
        err = cli.run("list", "--project", name, status=1).err
        assert hint in err
        assert ("Similar" in err) == bool(hint)


def test_the_project_as_a_column(tmp_path: Path) -> None:
    cli = Inside(tmp_path / "home", tmp_path)
    for number, cwd in enumerate(("/a/api", "/b/web", "/c/api", "")):
        write_rollout(cli.home, number, cwd=cwd)
    cli.run("list")
    for _ in range(2):  # as the index is, and after a change
        lines = cli.run("list", "--columns", "folder,project").lines[-4:]
        assert lines == ["\t", "/c/api\t/c/api", "/b/web\tweb", "/a/api\t/a/api"]
        write_rollout(cli.home, 4, cwd="/b/web/new")
    threads = cli.run("list", "--columns", "project", "--json").json["data"]
    assert [thread["project"] for thread in threads] == ["new", "", "/c/api", "web", "/a/api"]
    assert "project" not in cli.run("list", "--json").json["data"][0]
