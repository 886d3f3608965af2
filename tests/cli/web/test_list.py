"""The list of threads: what it finds, counts and leaves out, and how it goes on."""

import asyncio
import html
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from cli.arguments.locations import Locations
from cli.web.app import make_app
from state.edit.archive import move_thread
from state.edit.metadata import set_name
from state.edit.move_plan import Action
from state.userdata.marks import NOTE, ON, PINNED, STATUS, tag_key
from tests.cli.web.lists import (
    answer,
    append,
    check,
    home,
    links,
    listed,
    mark,
    numbers,
    plain,
    renew,
    see,
    text_of,
)
from tests.cli.web.support import SCRIPT, Web
from tests.support.command import thread_id, write_rollout
from tests.support.effort import PATIENCE_S
from tests.support.indexes import in_index


def test_rows_say_what_a_thread_is(tmp_path: Path) -> None:
    here = home(tmp_path, "first prompt", "second prompt")
    mark(here, 1, PINNED, ON)
    mark(here, 1, tag_key("later"), ON)
    mark(here, 1, NOTE, "a note")
    mark(here, 2, STATUS, "doing")

    async def look(browser: Web) -> None:
        page = (await browser.get("/")).text
        check(page)
        check(f"<div>{await listed(browser)}</div>")
        assert numbers(page) == [1, 2]  # the pinned one first
        first, second = page.split('<li class="row')[1:]
        assert "Pinned: " in first
        assert "Pinned: " not in second
        assert "a note" in first
        assert f'href="/thread/{thread_id(1)}"' in first
        assert 'datetime="2026-10-15T00:00:01Z"' in first
        assert links(first) == {"#later": "tag:later", "odd": "project:odd"}
        assert links(second) == {"doing": "status:doing", "even": "project:even"}
        assert text_of(page, "count") == "2 threads"
        side = links(page)
        assert side["odd 1 thread"] == "project:odd"
        assert side["later 1 thread"] == "tag:later"
        assert side["doing 1 thread"] == "status:doing"

    see(here, look)


def test_the_box_filters_as_the_picker_does(tmp_path: Path) -> None:
    here = home(tmp_path, "alpha", "beta", "alpha again", "gamma")

    async def look(browser: Web) -> None:
        found = {
            text: numbers(await listed(browser, text))
            for text in ("alpha", "ALPHA -again", "project:odd", "project:odd alpha", "x:y alpha")
        }
        assert found == {
            "alpha": [3, 1],
            "ALPHA -again": [1],
            "project:odd": [3, 1],
            "project:odd alpha": [3, 1],
            "x:y alpha": [3, 1],  # no thread has both
        }
        page = await listed(browser, "project:odd alpha")
        assert text_of(page, "count") == "2 threads: 2 by title, 0 by what was said"
        assert plain(page).count("alpha") >= 2
        assert "<mark>alpha</mark>" in page
        # What is chosen is marked, and chosen again it is taken back.
        assert re.search(r'href="/\?q=alpha" aria-current="true">', page)
        assert links(page)["even 2 threads"] == "project:odd alpha project:even"
        # Of times only one is meant.
        page = await listed(browser, "since:7d alpha -since:1y")
        assert links(page)["today"] == "alpha since:today"
        assert links(page)["in 7 days"] == "alpha -since:1y"
        assert text_of(await listed(browser, "tag: alpha"), "notes").startswith("tag: add a value")
        assert numbers(await listed(browser, "", sort="created")) == [4, 3, 2, 1]
        assert numbers(await listed(browser, "", sort="nonsense")) == [4, 3, 2, 1]

    see(here, look)


