"""The page of a thread, and the parts of it that are loaded behind it."""

import asyncio
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlencode

import pytest

from cli.web.thread.opened import OpenThreads
from tests.cli.web.support import SCRIPT, Web, small_home, web
from tests.cli.web.thread.support import URL, ask, shown, talk
from tests.samples.hostile import HOSTILE
from tests.samples.rollouts import THREAD_ID
from tests.support.command import thread_id, write_rollout
from tests.support.effort import PATIENCE_S
from tests.support.reading import call, event, item, save, turn

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAC"
    "hwGA60e6kgAAAABJRU5ErkJggg=="
)
ANSWER = (
    "Some **text**, [a page](https://example.org/x), [a file](src/a.py:3) and"
    " [a call](javascript:alert(1)).\n\n| a | b |\n| --- | ---: |\n| 1 | 2 |\n"
)
PATCH = (
    "*** Begin Patch\n*** Update File: src/a.py\n@@\n same\n-old 1\n-old 2\n+new\n"
    "*** Add File: b.py\n+first\n+second\n*** End Patch"
)


def turns_in(html: str) -> list[int]:
    return [int(found) for found in re.findall(r'data-number="(\d+)"', html)]


def link(html: str, kind: str) -> str:
    """Where a link to more turns leads; empty if there is none."""
    found = re.search(rf'<a class="{kind}" href="([^"]+)"', html)
    return found[1].replace("&amp;", "&") if found else ""


def test_a_thread_has_its_turns_prompts_and_facts(tmp_path: Path) -> None:
    write_rollout(tmp_path / "home", 1, "another thread")
    talk(
        tmp_path,
        turn(
            1,
            event("agent_reasoning", text="**Thinking**"),
            *call("shell_command", {"command": "ls -l"}, "Exit code: 2\nOutput:\nno such file"),
            *call("apply_patch", {"input": PATCH}, "Success", 2),
            event("agent_message", message=ANSWER),
        ),
        turn(2, ended=False),
    )

    async def look(client: Web) -> None:
        html = await shown(client, URL)
        assert re.search(r"<h1>\s*question 1</h1>", html)
        assert turns_in(html) == [1, 2]
        assert 'id="turn-2"' in html
        assert "2 turns" in html
        # The outline is here at once, with what came of the turns.
        prompts = re.findall(r'<span class="prompt">([^<]+)</span>(<small>.*?</small>)?', html)
        assert [prompt for prompt, _ in prompts] == ["question 1", "question 2"]
        # Beside the prompt, which is cut short where it is long.
        assert "2 files" in prompts[0][1]
        assert "<em>1 failed</em>" in prompts[0][1]
        assert '<details data-kind="reasoning">' in html
        assert '$ ls -l <span class="state">exit 2</span>' in html
        assert '<details data-kind="output" open>\n<summary>1 line</summary>' in html
        assert '<a href="https://example.org/x" rel="noopener noreferrer nofollow" target=' in html
        assert '<span class="path" title="src/a.py:3">a file</span>' in html
        assert '<td class="right">2</td>' in html
        assert "javascript" not in html.replace("[a call](javascript:alert(1))", "")
        assert "style=" not in html
        assert html.count(">not finished<") == 1

    ask(tmp_path, look)


def test_a_patch_has_its_files_with_both_sides_of_what_changed(tmp_path: Path) -> None:
    talk(tmp_path, turn(1, *call("apply_patch", {"input": PATCH}, "Success")))

    async def look(client: Web) -> None:
        html = await shown(client, URL)
        first, second = re.findall(r'<details data-kind="patch" open>\n(.*?)</details>', html, re.S)
        assert "update <b>src/a.py</b>" in first
        assert '<span class="plus">+1</span> <span class="minus">−2</span>' in first
        assert '<div class="diff sides"' in first
        assert first.count("> same") == 2  # one of them for the other side
        pair = re.search(r'<div class="pair">(.*?)</div></div>', first, re.S)
        assert pair
        assert re.findall(r'<div class="(\w+)">(.*?)\n', pair[1] + "</div>") == [
            ("del", "-old 1"),
            ("del", "-old 2"),
            ("add", "+new"),
        ]
        assert "add <b>b.py</b>" in second
        assert "sides" not in second
        assert "Begin Patch" not in html

    ask(tmp_path, look)


