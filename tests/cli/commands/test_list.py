"""``threadkeep list``: pages, orders, filters, and what it says."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import THREAD_KEYS, Cli, Inside, thread_id, write_rollout

SORTS = ("created_at", "updated_at", "recency_at")


Thread = dict[str, Any]


@pytest.fixture(scope="module")
def everything(corpus: Cli) -> list[Thread]:
    """Every active thread of the corpus that has something in it, by the default sort."""
    page = corpus.run("list", "--all", "--all-sources", "--json").json
    threads: list[Thread] = page["data"]
    return threads


@pytest.fixture
def small(tmp_path: Path) -> Cli:
    """The command for a small home with an index of its own; nothing is in it yet."""
    home = tmp_path / "home"
    (home / "sessions").mkdir(parents=True)
    return Inside(home, tmp_path)


def test_list_json_has_exactly_these_keys(corpus: Cli) -> None:
    ran = corpus.run("list", "--json", "--limit", "3")
    page = ran.json
    assert ran.err == ""
    assert list(page) == [
        "data",
        "nextCursor",
        "backwardsCursor",
        "hidden",
        "fallbackPreview",
        "complete",
    ]
    assert page["hidden"] == {
        "archived": 7,
        "source": 24,
        "empty": 2,
        "attached": 1,
        "unreadable": 0,
    }
    assert page["complete"] is True
    assert len(page["data"]) == 3
    for thread in page["data"]:
        assert list(thread) == THREAD_KEYS
        assert thread["status"] == {"type": "notLoaded"}
        assert thread["turns"] == []
        assert Path(thread["path"]).is_relative_to(corpus.home)
        assert isinstance(thread["updatedAt"], int)


def test_git_info_is_an_object_of_three_or_null(everything: list[Thread]) -> None:
    infos = [thread["gitInfo"] for thread in everything]
    assert None in infos
    assert {tuple(info) for info in infos if info} == {("sha", "branch", "originUrl")}


def test_fallback_previews_are_named(corpus: Cli) -> None:
    page = corpus.run("list", "--all", "--all-sources", "--json").json
    shown = {thread["id"]: thread["preview"] for thread in page["data"]}
    assert len(page["fallbackPreview"]) == 5
    assert all(id_ in shown for id_ in page["fallbackPreview"])


def test_lines_for_pipes_have_six_tab_separated_values(corpus: Cli) -> None:
    ran = corpus.run("list", "--limit", "4")
    threads = corpus.run("list", "--limit", "4", "--json").json["data"]
    assert len(ran.lines) == 4
    for line, thread in zip(ran.lines, threads, strict=True):
        id_, time, label, cwd, model, tokens = line.split("\t")
        assert id_ == thread["id"]
        assert len(time) == len("2026-11-20T12:17:41Z")
        assert label == " ".join((thread["name"] or thread["preview"]).split())
        assert (cwd, model) == (thread["cwd"], thread["model"] or "")
        assert tokens.isdigit()
    assert ran.err.splitlines() == [
        "Showing 4 of 160. Use --limit N or --all to see more.",
        "Not shown: 24 not interactive (--all-sources), 1 side thread (--all-sources),"
        " 7 archived (--archived), 2 empty.",
    ]


@pytest.mark.parametrize("ascending", [False, True], ids=["newest-first", "oldest-first"])
@pytest.mark.parametrize("sort", SORTS)
def test_pages_give_each_thread_exactly_once(
    corpus: Cli, everything: list[Thread], sort: str, ascending: bool
) -> None:
    options = ["list", "--json", "--all-sources", "--sort", sort, "--limit", "100"]
    options += ["--asc"] if ascending else []
    walked: list[Thread] = []
    page: dict[str, Any] = corpus.run(*options).json
    walked += page["data"]
    while page["nextCursor"]:
        page = corpus.run(*options, "--cursor", page["nextCursor"]).json
        walked += page["data"]
    ids = [thread["id"] for thread in walked]
    assert len(ids) == len(set(ids))
    assert set(ids) == {thread["id"] for thread in everything}
    key = {"created_at": "createdAt", "updated_at": "updatedAt", "recency_at": "recencyAt"}[sort]
    times = [thread[key] for thread in walked]
    assert times == sorted(times, reverse=not ascending)


def test_a_limit_above_a_page_is_met_and_can_be_gone_on_from(corpus: Cli) -> None:
    page = corpus.run("list", "--json", "--limit", "130").json
    rest = corpus.run("list", "--json", "--all", "--cursor", page["nextCursor"]).json
    assert len(page["data"]) == 130
    assert rest["nextCursor"] is None
    both = [thread["id"] for thread in page["data"] + rest["data"]]
    assert both == corpus.ids("--all")


def test_the_backwards_cursor_gives_the_opposite_list_from_the_same_thread(corpus: Cli) -> None:
    first = corpus.run("list", "--json", "--limit", "20").json
    second = corpus.run("list", "--json", "--limit", "20", "--cursor", first["nextCursor"]).json
    back = corpus.ids("--asc", "--limit", "200", "--cursor", second["backwardsCursor"])
    assert back == [t["id"] for t in reversed([*first["data"], second["data"][0]])]


def test_no_sync_shows_what_the_index_has_and_never_a_thread_that_is_gone(small: Cli) -> None:
    paths = [write_rollout(small.home, number) for number in range(3)]
    assert small.ids() == [thread_id(2), thread_id(1), thread_id(0)]
    write_rollout(small.home, 3)
    paths[1].unlink()
    assert small.ids("--no-sync") == [thread_id(2), thread_id(0)]
    assert small.ids() == [thread_id(3), thread_id(2), thread_id(0)]


def test_a_list_follows_every_change_of_the_files(small: Cli) -> None:
    path = write_rollout(small.home, 1, "first words")
    write_rollout(small.home, 2)
    assert small.ids() == [thread_id(2), thread_id(1)]
    archive = small.home / "archived_sessions"
    archive.mkdir()
    shutil.move(path, archive / path.name)
    page = small.run("list", "--json").json
    assert [thread["id"] for thread in page["data"]] == [thread_id(2)]
    assert page["hidden"]["archived"] == 1
    assert small.ids("--archived") == [thread_id(1)]
    named = {"id": thread_id(2), "thread_name": "a name", "updated_at": "2026-10-16T00:00:00Z"}
    (small.home / "session_index.jsonl").write_text(json.dumps(named) + "\n")
    assert small.run("list", "--json").json["data"][0]["name"] == "a name"
    assert small.run("list").lines[0].split("\t")[2] == "a name"


def test_an_empty_home_has_no_threads_and_status_1(small: Cli) -> None:
    ran = small.run("list", status=1)
    assert (ran.out, ran.err) == ("", f"No threads here yet: {small.home}\n")
    page = small.run("list", "--json", status=1).json
    assert (page["data"], page["nextCursor"], page["backwardsCursor"]) == ([], None, None)
    assert page["complete"] is True


def test_a_filter_that_nothing_fits_says_so_with_status_1(corpus: Cli) -> None:
    ran = corpus.run("list", "--search", "no such words", status=1)
    assert ran.out == ""
    assert ran.err.startswith("No threads")
    assert "Traceback" not in ran.err


def appended(path: Path, time: str, kind: str, **payload: object) -> None:
    """Let a rollout grow by an event, as Codex does: its modification time is now."""
    line = {"timestamp": time, "type": "event_msg", "payload": {"type": kind, **payload}}
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_opening_copying_and_touching_a_thread_changes_no_order(
    small: Cli, options: tuple[str, ...]
) -> None:
    old, last = write_rollout(small.home, 1), write_rollout(small.home, 2)
    settings = {"thread_id": thread_id(1), "thread_settings": {"model": "m"}}
    appended(old, "2026-11-20T10:00:00.000Z", "thread_settings_applied", **settings)
    assert small.ids(*options) == [thread_id(2), thread_id(1)]
    backup = old.read_bytes()
    old.unlink()
    old.write_bytes(backup)
    os.utime(last, ns=(1, 1))
    assert small.ids(*options) == [thread_id(2), thread_id(1)]
    assert small.ids("--sort", "updated_at", *options) == [thread_id(1), thread_id(2)]
    appended(old, "2026-11-20T11:00:00.000Z", "task_started", turn_id="t", started_at=1)
    assert small.ids(*options) == [thread_id(1), thread_id(2)]
    assert small.run("list").lines[0].split("\t")[1] == "2026-11-20T11:00:00Z"
    assert small.run("list", "--json").json["data"][0]["recencyAt"] == 1795172400
    assert small.run("search", "--json", "hello").json["data"][0]["thread"]["id"] == thread_id(1)
    assert small.run("search", "hello").lines[0].split("\t")[:2] == [
        thread_id(1),
        "2026-11-20T11:00:00Z",
    ]


def test_a_name_that_only_the_rollout_has_is_used_until_something_names_it_later(
    small: Cli,
) -> None:
    path = write_rollout(small.home, 1)

    def name() -> str:
        return small.run("list").lines[0].split("\t")[2]

    def written(name: str, time: str | None) -> None:
        line = {"id": thread_id(1), "thread_name": name, "updated_at": time}
        with (small.home / "session_index.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    event = {"thread_id": thread_id(1), "thread_name": "Nice name"}
    appended(path, "2026-10-16T10:00:00.000Z", "thread_name_updated", **event)
    assert name() == "Nice name"
    assert small.run("show", "--json", "Nice name").json["thread"]["id"] == thread_id(1)
    written("Before", "2026-10-16T09:00:00Z")
    assert name() == "Nice name"
    written("After", "2026-10-16T11:00:00Z")
    assert name() == "After"
    event["thread_name"] = "In the file again"
    appended(path, "2026-10-16T12:00:00.000Z", "thread_name_updated", **event)
    assert name() == "In the file again"
    written("At no time", None)
    assert name() == "At no time"
    (small.home / "session_index.jsonl").unlink()
    assert name() == "In the file again"
    small.run("rename", thread_id(1), "By hand")
    assert name() == "By hand"
    small.run("reindex")
    assert name() == "By hand"
    assert small.run("verify", "--deep").out == ""


def test_a_thread_whose_prompts_are_only_response_items_is_listed_found_and_shown(
    small: Cli,
) -> None:
    path = write_rollout(small.home, 1)
    texts = [("user", "<environment_context>"), ("user", "Fix the zebra"), ("assistant", "Did it")]
    meta = path.read_text().splitlines()[0]
    items = [
        {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}
        for role, text in texts
    ]
    lines = [
        json.dumps({"timestamp": "2026-10-15T00:00:02.000Z", "type": "response_item", "payload": i})
        for i in items
    ]
    path.write_text("\n".join([meta, *lines, ""]))
    page = small.run("list", "--json").json
    assert (page["data"][0]["preview"], page["fallbackPreview"]) == (
        "Fix the zebra",
        [thread_id(1)],
    )
    assert small.run("search", "zebra").lines[0].split("\t")[2] == "userMessage"
    assert small.run("search", '"did it"').lines[0].split("\t")[2] == "agentMessage"
    assert "Fix the zebra" in small.run("show", thread_id(1)).out
    with path.open("a") as file:
        file.write(lines[1].replace("zebra", "giraffe") + "\n")
    assert small.run("search", "giraffe").lines[0].split("\t")[2] == "userMessage"
    appended(path, "2026-10-15T00:00:03.000Z", "user_message", message="An event at last")
    assert small.run("list").lines[0].split("\t")[2] == "An event at last"
    assert small.run("search", "giraffe", status=1).out == ""
    assert small.run("search", "event").lines[0].split("\t")[2] == "userMessage"


def test_lines_of_a_second_writer_are_told(small: Cli) -> None:
    path = write_rollout(small.home, 1)
    first = json.loads(path.read_text().splitlines()[0])
    first["payload"]["history_mode"] = "paginated"
    lines = [first]
    for name in "AB":
        item = {"type": "UserMessage", "id": name, "content": [{"type": "text", "text": name}]}
        for payload in (
            {"type": "task_started", "turn_id": name, "started_at": 1},
            {"type": "item_completed", "thread_id": thread_id(1), "turn_id": name, "item": item},
        ):
            lines.append({"timestamp": first["timestamp"], "type": "event_msg", "payload": payload})
    ordinals = [0, 1, 2, 1, 2]
    encoded = [
        json.dumps({"timestamp": line["timestamp"], "ordinal": ordinal, **line})
        for ordinal, line in zip(ordinals, lines, strict=True)
    ]
    path.write_text("\n".join([*encoded, ""]))
    offset = len("\n".join(encoded[:3])) + 1
    small.run("list")
    status = small.run("status", "--json").json
    [problem] = status["problems"]
    assert (status["leftOut"], status["damaged"]) == (1, 0)
    assert (problem["leftOutLines"], problem["leftOutOffset"]) == (2, offset)
    assert (problem["reason"], problem["badLines"]) == (None, 0)
    assert f"2 lines outside any turn: a second program wrote them; the first at byte {offset}" in (
        small.run("status").out
    )
    assert "(2 lines outside any turn" in small.run("show", "--meta", thread_id(1)).out
    shown = small.run("show", thread_id(1)).out
    assert "2 lines of its files belong to no turn: see threadkeep show --meta." in shown
    [finding] = small.run("verify", "--deep", "--json", status=1).json["findings"]
    assert (finding["code"], finding["offset"]) == ("lines_left_out", offset)
    with path.open("a") as file:
        file.write(encoded[3] + "\n" + encoded[4].replace('"ordinal": 2', '"ordinal": 3') + "\n")
    small.run("list")
    assert small.run("status", "--json").json["problems"][0]["leftOutLines"] == 3
    [finding] = small.run("verify", "--deep", "--json", status=1).json["findings"]
    assert finding["code"] == "lines_left_out"
