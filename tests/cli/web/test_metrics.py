"""Numbers for Prometheus."""

import asyncio
import re
import sqlite3
from pathlib import Path

from cli.web.pages.metrics import Metric, text_of
from tests.cli.web.support import small_home, web
from tests.support.indexes import in_index

LINE = re.compile(r'[a-z_]+(?:\{[a-z]+="[^"]*"(?:,[a-z]+="[^"]*")*\})? [0-9.]+')


def test_a_scraper_with_the_token_reads_the_numbers_of_the_index(tmp_path: Path) -> None:
    here = small_home(tmp_path)

    async def scrape() -> None:
        async with web(here, entered=False) as scraper:
            token = scraper.site.access.token
            for wrong in ("", "Bearer ", "Bearer wrong", f"Basic {token}"):
                refused = await scraper.get("/metrics", headers={"authorization": wrong})
                assert refused.status_code == 401
                assert "threadkeep_threads" not in refused.text
            answer = await scraper.get("/metrics", headers={"authorization": f"Bearer {token}"})
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
            assert "set-cookie" not in answer.headers
            lines = answer.text.splitlines()
            assert all(line.startswith("# ") or LINE.fullmatch(line) for line in lines)
            assert 'threadkeep_threads{archived="no"} 3' in lines
            assert 'threadkeep_job_status{job="backfill",status="complete"} 1' in lines
            assert 'threadkeep_files{bucket="indexed"} 3' in lines

    asyncio.run(scrape())


def test_a_machine_that_pushes_tells_how_far_that_is(tmp_path: Path) -> None:
    here = small_home(tmp_path)

    def join(database: sqlite3.Connection) -> None:
        database.execute("UPDATE fleet_state SET joined = 1, pushed_at_ms = 1700000000500")
        database.execute("INSERT INTO fleet_outbox VALUES ('one', 1), ('two', 2)")

    in_index(here.home, here.index, lambda index: index.database.transact(join))

    async def scrape() -> None:
        async with web(here) as scraper:
            lines = (await scraper.get("/metrics")).text.splitlines()
            assert "threadkeep_push_outbox_threads 2" in lines
            assert "threadkeep_push_timestamp_seconds 1700000000.5" in lines
            assert 'threadkeep_job_status{job="push",status="pending"} 1' in lines

    asyncio.run(scrape())


def test_what_cannot_be_read_has_no_numbers(tmp_path: Path) -> None:
    here = small_home(tmp_path)

    async def scrape() -> None:
        async with web(here) as scraper:
            here.home.rename(tmp_path / "elsewhere")
            assert (await scraper.get("/metrics")).status_code == 503

    asyncio.run(scrape())


def test_labels_are_escaped_and_metrics_without_samples_left_out() -> None:
    name = 'a "b"\\c\nd'
    told = text_of([Metric("one", "What.", [({"name": name}, 1)]), Metric("none", "No.", [])])
    assert told.splitlines()[2] == 'threadkeep_one{name="a \\"b\\"\\\\c\\nd"} 1'
    assert "none" not in told
