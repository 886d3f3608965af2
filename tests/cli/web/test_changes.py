"""Changes of threads from the pages: what they do, how they are undone, what is refused."""

import asyncio
import html
import re
from pathlib import Path

import httpx
import pytest

from cli.web.changing import CHANGES
from rollout.files.writer_lock import WriterLock
from state.query.marks import NO_MARKS, Marks, marks_steps
from state.query.rows import Row
from tests.cli.web.lists import check, home, listed, numbers, plain, see
from tests.cli.web.support import SCRIPT, Web
from tests.support.command import thread_id

ONE, TWO = thread_id(1), thread_id(2)
JSON = {**SCRIPT, "accept": "application/json"}


async def thread(browser: Web, id_: str = ONE) -> tuple[Row, Marks]:
    """A thread as the index has it."""
    index = (await browser.site.kept.store()).index
    marks = await index.database.query(marks_steps([id_]))
    return await index.thread(id_), marks.get(id_, NO_MARKS)


async def sent(browser: Web, action: str, id_: str = ONE, **fields: str) -> httpx.Response:
    """What a script of ours gets for a change."""
    data = {"csrf": browser.site.access.csrf, **fields}
    return await browser.post(f"/thread/{id_}/{action}", data=data, headers=JSON)


def state(row: Row, marks: Marks) -> tuple[object, ...]:
    """What changes change."""
    return row["name"], bool(row["archived"]), marks.pinned, marks.tags, marks.note, marks.status


BEFORE = (None, False, False, (), "", "")


@pytest.mark.parametrize(
    ("action", "fields", "told", "after"),
    [
        ("rename", {"name": " A <b> "}, "Renamed to “A <b>”.", ("A <b>", *BEFORE[1:])),
        ("tag", {"tags": "later, Big -no"}, "Added #later, #big and removed #no: “one”.",
         (*BEFORE[:3], ("big", "later"), "", "")),
        ("pin", {}, "Pinned “one”.", (None, False, True, (), "", "")),
        ("note", {"note": "a\r\nb"}, "Noted on “one”.", (*BEFORE[:4], "a\nb", "")),
        ("status", {"status": "doing"}, "Status doing: “one”.", (*BEFORE[:5], "doing")),
        ("archive", {}, "Archived “one”.", (None, True, *BEFORE[2:])),
    ],
)  # fmt: skip
def test_a_change_is_made_and_undone(
    tmp_path: Path, action: str, fields: dict[str, str], told: str, after: tuple[object, ...]
) -> None:
    here = home(tmp_path, "one", "two")

    async def look(browser: Web) -> None:
        answer = await sent(browser, action, **fields)
        assert (answer.status_code, answer.json()["told"]) == (200, told)
        assert state(*await thread(browser)) == after
        undo = answer.json()["undo"]
        assert (await sent(browser, "undo", TWO, undo=undo)).status_code == 409
        clicks = (sent(browser, "undo", undo=undo) for _ in range(2))
        done, answer = sorted(await asyncio.gather(*clicks), key=lambda each: each.status_code)
        assert done.json() == {"told": f"Undone: {told[:1].lower()}{told[1:]}", "undo": ""}
        assert state(*await thread(browser)) == BEFORE
        assert answer.status_code == 409
        assert "cannot be undone any more" in answer.json()["error"]["message"]

    see(here, look, allow_changes=True)


def test_what_is_taken_back_comes_back_by_undo(tmp_path: Path) -> None:
    here = home(tmp_path, "one", "two")

    async def look(browser: Web) -> None:
        for action, fields in (
            ("tag", {"tags": "a b"}), ("pin", {}), ("status", {"status": "todo"}),
            ("note", {"note": "n"}), ("rename", {"name": "N"}),
        ):  # fmt: skip
            assert (await sent(browser, action, **fields)).is_success
        before = state(*await thread(browser))
        for action, fields in (
            ("untag", {"tags": "a"}), ("unpin", {}), ("status", {"status": "none"}),
            ("note", {"note": " "}), ("rename", {"name": "M"}),
        ):  # fmt: skip
            answer = await sent(browser, action, **fields)
            assert state(*await thread(browser)) != before
            assert (await sent(browser, "undo", undo=answer.json()["undo"])).is_success
            assert state(*await thread(browser)) == before
        assert (await sent(browser, "pin")).json()["undo"] == ""  # it is pinned already
        first = await sent(browser, "rename", name="first")
        await sent(browser, "rename", name="second")
        told = (await sent(browser, "undo", undo=first.json()["undo"])).json()["told"]
        assert told.endswith("It has another name by now, and keeps it: “second”.")

    see(here, look, allow_changes=True)


