"""The page of tokens and costs."""

import asyncio
import re
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cli.arguments.locations import Locations
from tests.cli.web.support import web
from tests.samples.homes import encoded, write
from tests.samples.usage import used, used_home
from tests.support.command import Inside
from tests.support.indexes import sync


def home_with_usage(tmp_path: Path) -> Locations:
    """A home whose index is in step, with a branch that may do harm."""
    cli: Inside = used_home(tmp_path)
    write(cli.home, 9, encoded(used(9, ("2026-10-02T08:00:00Z", "<b>nine", 3))))
    sync(cli.home, cli.index)
    return Locations(cli.home, cli.index)


def links(page: str) -> dict[str, str]:
    """Where the texts of a page lead to."""
    found = re.findall(r'<a(?: class="chip")? href="([^"]+)"[^>]*>([^<]*)</a>', page)
    return {unescape(text): unescape(href) for href, text in found}


def test_the_page_has_the_numbers_of_stats_and_links_to_threads(tmp_path: Path) -> None:
    here = home_with_usage(tmp_path)

    async def look() -> None:
        async with web(here) as browser:
            answer = await browser.get("/usage?since=2026-10-01")
            assert answer.status_code == 200
            assert answer.text.count('class="chart"') == 3
            assert "2026-10-02\ngpt-5: 2,000 tokens, $0.0038" in answer.text
            assert "No price is known for" in answer.text
            assert "&lt;b&gt;nine" in answer.text
            assert "<b>nine" not in answer.text
            to = links(answer.text)
            assert parse_qs(urlsplit(to["gpt-5"]).query) == {"q": ["model:gpt-5 since:2026-10-01"]}
            day = parse_qs(urlsplit(to["2026-10-02"]).query)
            assert day == {"since": ["2026-10-02"], "until": ["2026-10-03"], "by": ["thread"]}
            assert sum(address.startswith("/thread/") for address in to.values()) == 5
            assert (await browser.get(to["2026-10-02"])).text.count('class="numbers"') == 3
            for address in to.values():
                assert (await browser.get(address)).status_code in (200, 404), address

    asyncio.run(look())


def test_threads_and_times_are_chosen_by_the_address(tmp_path: Path) -> None:
    here = home_with_usage(tmp_path)

    async def look() -> None:
        async with web(here) as browser:
            every = (await browser.get("/usage?since=all&by=project")).text
            some = (await browser.get("/usage?since=all&q=model:gpt-5-mini&compare=1")).text
            assert "Left out by filters" in some
            assert "Left out by filters" not in every
            assert 'value="model:gpt-5-mini"' in some
            none = (await browser.get("/usage?since=2030-01-01")).text
            assert "No tokens were used in this time." in none
            assert (await browser.get(links(none)["Show all time"])).text.count(
                'class="numbers"'
            ) == 4
            few = (await browser.get("/usage?since=all&rows=1")).text
            assert "rows=5" in links(few)["Show more"]
            wrong = await browser.get("/usage?since=nope&q=status:no&rows=x&by=x")
            assert wrong.status_code == 400
            assert "&#39;nope&#39; is no time: give a day" in wrong.text
            odd = await browser.get(f"/usage?since=all&q=status:no&rows={'9' * 5000}&by=x")
            assert odd.status_code == 200
            assert "status: unknown status" in odd.text
            late = await browser.get("/usage?since=today&until=yesterday")
            assert late.status_code == 400

    asyncio.run(look())
