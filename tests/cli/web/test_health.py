"""The page of health: what is wrong, and what to do."""

import asyncio
import shutil
from pathlib import Path

import pytest

from cli.arguments.locations import Locations, options_of
from cli.render.health.hints import pieces
from state.db.location import index_path
from tests.cli.web.support import SCRIPT, small_home, web


def test_the_page_says_how_the_index_is_and_what_to_run(tmp_path: Path) -> None:
    here = small_home(tmp_path)
    broken = here.home / "sessions" / "2026" / "10" / "01" / "rollout-2026-10-01T00-00-00-<b>.jsonl"
    next((here.home / "sessions").rglob("*.jsonl")).with_name(broken.name).write_bytes(b"{no\n")

    async def look() -> None:
        async with web(here) as browser:
            page = await browser.get("/health?checks=1")
            assert page.status_code == 200
            assert f"<dd>{here.index} (" in page.text
            assert "<dt>Threads</dt><dd>3</dd>" in page.text
            assert "SQLite 3" in page.text
            assert "<b>.jsonl" not in page.text
            quick = (await browser.get("/health")).text
            assert 'data-part="/health/checks" data-now' in quick
            assert "SQLite 3" not in quick
            for part in ("state", "checks", "verification"):
                answer = await browser.get(f"/health/{part}", headers=SCRIPT)
                assert answer.status_code == 200
                assert "<html" not in answer.text

    asyncio.run(look())


def test_the_index_is_verified_when_that_is_asked_for(tmp_path: Path) -> None:
    here = small_home(tmp_path)

    async def look() -> None:
        async with web(here) as browser:
            assert "No problems found." not in (await browser.get("/health")).text
            link = {"sec-fetch-site": "same-site"}  # of another server on this machine
            assert (await browser.get("/health/verification?start=1", headers=link)).is_success
            assert browser.site.verification.began_s is None
            text = (await browser.get("/health/verification?start=1", headers=SCRIPT)).text
            assert "Checking…" in text
            while "data-again" in text:
                await asyncio.sleep(0.02)
                text = (await browser.get("/health/verification", headers=SCRIPT)).text
            assert browser.site.verification.found.clean
            assert "It began at" in text
            next((here.home / "sessions").rglob("*.jsonl")).unlink()
            await browser.site.verification.start(here)
            assert browser.site.verification.error is None
            # What cannot be verified is not taken for something without problems.
            here.home.rename(tmp_path / "elsewhere")
            here.home.symlink_to(here.home)
            await browser.site.verification.start(here)
            text = (await browser.get("/health/verification", headers=SCRIPT)).text
            assert "threadkeep failed here: OSError." in text
            assert "No problems found." not in text

    asyncio.run(look())


def test_who_is_not_let_in_learns_no_folder(tmp_path: Path) -> None:
    here = small_home(tmp_path)

    async def look() -> None:
        async with web(here, entered=False) as stranger:
            for address in ("/", "/health", "/health/state", "/usage", "/static/style.css"):
                answer = await stranger.get(address)
                assert answer.status_code == 401
                assert str(tmp_path) not in answer.text

    asyncio.run(look())


def test_a_home_that_is_gone_is_said_on_the_page_and_by_the_checks(tmp_path: Path) -> None:
    here = small_home(tmp_path)

    async def look() -> None:
        async with web(here) as browser:
            shutil.move(here.home, tmp_path / "elsewhere")
            page = await browser.get("/health?checks=1")
            assert page.status_code == 200
            assert page.text.count('role="alert"') == 1
            assert '<span class="badge bad">problem</span>' in page.text
            await browser.site.verification.start(here)
            assert 'role="alert"' in (await browser.get("/health/verification")).text

    asyncio.run(look())


@pytest.mark.parametrize(
    ("hint", "commands"),
    [
        ("threadkeep backfill continues it", ["threadkeep --db x backfill"]),
        ("threadkeep repair --deep", ["threadkeep --db x repair --deep"]),
        ("make it readable, then threadkeep sync", ["threadkeep --db x sync"]),
        (
            "sudo sysctl fs.inotify.max_user_watches=5",
            ["sudo sysctl fs.inotify.max_user_watches=5"],
        ),
        ("free some space (see df)", []),
    ],
)
def test_commands_in_a_hint_are_found(hint: str, commands: list[str]) -> None:
    found = [*pieces(hint, "--db x")]
    assert [piece.text for piece in found if piece.runs] == commands
    assert "".join(piece.text for piece in found).replace(" --db x", "") == hint


def test_commands_are_for_the_home_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, state = tmp_path / "a home", tmp_path / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    monkeypatch.delenv("THREADKEEP_DB", raising=False)
    monkeypatch.setenv("CODEX_HOME", str(home))
    usual = Locations(home, index_path(home, state))
    assert options_of(usual) == ""
    assert options_of(usual._replace(index=tmp_path / "x")) == f"--db {tmp_path}/x"
    monkeypatch.setenv("CODEX_HOME", str(tmp_path))
    assert options_of(usual) == f"--home '{home}'"