def test_a_thread_is_found_by_a_prefix_and_by_its_name(tmp_path: Path) -> None:
    write_rollout(tmp_path / "home", 1)
    write_rollout(tmp_path / "home", 2)

    async def look(client: Web) -> None:
        answer = await client.get(f"/thread/{thread_id(1)[:20]}?turn=1")
        assert answer.status_code == 302
        assert answer.headers["location"] == f"/thread/{thread_id(1)}?turn=1"
        both = await shown(client, f"/thread/{thread_id(1)[:8]}", 300)
        assert thread_id(1) in both
        assert thread_id(2) in both
        assert "nothing-here" in await shown(client, "/thread/nothing-here", 404)

    ask(tmp_path, look)


@pytest.mark.parametrize("mode", ["legacy", "paginated"])
def test_long_threads_come_some_turns_at_a_time(tmp_path: Path, mode: str) -> None:
    long = "word " * 4_000
    talk(tmp_path, *(turn(n, event("agent_message", message=long)) for n in range(1, 41)))

    async def look(client: Web) -> None:
        html = await shown(client, URL)
        seen = turns_in(html)
        assert seen[-1] == 40
        assert len(seen) < 20
        assert not link(html, "later")
        while before := link(html, "earlier"):
            html = await shown(client, before)
            part = await shown(client, before.replace(URL, f"{URL}/turns"), script=True)
            assert turns_in(part) == turns_in(html)
            assert "<html" not in part
            seen = turns_in(html) + seen
        assert seen == [*range(1, 41)]
        html = await shown(client, f"{URL}?turn=7")
        seen = turns_in(html)
        assert seen[0] == 7
        while after := link(html, "later"):
            html = await shown(client, after)
            seen += turns_in(html)
        assert seen == [*range(7, 41)]

    ask(tmp_path, look)


def test_a_long_turn_comes_in_parts(tmp_path: Path) -> None:
    calls = [
        line
        for n in range(120)
        for line in call("shell_command", {"command": f"run {n}"}, "word " * 400, n)
    ]
    talk(tmp_path, turn(1), turn(2, *calls), turn(3))

    async def look(client: Web) -> None:
        html = await shown(client, URL)
        commands = re.findall(r"\$ run (\d+)", html)
        assert commands[-1] == "119"
        assert commands[0] != "0"
        assert "continued" in html
        while before := link(html, "earlier"):
            html = await shown(client, before)
            commands = re.findall(r"\$ run (\d+)", html) + commands
        assert commands == [str(n) for n in range(120)]

    ask(tmp_path, look)


def test_what_is_long_is_cut_and_loaded_when_it_is_wanted(tmp_path: Path) -> None:
    output = "\n".join(f"line {n}" for n in range(5_000))
    talk(tmp_path, turn(1, *call("shell_command", {"command": "seq"}, output)))

    async def look(client: Web) -> None:
        html = await shown(client, URL)
        assert "5,000 lines" in html
        assert "line 4999" not in html
        more = re.search(r'<p class="more"><a href="([^"]+)">', html)
        assert more
        url = more[1].replace("&amp;", "&")
        part = await shown(client, url, script=True)
        assert "line 4999" in part
        assert "<html" not in part
        assert "line 4999" in await shown(client, url)
        wrong = url.replace("block=", "block=9")
        assert "no such part" in await shown(client, wrong, 400)

    ask(tmp_path, look)


