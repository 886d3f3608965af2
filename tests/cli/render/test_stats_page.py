"""Statistics of token use as a page with charts."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from cli.render.stats.svg import axis_of_amounts, axis_of_money
from tests.cli.export.test_export import well_formed
from tests.samples.homes import encoded, write
from tests.samples.usage import used, used_home
from tests.support.command import Cli, Inside
from tests.support.effort import sample


def charts(root: ElementTree.Element) -> list[ElementTree.Element]:
    """The charts of a page, but for the bars of its tables."""
    return [each for each in root.iter("svg") if each.get("class") == "chart"]


@pytest.fixture
def cli(tmp_path: Path) -> Inside:
    return used_home(tmp_path)


def test_the_page_is_well_formed_and_has_charts(cli: Cli, tmp_path: Path) -> None:
    page = tmp_path / "stats.html"
    ran = cli.run("stats", "--turns", "--by", "day", "--by", "project", "--html", str(page))
    assert ran.lines == [str(page)]
    root = well_formed(page.read_text("utf-8"))
    tokens, cost, week = charts(root)
    assert len([each for each in tokens.iter("rect") if each.get("fill")]) == 6
    assert len([each for each in cost.iter("rect") if each.get("fill")]) == 46  # every day
    assert [each.text for each in tokens.iter("text")][:5] == ["0", "1k", "2k", "3k", "4k"]
    assert all(each.get("viewBox") is None for each in (tokens, cost, week))
    assert len([*week.iter("rect")]) == 168
    text = "".join(root.itertext())
    assert "<b>three" in text
    for name in ("by day and project", "by model", "by project", "by source"):
        assert name in text
    assert "2026-10-02\ngpt-5: 2,000 tokens, $0.0038\ngpt-5-mini: 500 tokens, $0.0002" in text
    assert "No price is known for mine (50 tokens)" in text
    cli.run("stats", "--since", "2026-10-02", "--html", str(page), "--timezone", "Asia/Tokyo")
    assert "since 2026-10-02 00:00" in page.read_text("utf-8")
    document = cli.run("stats", "--html", str(page), "--json").json
    assert document["threads"] == 4
    cli.run("stats", "--html", str(tmp_path / "no" / "x.html"), status=2)
    assert "name a file" in cli.run("stats", "--html", f"{tmp_path}/new/", status=2).err
    cli.run("stats", "--since", "2030-01-01", "--html", str(page), status=1)
    empty = well_formed(page.read_text("utf-8"))
    assert not charts(empty)
    assert not [*empty.iter("table")]
    assert "No tokens were used in this time." in "".join(empty.itertext())


@pytest.mark.parametrize(
    ("most", "tokens", "money"),
    [
        (1, ["0", "0.25", "0.50", "0.75", "1.00"], ["$0", "$0.25", "$0.50", "$0.75", "$1.00"]),
        (2e6, ["0", "0.5M", "1.0M", "1.5M", "2.0M"], None),
        (800, ["0", "200", "400", "600", "800"], ["$0", "$200", "$400", "$600", "$800"]),
        (1000, ["0", "0.25k", "0.50k", "0.75k", "1.00k"], None),
        (0.01, None, ["$0", "$0.0025", "$0.0050", "$0.0075", "$0.0100"]),
        (0.00002, None, ["$0", "$0.000005", "$0.000010", "$0.000015", "$0.000020"]),
    ],
)
def test_an_axis_has_one_form_of_numbers(
    most: float, tokens: list[str] | None, money: list[str] | None
) -> None:
    assert tokens is None or axis_of_amounts(most) == tokens
    assert money is None or axis_of_money(most) == money


def test_a_page_says_what_is_little_and_what_bars_are(cli: Cli, tmp_path: Path) -> None:
    write(cli.home, 9, encoded(used(9, ("2026-10-02T08:00:00Z", "gpt-5", 3))))
    page = tmp_path / "stats.html"
    cli.run("stats", "--by", "thread", "--html", str(page))
    root = well_formed(page.read_text("utf-8"))
    text = "".join(root.itertext())
    assert "input, 22% cached" in text
    bars = [bar for cell in root.iter("td") if cell.get("class") == "share" for bar in cell]
    assert [each.get("width") for each in bars[0].iter("rect")] == ["100.0%"]
    assert "% of all tokens" in (bars[0].get("aria-label") or "")
    first = next(root.iter("table"))
    assert [each.text for each in first.iter("th")][:2] == ["thread", "responses"]
    path = write(cli.home, 8, encoded(used(8, ("2026-10-02T08:00:00Z", "gpt-5", 900_000))))
    path.write_bytes(path.read_bytes().replace(b'"cached_input_tokens":180000,', b""))
    cli.run("stats", "--html", str(page))
    assert "input, &lt;1% cached" in page.read_text("utf-8")


def test_a_page_of_many_years_has_few_columns(cli: Cli, tmp_path: Path) -> None:
    old = used(9, ("0001-01-02T00:00:00Z", "gpt-5", 5), ("9999-12-30T23:59:59Z", "gpt-5", 5))
    write(cli.home, 9, encoded(old))
    page = tmp_path / "stats.html"
    for zone in sample(["Asia/Tokyo", "America/Los_Angeles"]):
        cli.run("stats", "--html", str(page), "--timezone", zone)
        chart = charts(well_formed(page.read_text("utf-8")))[0]
        assert len([*chart.iter("rect")]) < 30
