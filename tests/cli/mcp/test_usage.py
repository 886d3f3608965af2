"""``usage_summary``."""

import asyncio
from pathlib import Path
from typing import Any, get_args

import pytest

from cli.mcp.tools.usage_summary import By
from cli.terminal.text import one_line
from state.reports import DIMENSIONS, OF_FLEET
from tests.cli.mcp.support import called, client_of, refused
from tests.samples.homes import thread_id
from tests.samples.usage import used_home


def test_use_is_summed_as_stats_does(tmp_path: Path) -> None:
    cli = used_home(tmp_path)
    cli.run("stats")  # looks prices up
    assert {*get_args(By)} == {*DIMENSIONS, *OF_FLEET}

    async def work() -> None:
        async with client_of(cli.home, cli.index) as client:

            async def summary(**arguments: Any) -> tuple[dict[str, Any], str]:
                return await called(client, "usage_summary", **{"since": "all", **arguments})

            for dimension in DIMENSIONS:
                found, _ = await summary(by=dimension)
                wanted = cli.run("stats", "--json", "--by", dimension).json
                assert [row.get("key", "") for row in found["rows"]] == [
                    one_line(group["key"]) for group in wanted["groups"]
                ]
                assert found["total"]["total_tokens"] == wanted["totalTokens"] == 3660
                assert found["total"]["cost_usd"] == pytest.approx(wanted["costUsd"])
                assert found["count"] == len(found["rows"]) == wanted["count"]
            found, text = await summary(by="model", until="2026-10-03")
            assert [(row["key"], row["total_tokens"]) for row in found["rows"]] == [
                ("gpt-5", 3000),
                ("gpt-5-mini", 500),
            ]
            assert "| gpt-5 | $" in text
            assert "| total | $" in text
            found, _ = await summary(project="one")
            assert found["total"]["threads"] < 4
            found, text = await summary(by="day", limit=2)
            assert [row["key"] for row in found["rows"]] == ["2026-10-03", "2026-11-15"]
            assert found["count"] == 4
            assert "2 more rows are not shown." in found["note"]
            assert "No price is known for mine." in text
            found, text = await summary(by="thread", max_tokens=200)
            assert found["rows"][0]["key"] == thread_id(0)
            assert len(found["rows"]) < found["count"] == 4
            _, text = await summary(since="2020", until="2021")
            assert text.startswith("Used since 2020-01-01T00:00:00Z, until 2021-01-01T00:00:00Z")
            assert "nothing" in text
            assert "someday" in await refused(client, "usage_summary", since="someday")
            assert "'day'" in await refused(client, "usage_summary", by="size")

    asyncio.run(work())