def test_pictures_are_in_the_page_or_loaded_by_themselves(tmp_path: Path) -> None:
    small, odd = f"data:image/png;base64,{PNG}", "data:image/svg+xml;base64,PHN2Zz4="
    large = f"data:image/png;base64,{'QUJD' * 30_000}"
    huge, cut = f"data:image/jpeg;base64,{'QUJD' * 400_000}", "data:image/png;base64,QUJDQ"
    talk(
        tmp_path,
        turn(1, event("user_message", message="x", images=[small, large, odd, "http://x/y.png"])),
        turn(2, event("user_message", message="y", images=[huge, cut])),
    )

    async def look(client: Web) -> None:
        html = await shown(client, URL)
        sources = re.findall(r'<img src="([^"]+)"[^>]* loading="lazy"', html)
        assert sources[0] == small
        assert sources[3:] == [cut]
        assert "[image: data:image/svg+xml, not shown]" in html
        for source, kind, size in ((sources[1], "png", 90_000), (sources[2], "jpeg", 1_200_000)):
            answer = await client.get(source.replace("&amp;", "&"))
            assert answer.status_code == 200, answer.text
            assert answer.headers["content-type"] == f"image/{kind}"
            assert len(answer.content) == size
        for source, wrong in ((sources[1], "picture=2"), (sources[2], "picture=1")):
            address = re.sub(r"picture=\d", wrong, source.replace("&amp;", "&"))
            assert (await client.get(address)).status_code == 400

    ask(tmp_path, look)


def test_bad_addresses_say_what_is_wrong(tmp_path: Path) -> None:
    talk(tmp_path, turn(1), turn(2))

    async def look(client: Web) -> None:
        gone = urlencode({"from": "0.0.5.nothing"})
        for query, status, told in (
            ("?turn=3", 404, "its 2 turns"),
            ("?turn=0", 404, "no turn"),
            ("?turn=x", 400, "not a number"),
            (f"?turn={'9' * 5_000}", 400, "not a number"),
            ("?turn=²", 400, "not a number"),
            ("?from=x", 400, "names no part"),
            ("?from=-1.0.0.x", 400, "names no part"),
            ("?from=9999999999999999999999.0.0.x", 400, "names no part"),
            ("?before=1.2", 400, "names no part"),
            (f"?{gone}", 400, "no such turn now"),
            (f"/turns?{gone}", 400, "no such turn now"),
            ("/outline?page=-1", 400, "not a number"),
            ("/search?q=", 400, "nothing to search for"),
            ("/block", 400, "names no part"),
            ("/block?turn=0.0.5.nothing&block=0.0", 400, "no such turn now"),
            ("/block?turn=0.0.5.nothing&block=x.0", 400, "not a number"),
        ):
            assert told in await shown(client, URL + query, status), query
        assert (await client.get(f"{URL}/outline?page=7")).status_code == 200
        assert (await client.post(URL)).status_code in (403, 404, 405)

    ask(tmp_path, look)


