"""Lists, metadata and disk usage show what threads cost, and never take unknown prices for zero."""

import re
from pathlib import Path

import pytest

from tests.cli.commands.test_user_settings import not_writable
from tests.samples.homes import encoded, event, lines, thread_id, write
from tests.support.command import Cli, Inside, Within, plain_user

__all__ = ["plain_user"]

STAMP = "2026-05-28T20:00:09.000Z"


def tokens(count: int) -> dict[str, int]:
    return {"input_tokens": count, "output_tokens": 0, "total_tokens": count}


def rollout(number: int, model: str, count: int) -> bytes:
    told = lines(number)[:3]
    told[1]["payload"]["model"] = model
    used = event(
        STAMP,
        "token_count",
        info={"total_token_usage": tokens(count), "last_token_usage": tokens(count)},
    )
    return encoded([*told, used])


@pytest.fixture
def spent(home: Path, index_path: Path) -> Cli:
    write(home, 1, rollout(1, "gpt-5", 1_000_000))
    write(home, 2, rollout(2, "made-up", 500))
    write(home, 3, encoded(lines(3)[:3]))
    both = rollout(4, "gpt-5", 1_000_000) + rollout(4, "made-up", 500).splitlines(True)[1]
    counter = {"total_token_usage": tokens(1_000_500), "last_token_usage": tokens(500)}
    write(home, 4, both + encoded([event(STAMP, "token_count", info=counter)]))
    return Inside(home, index_path)


def test_a_list_shows_the_columns_that_are_asked_for(spent: Cli) -> None:
    shown = spent.run("list", "--columns", "id,used,cost")
    assert [line.split("\t") for line in shown.lines] == [
        [thread_id(4), "1000500", "≥1.250000"],
        [thread_id(3), "0", "0.000000"],
        [thread_id(2), "500", ""],
        [thread_id(1), "1000000", "1.250000"],
    ]
    data = spent.run("list", "--columns", "cost", "--json").json["data"]
    assert [thread["usage"] for thread in data] == [
        {"tokens": 1_000_500, "costUsd": 1.25, "unpricedTokens": 500},
        {"tokens": 0, "costUsd": 0.0, "unpricedTokens": 0},
        {"tokens": 500, "costUsd": None, "unpricedTokens": 500},
        {"tokens": 1_000_000, "costUsd": 1.25, "unpricedTokens": 0},
    ]
    assert "usage" not in spent.run("list", "--json").json["data"][0]


def test_a_column_that_is_not_there_is_refused_with_those_that_are(spent: Cli) -> None:
    ran = spent.run("list", "--columns", "id,price", status=2)
    assert "unknown column price" in ran.err
    assert "cost" in ran.err


def test_metadata_tells_what_a_thread_used_and_what_that_costs(spent: Cli) -> None:
    assert "1,000,000 tokens, $1.25 at API prices" in spent.run("show", "--meta", thread_id(1)).out
    assert "500 tokens, — at API prices" in spent.run("show", "--meta", thread_id(2)).out
    assert "at API prices" not in spent.run("show", "--meta", thread_id(3)).out
    partly = "1,000,500 tokens (500 of them without a price), ≥$1.25 at API prices"
    assert partly in spent.run("show", "--meta", thread_id(4)).out
    used = spent.run("show", "--meta", thread_id(1), "--json").json["usage"]
    assert used == {"tokens": 1_000_000, "costUsd": 1.25, "unpricedTokens": 0}


def test_disk_usage_adds_up_the_cost_of_threads(spent: Cli) -> None:
    found = spent.run("du", "--cost", "--json").json
    assert (found["costUsd"], found["unpricedTokens"]) == (2.5, 1000)
    by_model = {group["key"]: group["costUsd"] for group in found["by"]["model"]["groups"]}
    assert by_model == {"gpt-5": 1.25, "made-up": 1.25}
    shown = spent.run("du", "--cost").out
    assert "≥$2.50 for tokens" in shown
    assert re.search(r"  —  .*" + thread_id(2), shown)
    assert re.search(r"  \$0.00  .*" + thread_id(3), shown)
    assert re.search(r"  \$1.25  .*" + thread_id(1), shown)
    assert re.search(r"  ≥\$1.25  .*" + thread_id(4), shown)
    assert "costUsd" not in spent.run("du", "--json").json


def test_sums_of_all_show_that_a_part_has_no_price(spent: Cli) -> None:
    ran = spent.run("stats", "--by", "day")
    assert ran.lines[0].endswith(", ≥$2.50")
    assert ran.lines[-1].endswith("  ≥$2.50")


def test_a_query_has_the_prices_of_now(spent: Cli) -> None:
    prices = spent.index.with_name("prices.toml")
    spent.run("query", "--no-sync", "SELECT count(*) FROM v_threads")
    for sync in ("--sync", "--no-sync"):
        for price, name in ((3, "v_usage"), (5, "V_Thread_Usage")):
            prices.write_text(f"[[price]]\nmodel = 'made-up'\ninput = {price}\noutput = 1\n")
            asked = f"SELECT round(sum(cost), 4) FROM {name}"
            assert spent.run("query", sync, asked).lines[1:] == [str(2.5 + price / 1000)]
    rates = "SELECT DISTINCT origin FROM usage_rates WHERE model = 'made-up'"
    assert spent.run("query", rates).lines[1:] == ["prices.toml"]
    prices.unlink()
    assert spent.run("query", rates).lines[1:] == ["unpriced"]
    prices.mkdir()
    assert "it is a folder" in spent.run("query", rates, status=2).err
    assert spent.run("query", "SELECT count(*) FROM v_threads").lines[1:] == ["4"]


def test_own_prices_count_where_the_index_cannot_be_written(spent: Cli, plain_user: Within) -> None:
    spent.run("sync")
    prices = spent.index.with_name("prices.toml")
    prices.write_text("[[price]]\nmodel = 'made-up'\ninput = 3\noutput = 1\n")
    with not_writable(spent.index):
        asked = ("query", "SELECT sum(cost) FROM v_usage")
        ran = spent.run(*asked, prefix=plain_user)
        assert ran.lines[1:] == ["2.503"]
        assert "Answering from a temporary copy" in ran.err
        assert spent.run("stats", "--json", prefix=plain_user).json["costUsd"] == 2.503
    prices.write_text("[price]\n")
    with not_writable(spent.index):
        assert f"{prices} cannot be used" in spent.run(*asked, status=2, prefix=plain_user).err


def test_a_broken_list_of_prices_hides_costs_and_nothing_else(spent: Cli) -> None:
    spent.run("sync")
    spent.index.with_name("prices.toml").write_text("[price]\n")
    ran = spent.run("show", "--meta", thread_id(1))
    assert "1,000,000 tokens, — at API prices" in ran.out
    assert "Costs are missing: the price list" in ran.err
    assert "write [[price]], not [price]" in ran.err
    used = spent.run("show", "--meta", thread_id(1), "--json").json["usage"]
    assert used == {"tokens": 1_000_000, "costUsd": None, "unpricedTokens": 1_000_000}
    for words in (["list", "--columns", "cost"], ["du", "--cost"]):
        assert "write [[price]]" in spent.run(*words, status=2).err
