"""What all pages look like."""

import asyncio
import re
from pathlib import Path

from cli.render.html.head import sheet
from cli.web.site import HERE
from tests import ROOT
from tests.cli.web.support import small_home, web


def test_pages_share_their_colours_with_exports(tmp_path: Path) -> None:
    here = small_home(tmp_path)

    async def look() -> None:
        async with web(here) as browser:
            page = (await browser.get("/")).text
            sheets = re.findall(r'<link rel="stylesheet" href="([^"]+)">', page)
            assert {"/static/palette.css", "/static/style.css"} <= {*sheets}
            for address in (*sheets, *re.findall(r'<(?:script|img)[^>]* src="([^"]+)"', page)):
                assert (await browser.get(address)).is_success, address
            assert (await browser.get("/static/palette.css")).text == sheet("palette")
            assert (await browser.get("/static/palette.py")).status_code == 404

    asyncio.run(look())


def test_a_reader_can_choose_the_colours(tmp_path: Path) -> None:
    here = small_home(tmp_path)

    async def look() -> None:
        async with web(here) as browser:
            for chosen, told in (("dark", ' data-theme="dark"'), ("light", ' data-theme="light"')):
                browser.cookies.set("theme", chosen)
                assert f'<html lang="en"{told}>' in (await browser.get("/")).text
                assert f'<html lang="en"{told}>' in (await browser.get("/no/page")).text
            browser.cookies.set("theme", "<b>")
            assert '<html lang="en">' in (await browser.get("/")).text

    asyncio.run(look())


def test_a_page_hears_how_far_the_index_is(tmp_path: Path) -> None:
    here = small_home(tmp_path)

    async def look() -> None:
        async with web(here) as browser:
            page = (await browser.get("/")).text
            line = re.search(r'<p id="incomplete"[^>]* data-url="([^"]+)"', page)
            assert line
            while told := (await browser.get(line[1])).json()["incomplete"]:
                assert told.endswith(".")
                await asyncio.sleep(0.02)
            page = (await browser.get("/")).text
            assert re.search(r'<p id="incomplete"[^>]* hidden></p>', page)

    asyncio.run(look())


def test_nothing_in_a_template_needs_an_inline_style_or_script() -> None:
    for path in (HERE / "templates").rglob("*.html"):
        text = path.read_text("utf-8")
        assert not re.search(r"\s(?:style|on[a-z]+)=|<style|<script>|https?://", text), path
    for path in (HERE / "static").rglob("*.*"):
        text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|@import", text), path


NAMES = {"ArrowDown": "↓", "ArrowUp": "↑", "Escape": "Esc"}
"""What the screen of keys calls them."""


def test_every_key_of_a_page_is_described() -> None:
    text = (ROOT / "docs" / "web.md").read_text("utf-8").partition("\n## Keys\n")[2]
    told = {
        (what, *re.findall(r"`([^`]+)`", keys))
        for keys, what in re.findall(r"(?m)^\| (`.+?`) \| (.+) \|$", text.partition("\n## ")[0])
    }
    scripts = "".join(path.read_text("utf-8") for path in (HERE / "static").rglob("*.js"))
    there = {
        (what, *(NAMES.get(key, key) for key in re.findall(r'"([^"]+)"', keys)))
        for keys, what in re.findall(r'\{ keys: \[([^]]+)\], what: "([^"]+)"', scripts)
    }
    assert len(there) > 8
    assert told == there