def test_a_form_without_a_script_gets_pages(tmp_path: Path) -> None:
    here = home(tmp_path, "one", "<b>two</b>")

    async def look(browser: Web) -> None:
        await sent(browser, "tag", TWO, tags="x")
        page = (await browser.get("/")).text
        link = re.search(r'href="(/thread/[^"]+/change)" data-change', page)
        assert link
        page = (await browser.get(link[1])).text
        check(page)
        assert "Change “<b>two</b>”" in plain(page)
        part = (await browser.get(link[1], headers=SCRIPT)).text
        check(part)
        assert part.lstrip().startswith("<h2")
        del browser.headers["sec-fetch-dest"]  # as where we are reached by another name
        assert (await browser.get(link[1], headers={"accept": "text/html"})).text == part
        check((await browser.get(link[1], headers={"accept": "text/html,*/*"})).text)
        browser.headers["sec-fetch-dest"] = "document"
        forms = {action.rpartition("/")[2] for action in re.findall(r'action="([^"]+)"', part)}
        assert forms == {"rename", "tag", "untag", "status", "note", "pin", "archive"}
        for action in re.findall(r'action="([^"]+/pin)"', page):
            done = (await browser.change(action)).text
        check(done)
        assert "Pinned “<b>two</b>”." in plain(done)
        undo = re.search(r'name="undo" value="([^"]+)"', done)
        assert undo
        undone = await browser.change(action.replace("/pin", "/undo"), undo=undo[1])
        assert "Undone: pinned “<b>two</b>”." in plain(undone.text)
        assert 'name="undo"' not in undone.text
        refused = await browser.change(action.replace("/pin", "/rename"), name=" ")
        assert refused.status_code == 400
        check(refused.text)
        assert "must not be empty" in refused.text
        assert "<h1>Nothing was changed</h1>" in refused.text

    see(here, look, allow_changes=True)


def test_refusals_say_why(tmp_path: Path) -> None:
    here = home(tmp_path, "one", "two", "three")

    async def look(browser: Web) -> None:
        async def refused(action: str, id_: str = ONE, **fields: str) -> tuple[int, str]:
            answer = await sent(browser, action, id_, **fields)
            error = answer.json()["error"]
            return answer.status_code, f"{error['message']} {error['hint']}".strip()

        assert await refused("rename", name=" ") == (400, "The thread name must not be empty.")
        assert (await refused("tag", tags=""))[0] == 400
        assert (await refused("tag", tags="a" * 65)) == (400, "A tag has at most 64 characters.")
        assert (await refused("status", status="maybe"))[0] == 400
        assert (await refused("note", note="x" * 10_001))[0] == 400
        assert (await refused("unarchive"))[0] == 409
        assert (await refused("pin", thread_id(9)))[0] == 404
        assert (await refused("pin", "one"))[0] == 404  # an address has an id, no name
        assert (await refused("explode"))[0] == 404
        assert state(*await thread(browser)) == BEFORE
        assert (await sent(browser, "archive", TWO)).is_success
        assert await refused("rename", TWO, name="x") == (
            409,
            f"Thread {TWO} is archived. Unarchive it first.",
        )
        lock = WriterLock.acquire(here.home, thread_id(3))
        try:
            status, told = await refused("archive", thread_id(3))
        finally:
            lock.release()
        assert status == 409
        assert told.endswith("Close it in the program that has it open.")
        assert not (await thread(browser, thread_id(3)))[0]["archived"]

    see(here, look, allow_changes=True)


def test_without_the_option_nothing_can_be_changed_and_nothing_offers_it(tmp_path: Path) -> None:
    here = home(tmp_path, "one")

    async def look(browser: Web) -> None:
        page = (await browser.get("/")).text
        assert "data-change" not in page
        assert "changes.js" not in page
        for action in (*CHANGES, "undo"):
            answer = await browser.change(f"/thread/{ONE}/{action}", name="x", tags="x")
            assert answer.status_code == 403
            assert "threadkeep web --allow-changes" in html.unescape(answer.text)
        assert (await browser.get(f"/thread/{ONE}/change")).status_code == 403
        assert state(*await thread(browser)) == BEFORE

    see(here, look)


def test_a_change_brings_the_token_of_its_page(tmp_path: Path) -> None:
    here = home(tmp_path, "one")

    async def look(browser: Web) -> None:
        for data in ({}, {"csrf": ""}, {"csrf": "x"}):
            assert (await browser.post(f"/thread/{ONE}/pin", data=data)).status_code == 403
        assert (await browser.get(f"/thread/{ONE}/pin")).status_code in (404, 405)
        assert state(*await thread(browser)) == BEFORE

    see(here, look, allow_changes=True)


def test_the_row_of_one_thread_is_renewed_and_counts_follow(tmp_path: Path) -> None:
    here = home(tmp_path, "one", "two")

    async def look(browser: Web) -> None:
        before = await listed(browser, only=ONE)
        assert numbers(before) == [1]
        assert "More threads" not in before
        await sent(browser, "tag", tags="new")
        after = await listed(browser, only=ONE)
        assert re.findall('data-version="(.*?)"', before) != re.findall(
            'data-version="(.*?)"', after
        )
        assert "#new" in after
        assert "new 1 thread" in plain(await listed(browser))  # beside the list
        assert numbers(await listed(browser, only="nothing")) == []
        assert numbers((await browser.get(f"/?only={ONE}")).text) == [1]

    see(here, look, allow_changes=True)
