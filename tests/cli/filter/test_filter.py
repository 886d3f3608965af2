"""What is typed into the search box means what the options of ``list`` mean."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import example, given
from hypothesis import strategies as st

from cli.app import app
from cli.arguments.filters import Filters
from cli.browse.words.filter_box import suggestion
from cli.filter.known import known_steps
from cli.filter.language import (
    NAMES,
    WORDS,
    Known,
    completed,
    completions,
    end_of_completed,
    parse,
)
from cli.filter.tokens import holds, quoted, tokens, with_filter, without_filter
from rollout.search.terms import terms_of
from state.edit.marks import set_marks
from state.errors import StateError
from state.query.model import Query
from state.thread_index import ThreadIndex
from tests import ROOT
from tests.samples.homes import encoded, lines, thread_id, write
from tests.support.indexes import in_index

NOW_S = 1_780_000_000.0
KNOWN = Known(
    projects=("api", "my app", 'it "is"', "back\\slash", "api-docs", "'"),
    tags=("later", "latest", "bug"),
    models=("gpt-5.2", "gpt-5.1-codex"),
    branches=("feature/login", "main"),
    providers=("openai",),
    folders=("/home/me/api", "C:\\Users\\me"),
)
PIECES = st.sampled_from(
    [*(f"{name}:" for name in NAMES), *"-\"'\\ :>*.~", "api", "7d", "x", "2026-11", "is:pinned"]
)
TEXTS = st.lists(PIECES | st.text(max_size=5), max_size=8).map("".join)
VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def options(arguments: list[str]) -> dict[str, Any]:
    """The fields of the query that ``list`` makes of its arguments, where they are not the usual
    ones."""
    commands: Any = typer.main.get_command(app)
    context = commands.commands["list"].make_context("list", arguments)
    given = {name: context.params[name] for name in Filters._fields}
    return fields(Filters(**given).query(NOW_S, archived=context.params["archived"]))


def fields(query: Query) -> dict[str, Any]:
    """The fields of a query that are not the usual ones."""
    usual = Query()
    names = [field.name for field in dataclasses.fields(Query)]
    return {
        name: getattr(query, name) for name in names if getattr(query, name) != getattr(usual, name)
    }


@given(TEXTS, st.sampled_from([None, KNOWN]), st.integers(0, 50))
@example("model:\0", None, 0)
@example("since:99999999y", None, 0)
@example('project:"\\', KNOWN, 10)
def test_whatever_is_typed_is_no_error(text: str, known: Known | None, cursor: int) -> None:
    found = parse(text, NOW_S, known)
    Query(**found.query)
    for token in completions(text, cursor, KNOWN):
        assert token in completed(text, cursor, token)


@given(TEXTS)
def test_tokens_are_the_text_but_for_blanks(text: str) -> None:
    found = tokens(text, NAMES)
    assert "".join("".join(each.text for each in found).split()) == "".join(text.split())
    assert all(text[each.start : each.end] == each.text for each in found)


@given(st.text())
def test_words_without_filters_are_searched_for_as_search_takes_them(text: str) -> None:
    if not any(each.name or each.minus for each in tokens(text, NAMES)):
        assert terms_of(parse(text, NOW_S).words) == terms_of(text)


@given(VALUES)
def test_the_value_of_a_filter_may_be_any_text(value: str) -> None:
    (token,) = tokens(f"project:{quoted(value)}", NAMES)
    assert (token.name, token.value) == ("project", value)


REPEATED = {
    "project": "project",
    "model": "model",
    "branch": "branch",
    "provider": "provider",
    "source": "source",
    "tag": "tag",
    "status": "status",
    "folder": "cwd",
}
SINGLE = {
    "since": "since",
    "until": "until",
    "older": "older-than",
    "tokens": "min-tokens",
    "size": "min-size",
}
GIVEN = st.lists(
    st.tuples(
        st.sampled_from([*REPEATED]),
        VALUES | st.sampled_from(["gpt-5*", ".", "exec", "done", "Later"]),
    )
    | st.tuples(
        st.sampled_from([*SINGLE]),
        st.sampled_from(["7d", "yesterday", "2026-11", "100k", "1.5M", "1y", "monday", "x", "12h"]),
    ),
    max_size=5,
    unique_by=lambda pair: pair if pair[0] in REPEATED else pair[0],
)


@given(GIVEN)
def test_a_filter_means_what_the_option_of_list_means(given: list[tuple[str, str]]) -> None:
    arguments = [f"--{(REPEATED | SINGLE)[name]}={value}" for name, value in given]
    found = parse(" ".join(f"{name}:{quoted(value)}" for name, value in given), NOW_S)
    stripped = all(value == value.strip() and value for _, value in given)
    try:
        wanted = options(arguments)
    except (typer.BadParameter, StateError):
        assert found.problem
    else:
        if stripped:
            assert found.query == wanted
            assert not found.problem


@pytest.mark.parametrize("minus", ["", "-"])
@given(prefix=st.sampled_from(["", "webhook ", "is:pinned "]), begun=st.text(max_size=2))
def test_what_completion_offers_has_a_meaning(minus: str, prefix: str, begun: str) -> None:
    for word in WORDS:
        text = f"{prefix}{minus}{word.name}:{begun}"
        for token in completions(text, len(text), KNOWN):
            found = parse(completed(text, len(text), token) + " ", NOW_S, KNOWN)
            assert not found.problem


@pytest.mark.parametrize(
    ("text", "words", "without", "query"),
    [
        ("", "", (), {}),
        ('web "two words" order*', 'web "two words" order*', (), {}),
        ('-draft -"two words" x', "x", ("draft", '"two words"'), {}),
        ("- -- --exec", "-- --exec", (), {}),
        ('-"" ""', "", (), {}),
        ("http://a/b since", "http://a/b since", (), {}),
        ("PROJECT:api Model:gpt-5*", "", (), {"projects": ("api",), "models": ("gpt-5*",)}),
        ("project:api project:web", "", (), {"projects": ("api", "web")}),
        ("project:'my app' x", "x", (), {"projects": ("my app",)}),
        ("tokens:>100k size:>=2M", "", (), {"min_tokens": 100_000, "min_size": 2_000_000}),
        ("tokens:5", "", (), {"min_tokens": 5}),
        ("is:Archived", "", (), {"archived": True}),
        ("is:archived -is:archived", "", (), {}),
        ("is:hidden", "", (), {"all_sources": True}),
        ("is:subagent", "", (), {"source_kinds": ("subAgent",)}),
        ("source:EXEC source:vscode", "", (), {"source_kinds": ("exec", "vscode")}),
        ("-is:pinned", "", (), {"pinned": False}),
        ("tag:Later tag:x is:pinned", "", (), {"tags": ("later", "x"), "pinned": True}),
        ("status:TODO status:doing", "", (), {"statuses": ("todo", "doing")}),
        ("cwd:/srv", "", (), {"folders": ("/srv",)}),
    ],
)
def test_texts_and_what_they_mean(
    text: str, words: str, without: tuple[str, ...], query: dict[str, Any]
) -> None:
    assert parse(text, NOW_S) == (words, without, query, "", "")


def test_a_minus_turns_times_around() -> None:
    assert parse("-since:7d", NOW_S) == parse("until:7d", NOW_S)
    assert parse("-until:7d", NOW_S) == parse("since:7d", NOW_S)


def test_a_folder_may_begin_with_a_tilde() -> None:
    assert parse("folder:~/api", NOW_S).query == {"folders": (os.path.expanduser("~/api"),)}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("since:", "since: add a value, as in since:7d"),
        ("x since:soon", "since: 'soon' is no time"),
        ("tag:a,b", "tag: the tag 'a,b' holds a comma"),
        ("older:7", "older: '7' is not an age"),
        ("tokens:many", "tokens: 'many' is not a number"),
        ("is:arch", "is: use archived, pinned, subagent, hidden"),
        ("-is:subagent", "-is: use archived, pinned, hidden"),
        ("-model:x", "-model: this filter cannot be turned around"),
        ("projet:api", "projet: is no filter; project: is one"),
        ("since: older:", "since: add a value, as in since:7d; older: add a value, as in older:1y"),
    ],
)
def test_what_is_not_understood_is_told_and_left_out(text: str, problem: str) -> None:
    found = parse(text, NOW_S)
    assert found.problem == problem
    assert found.query == {}


def test_times_that_exclude_each_other_are_told_and_the_first_counts() -> None:
    found = parse("until:7d since:yesterday", NOW_S)
    assert found.problem.startswith("since: until: must be later than since:")
    assert found.query == parse("until:7d", NOW_S).query


def test_a_value_that_is_being_typed_means_all_that_it_may_become() -> None:
    def query(text: str) -> dict[str, Any]:
        return parse(text, NOW_S, KNOWN).query

    assert query("model:gpt") == {"models": ("gpt", "gpt-5.2", "gpt-5.1-codex")}
    assert query("model:gpt ") == {"models": ("gpt",)}
    assert query("model:GPT-5.2 x") == {"models": ("gpt-5.2",)}
    assert query("model:GPT-5.2") == {"models": ("gpt-5.2",)}
    assert query("project:api") == {"projects": ("api",)}
    assert query("project:xyz") == {"projects": ("xyz",)}
    assert parse("tag:lat", NOW_S, KNOWN)[2:4] == ({}, "tag: later, latest?")


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("pro", ["project:", "provider:"]),
        ("p", []),
        ("-s", ["-since:"]),
        ("project:API", ["project:api-docs"]),
        ('x project:"my', ['project:"my app"']),
        ("project:it", ['project:"it \\"is\\""']),
        ("branch:log", ["branch:feature/login"]),
        ("folder:c:", ["folder:C:\\Users\\me"]),
        ("is:", ["is:archived", "is:pinned", "is:subagent", "is:hidden"]),
        ("-is:", ["-is:archived", "-is:pinned", "-is:hidden"]),
        ("is:pinned", []),
        ("webhook", []),
    ],
)
def test_completion(text: str, offered: list[str]) -> None:
    assert completions(text, len(text), KNOWN) == offered


@pytest.mark.parametrize(
    ("text", "suggested"),
    [
        ("x project:AP", "x project:api"),
        ("project:my", None),
        ('project:"my', 'project:"my app"'),
        ("branch:log", None),
        ("proj", "project:"),
        ("", None),
    ],
)
def test_a_suggestion_goes_on_from_what_is_typed(text: str, suggested: str | None) -> None:
    assert suggestion(text, KNOWN) == suggested


def test_the_values_of_an_index_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/b")
    home = tmp_path / "home"
    for number, folder in enumerate(["/a/api", "/b/web", "/c"]):
        write(home, number, encoded(lines(number, cwd=folder, git={"branch": f"b{number}"})))
    found: Known = in_index(home, tmp_path / "index", _known)
    assert found.tags == ("often", "rare")
    assert found.folders == ("/c", "~/web", "/a/api")
    assert found.projects == ("c", "web", "api")
    assert found.branches == ("b2", "b1", "b0")
    assert found.providers == ("openai",)
    assert found.models == ("gpt-5",)


async def _known(index: ThreadIndex) -> Known:
    await index.sync()
    for name, tagged in ((0, ["rare", "often"]), (1, ["often"])):
        await set_marks(index, [thread_id(name)], {f"tag:{tag}": "1" for tag in tagged})
    return await index.database.query(known_steps())


def test_the_token_at_the_cursor_is_completed() -> None:
    text = "a project:a b"
    assert completions(text, 11, KNOWN)[0] == "project:api"
    assert completed(text, 11, "project:api") == "a project:api b"
    assert completions(text, 12, KNOWN) == []
    assert completed(text, 12, "x") == text


def test_a_completion_ends_where_one_types_on() -> None:
    text = "a project:ap word"
    assert end_of_completed(text, 10, 'project:"my app"') == len('a project:"my app"')
    assert end_of_completed(text, 1, "x:") == len("x:")
    assert end_of_completed("", 0, "x:") == 0


@given(TEXTS, st.text(min_size=1).filter(str.strip))
@example('"a phrase', "x")
@example("project:'a b", "x")
def test_a_filter_is_added_once_and_removed_again(text: str, value: str) -> None:
    filter_ = f"tag:{quoted(value)}"
    with_it = with_filter(text, filter_, NAMES)
    assert holds(with_it, filter_, NAMES)
    assert with_filter(with_it, filter_, NAMES) == with_it.strip()
    without = without_filter(with_it, filter_, NAMES)
    assert not holds(without, filter_, NAMES)
    others = [each.value or each.word for each in tokens(text, NAMES)]
    left = [each.value or each.word for each in tokens(without, NAMES)]
    if not holds(text, filter_, NAMES) and '"' not in text and "'" not in text:
        assert left == others


def test_a_file_is_taken_as_it_is_and_cannot_be_turned_around() -> None:
    assert parse('retry file:"New page.md"', NOW_S) == ("retry", (), {}, "", "New page.md")
    assert parse("-file:x", NOW_S).problem == "-file: this filter cannot be turned around"
    assert parse("file:", NOW_S).problem == "file: add a value, as in file:app.py"


def test_the_page_of_docs_has_all_filters() -> None:
    page = (ROOT / "docs" / "browsing.md").read_text("utf-8")
    for word in WORDS:
        assert f"\n| `{word.example}` | {word.help} |\n" in page
        assert not parse(f"{word.example} ", NOW_S).problem