def test_titles_come_before_what_was_said_and_no_thread_twice(tmp_path: Path) -> None:
    here = home(tmp_path, "webhook", "other", "third", "fourth")
    answer(here, 1, "the webhook fails")
    answer(here, 2, "so the webhook retries")
    answer(here, 3, "a webhook & <b>a webhook</b>")
    answer(here, 3, "webhook")
    answer(here, 4, "nothing")
    renew(here)

    async def look(browser: Web) -> None:
        page = await listed(browser, "webhook")
        assert numbers(page) == [1, 3, 2]  # those that said it more often first
        assert text_of(page, "count") == "3 threads: 1 by title, 2 by what was said"
        row = page.split('<li class="row')[2]
        assert "<mark>webhook</mark> &amp; &lt;b&gt;a <mark>webhook</mark>" in row
        assert f'href="/thread/{thread_id(3)}?find=webhook"' in row
        # What is only begun leads to the place, too.
        begun = re.search(r'href="([^"]+find=[^"]+)"', await listed(browser, "webh retr"))
        assert begun
        assert "data-hit" in (await browser.get(begun[1])).text
        assert numbers(await listed(browser, "webhook -retries")) == [1, 3]
        page = await listed(browser, "-webhook")
        assert numbers(page) == [4]
        assert text_of(page, "count") == "1 thread"
        assert text_of(await listed(browser, "retries"), "count") == "1 thread by what was said"

    see(here, look)


def test_what_was_said_goes_on_without_doubles(tmp_path: Path) -> None:
    here = home(tmp_path, *("webhook" if number % 3 == 0 else "other" for number in range(160)))
    for number in range(1, 161):
        answer(here, number, "a webhook")
    renew(here)

    async def look(browser: Web) -> None:
        page = await listed(browser, "webhook")
        count = "54 threads by title, then those in which it was said"
        assert text_of(page, "count") == count
        onward = re.search(r'href="([^"]+)">then those', page)
        assert onward
        found = numbers(page)
        while more := re.search(r'data-part="(/threads[^"]+)"', page):
            page = (await browser.get(html.unescape(more[1]), headers=SCRIPT)).text
            assert len(numbers(page)) <= 50
            found += numbers(page)
        titled = [number for number in range(160, 0, -1) if number % 3 == 1]
        said = [number for number in range(160, 0, -1) if number % 3 != 1]
        assert found == titled + said
        assert numbers((await browser.get(html.unescape(onward[1]))).text) == said[:50]
        page = await listed(browser, "webhook -nonsense project:odd")
        assert text_of(page, "count") == "27 by title, more than 23 by what was said"

    see(here, look)


def test_a_sentence_finds_threads_that_have_some_of_its_words(tmp_path: Path) -> None:
    here = home(tmp_path, "one", "two", "three")
    answer(here, 1, "the webhook fails")
    answer(here, 2, "the webhook is retried with a backoff")
    renew(here)

    async def look(browser: Web) -> None:
        page = await listed(browser, "webhook backoff")
        assert numbers(page) == [2]
        assert "some of" not in page
        page = await listed(browser, "webhook backoff nonsense")
        assert numbers(page) == [2, 1]
        assert text_of(page, "count").startswith("2 threads with some of the words")
        assert text_of(page, "notes").startswith("No thread has all of these words.")
        assert numbers(await listed(browser, "quite nonsense")) == []
        assert numbers(await listed(browser, "webhook nonsense -backoff")) == []

    see(here, look)


def test_a_list_goes_on_without_doubles_while_threads_change(tmp_path: Path) -> None:
    here = home(tmp_path, *(f"prompt {number}" for number in range(1, 121)))
    mark(here, 7, PINNED, ON)

    async def look(browser: Web) -> None:
        page = (await browser.get("/")).text
        found = numbers(page)
        assert found[:2] == [7, 120]
        assert text_of(page, "count") == "120 threads"
        write_rollout(here.home, 121, "new meanwhile")
        await (await browser.site.kept.store()).index.sync()
        while more := re.search(
            r'<li class="more"><a class="button" href="([^"]+)" data-part="([^"]+)"', page
        ):
            whole = (await browser.get(html.unescape(more[1]))).text
            page = (await browser.get(html.unescape(more[2]), headers=SCRIPT)).text
            assert numbers(whole) == numbers(page)
            assert plain(whole).count("From the beginning of the list") == 1
            assert page.lstrip().startswith("<li")
            check(whole)
            found += numbers(page)
        assert found == [7, *(number for number in range(120, 0, -1) if number != 7)]

    see(here, look)