class Tags(HTMLParser):
    """What a page is made of, besides text."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


HOSTILE_HTML = (
    "</pre></details></main><script>alert(1)</script><img src=http://x/y.png onerror=alert(1)>"
    "![x](http://x/y.png) ![y](data:image/svg+xml;base64,AAAA) [z](javascript:alert(1))"
    " [f](ftp://x/y) [v](vscode://x) <!-- & ]]> &lt; \" ' " + HOSTILE
)


def test_nothing_of_a_thread_becomes_more_than_text(tmp_path: Path) -> None:
    bad = HOSTILE_HTML
    talk(
        tmp_path,
        turn(
            1,
            event("user_message", message=bad, images=[f"data:image/png;base64,{PNG}", bad]),
            event("agent_message", message=bad),
            event("agent_reasoning", text=bad),
            *call("shell_command", {"command": bad}, bad),
            *call(bad, {bad: bad}, bad, 2),
            *call(
                "apply_patch", {"input": f"*** Update File: {bad}\n@@ {bad}\n-{bad}\n+x"}, bad, 3
            ),
            item("reasoning", summary=[{"type": "summary_text", "text": bad}], content=[]),
        ),
    )

    async def look(client: Web) -> None:
        for url in (
            URL,
            f"{URL}/outline",
            f"{URL}/search?{urlencode({'q': 'alert'})}",
            f"{URL}?{urlencode({'find': bad})}",
        ):
            tags = Tags()
            tags.feed(await shown(client, url))
            for tag, attributes in tags.seen:
                assert tag not in ("iframe", "object", "embed", "base", "style"), url
                assert not [name for name in attributes if name.startswith("on")], attributes
                assert "style" not in attributes, attributes
                if tag == "script":
                    assert (attributes["src"] or "").startswith("/static/")
                if tag == "img":
                    assert re.match(r"data:image/png;base64,|/", attributes["src"] or "")
                if tag == "a":
                    assert re.match(r"/|#|https?:|\?", attributes["href"] or ""), attributes

    ask(tmp_path, look)


def test_kin_marks_and_warnings_are_above_the_turns(tmp_path: Path) -> None:
    home = tmp_path / "home"
    write_rollout(home, 1, "the parent")
    spawned = {"subagent": {"thread_spawn": {"parent_thread_id": thread_id(1), "depth": 1}}}
    write_rollout(home, 2, "the child", source=spawned)
    with write_rollout(home, 3).open("ab") as damaged:
        damaged.write(b'{"torn": \n{"timestamp": "2026-10-15T00:00:00.000Z", "type": "event_m')

    async def look(client: Web) -> None:
        parent = await shown(client, f"/thread/{thread_id(1)}")
        assert f'<a href="/thread/{thread_id(2)}">the child</a>' in parent
        child = await shown(client, f"/thread/{thread_id(2)}")
        assert re.search(rf'Subagent\s+of\s+<a href="/thread/{thread_id(1)}">the parent</a>', child)
        assert '<p class="warning">' in await shown(client, f"/thread/{thread_id(3)}")

    ask(tmp_path, look)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    path = talk(tmp_path, turn(1))

    async def look(client: Web) -> None:
        await shown(client, URL)
        path.unlink()
        assert THREAD_ID in await shown(client, URL, 404)
        answer = await client.get(f"{URL}/turns", headers=SCRIPT)
        assert answer.status_code == 404
        assert "<html" not in answer.text

    ask(tmp_path, look)


def test_a_thread_without_messages_says_so(tmp_path: Path) -> None:
    save(tmp_path / "home", [event("token_count", info=None)])

    async def look(client: Web) -> None:
        assert "No messages yet." in await shown(client, URL)

    ask(tmp_path, look)


def test_a_thread_changes_while_it_is_read(tmp_path: Path) -> None:
    path = talk(tmp_path, turn(1), turn(2))

    async def look(client: Web) -> None:
        html = await shown(client, URL)
        later = [*turn(1), *turn(2), *turn(3, event("agent_message", message="all new"))]
        talk(tmp_path, later)
        os.utime(path, ns=(10**18, 10**18))
        html = await shown(client, URL)
        assert turns_in(html) == [1, 2, 3]
        assert "all new" in html

    ask(tmp_path, look)


def test_who_waits_for_a_thread_gets_it_though_many_others_are_opened(tmp_path: Path) -> None:
    here = small_home(tmp_path, 40)

    async def look() -> None:
        async with web(here) as client:
            store = await client.site.kept.store()
            opened = OpenThreads()
            first = await opened.open(store, thread_id(1))
            waiting = asyncio.create_task(first.known_within(PATIENCE_S))
            await asyncio.sleep(0)
            for number in range(2, 41):
                await opened.open(store, thread_id(number))
            known = await waiting
            assert known is not None
            assert len(known.heads) == 1

    asyncio.run(look())