def test_a_bad_cursor_is_refused_with_what_to_do(tmp_path: Path) -> None:
    here = home(tmp_path, "one", "two")

    async def look(browser: Web) -> None:
        for cursor in ("x", "said.", "other.x", "pinned.WzEsMl0", "other"):
            answer = await browser.get(f"/?cursor={cursor}")
            assert answer.status_code == (200 if cursor == "other" else 400), cursor
        assert "Start from the beginning" in answer.text or answer.status_code == 200
        refused = await browser.get("/threads?q=one&cursor=other.", headers=SCRIPT)
        assert refused.status_code == 400
        assert refused.text.lstrip().startswith('<div role="alert"')
        assert "/?q=one" not in refused.text

    see(here, look)


def test_what_is_hidden_can_be_seen(tmp_path: Path) -> None:
    here = home(tmp_path, "one", "two", "three")
    write_rollout(here.home, 4, "of a script", source="exec")
    renew(here)
    in_index(here.home, here.index, lambda index: move_thread(index, thread_id(2), Action.ARCHIVE))

    async def look(browser: Web) -> None:
        page = await listed(browser)
        told = "2 threads · not shown: 1 archived, 1 not interactive"
        assert text_of(page, "count") == told
        assert "odd 2 threads" in plain(page)  # beside the list are the threads that it shows
        assert "even 1 thread" not in plain(page)
        asked = links(page)
        assert asked["1 archived"] == "is:archived"
        assert numbers(await listed(browser, asked["1 archived"])) == [2]
        assert numbers(await listed(browser, asked["1 not interactive"])) == [4, 3, 1]
        page = await listed(browser, "two")
        assert numbers(page) == []
        empty = links(page.partition('id="empty"')[2])
        assert text_of(page, "empty").startswith("No thread matches “two”.")
        assert "Names and messages are searched, not commands" in plain(page)
        assert empty["Show 1 archived thread: is:archived"] == "two is:archived"
        assert empty["Clear the text"] == ""

    see(here, look)


def test_an_empty_home_says_so(tmp_path: Path) -> None:
    here = Locations(tmp_path / "home", tmp_path / "state" / "index.sqlite3")
    (here.home / "sessions").mkdir(parents=True)
    renew(here)

    async def look(browser: Web) -> None:
        async with asyncio.timeout(PATIENCE_S):  # the index may not be filled yet
            told = "No threads so far."
            while told == "No threads so far.":
                told = text_of((await browser.get("/")).text, "empty")
        assert told == f"No threads here yet: {here.home}"

    see(here, look)


def test_threads_are_found_by_a_file_that_they_changed(tmp_path: Path) -> None:
    here = home(tmp_path, "one", "two", "three", "four")
    for number, path in ((1, "/w/cli/app.py"), (3, "/w/<app>.py"), (4, "/w/other.py")):
        done = f"Success. Updated the following files:\nM {path}\n"
        changes = {path: {"type": "update", "unified_diff": ""}}
        append(
            here,
            number,
            {
                "type": "patch_apply_end",
                "call_id": "c",
                "stdout": done,
                "stderr": "",
                "success": True,
                "changes": changes,
            },
        )
    answer(here, 3, "a word")
    renew(here)

    async def look(browser: Web) -> None:
        page = await listed(browser, "file:app")
        assert numbers(page) == [3, 1]
        assert text_of(page, "count") == "2 threads"
        assert "changed /w/&lt;<mark>app</mark>&gt;.py" in page
        assert numbers(await listed(browser, "file:app word")) == [3]
        assert numbers(await listed(browser, "file:nothing")) == []

    see(here, look)


def test_no_text_of_a_thread_becomes_a_part_of_the_page(tmp_path: Path) -> None:
    hostile = (
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "{{ 7 * 7 }} {% raw %}",
        "javascript:alert(1)",
        "a\u202eb \u2066 c",
        "&amp; &lt;b&gt;",
    )
    here = home(tmp_path, *("plain" for _ in hostile), *hostile)
    for number, text in enumerate(hostile, 1):
        folder = f"/w/{text.replace('/', '')}"
        write_rollout(here.home, 20 + number, text, cwd=folder, provider=text)
        answer(here, number, f"{text} said")
    renew(here)
    for number, text in enumerate(hostile, 1):
        rename = partial(set_name, reference=thread_id(number), name=text)
        in_index(here.home, here.index, rename)
        mark(here, 20 + number, NOTE, text)

    async def look(browser: Web) -> None:
        for text in ("", *hostile):
            page = (await browser.get(f"/?{urlencode({'q': text})}")).text
            check(page)
            assert numbers(page)
            assert "<script>alert" not in page
            assert "<img src=x" not in page
            assert "\u202e" not in page
            assert "\u2066" not in page
            assert "49" not in plain(page).split()
            assert not re.search(r'href="(?!/|#)', page)

    see(here, look)


def test_filters_are_completed(tmp_path: Path) -> None:
    here = home(tmp_path, "one", "two")
    mark(here, 1, tag_key("später"), ON)

    async def look(browser: Web) -> None:
        async def offered(text: str, at: str = "") -> list[dict[str, Any]]:
            answer = await browser.get("/complete", params={"q": text, "at": at}, headers=SCRIPT)
            return list(answer.json()["completions"])

        assert await offered("proj") == [
            {
                "token": "project:",
                "help": "Of this project; project:. is that of this folder",
                "text": "project:",
                "at": 8,
            }
        ]
        (found,) = await offered("🙂 tag:sp")
        assert (found["token"], found["text"], found["at"]) == ("tag:später", "🙂 tag:später ", 13)
        (found,) = await offered("project:e word", "9")
        assert (found["text"], found["at"]) == ("project:even word", 12)
        assert await offered("word") == []
        for at in ("-1", "x", "9" * 5000, "²"):
            assert await offered("tag:", at) == await offered("tag:")

    see(here, look)


def test_a_page_hears_that_threads_have_changed(tmp_path: Path) -> None:
    here = home(tmp_path, "one")

    async def look(browser: Web) -> None:
        page = (await browser.get("/")).text
        url = re.search(r'data-events="([^"]+)"', page)
        assert url
        access = browser.site.access
        headers = {
            "host": f"127.0.0.1:{access.port}",
            "cookie": f"{access.cookie}={access.session}",
            **SCRIPT,
            "sec-fetch-site": "same-origin",
        }
        coded = [(name.encode(), value.encode()) for name, value in headers.items()]
        path = {"path": url[1], "raw_path": url[1].encode(), "query_string": b""}
        scope = {"type": "http", "method": "GET", "headers": coded, **path}
        heard, left = asyncio.Event(), asyncio.Event()

        async def receive() -> dict[str, str]:
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Mapping[str, Any]) -> None:
            if b"event: changed" in message.get("body", b""):
                heard.set()

        async def hear() -> None:
            await make_app(browser.site)(scope, receive, send)

        stream = asyncio.create_task(hear())
        async with asyncio.timeout(PATIENCE_S):
            number = 2
            while not heard.is_set():  # the first ones may come before it listens
                write_rollout(here.home, number, "new")
                await (await browser.site.kept.store()).index.sync()
                with suppress(TimeoutError):
                    await asyncio.wait_for(heard.wait(), 0.2)
                number += 1
            left.set()
            await stream

    see(here, look)
