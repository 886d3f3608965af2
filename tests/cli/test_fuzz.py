"""Whatever is in the files and on the command line: a defined outcome, and nothing is changed
that should not be. (What is in rollouts: tests/test_rollout_*.)"""

import asyncio
import base64
import io
import itertools
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from typer.testing import CliRunner

from cli import errors
from cli.app import app
from rollout.errors import RolloutError
from rollout.metadata.session_index import NAMES_FILE, read_names
from state.db.location import journal_path
from state.errors import BadDump, DumpTooNew, InvalidCursor, InvalidSql, StateError
from state.query.cursor import Cursor, decode
from state.repair.dump import dump_lines, read_dump, restore
from state.reports.sql import run_sql
from state.rows.home_config import default_provider
from state.thread_index import open_index
from state.userdata.folders import cwd_key
from state.userdata.journal import append_settings, read_settings
from state.userdata.model import FolderAlias, Setting, UserValue, newest_settings
from tests.samples.homes import thread_id, write
from tests.samples.strategies import byte_lines
from tests.support.checks import synced
from tests.support.effort import examples

Result = TypeVar("Result")

CASES = examples(100)
LIST_OPTIONS = (
    "--cwd --search --cursor --sort --source --provider --parent --ancestor --exclude --limit"
)
SQL_WORDS = (
    "SELECT * FROM v_threads threads WHERE id = 1 , ( ) count(*) INSERT INTO DELETE UPDATE SET"
    " VALUES DROP TABLE VIEW CREATE TEMP PRAGMA ATTACH 'x' AS VACUUM thread_titles MATCH ; --"
    " ORDER BY LIMIT EXPLAIN user_version journal_mode writable_schema x'00' zeroblob(99)"
)
STATUSES = {value for name, value in vars(errors).items() if name.isupper() and name[0] != "_"}

ids = st.integers(0, 5).map(thread_id)
times = st.integers(-(2**63) + 1, 2**63 - 1)
names = st.one_of(st.none(), st.text(max_size=20))
places = st.text(min_size=1, max_size=20)
facts = st.builds(UserValue, ids, st.sampled_from(["name", "colour", ""]), names, times)
aliases = st.builds(FolderAlias, places, st.one_of(st.none(), places), times)
setting_lists = st.lists(st.one_of(facts, aliases), max_size=8)

json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=8),
        st.sampled_from([1, "name", thread_id(1), "\ud800", "a\0b"]),
    ),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)
keys = st.sampled_from(
    ["v", "alias", "thread_id", "key", "value", "set_at_ms", "format", "version", "id"]
)
objects = st.one_of(
    st.dictionaries(st.one_of(keys, st.just("thread_name")), json_values, max_size=7),
    st.fixed_dictionaries(
        {"v": st.just(1), "value": json_values, "set_at_ms": json_values},
        optional={"alias": json_values, "thread_id": json_values, "key": json_values},
    ),
)
object_lines = st.lists(
    st.one_of(objects.map(lambda value: json.dumps(value).encode()), st.binary(max_size=20)),
    max_size=6,
).map(b"\n".join)
contents = st.one_of(object_lines, byte_lines(), st.just(b"[" * 200_000), st.binary())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the examples of a test write their files."""
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of three threads, with an index beside it."""
    home = tmp_path_factory.mktemp("fuzz-home") / "home"
    for number in (1, 2, 3):
        write(home, number)
    synced(home, home.with_name("index.sqlite3"))
    return home


def outcome(work: Callable[[], Result]) -> tuple[Result, None] | tuple[None, StateError]:
    """What work gives, or the error of ours that it ends with."""
    try:
        return work(), None
    except StateError as error:
        return None, error


@CASES
@given(data=contents)
def test_names_and_settings_of_a_home(data: bytes, folder: Path) -> None:
    (folder / NAMES_FILE).write_bytes(data)
    for id_, (name, _) in read_names(folder).items():
        assert (id_.encode(), name.encode(), name.strip()) == (id_.encode(), name.encode(), name)
    (folder / "config.toml").write_bytes(data)
    assert default_provider(folder) == "openai"


@CASES
@given(
    value=st.one_of(st.text(max_size=10).map(json.dumps), st.sampled_from(["5", "[]", '"a\\0"']))
)
def test_a_provider_in_the_settings_is_text(value: str, folder: Path) -> None:
    (folder / "config.toml").write_text(f"model_provider = {value}\n", "utf-8")
    assert default_provider(folder).encode()


def test_a_line_without_end_takes_no_memory(folder: Path) -> None:
    with (folder / NAMES_FILE).open("wb") as file:
        file.truncate(300 * 2**20)
    tracemalloc.start()
    assert read_names(folder) == {}
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 200 * 2**20
    (folder / NAMES_FILE).unlink()


@CASES
@given(before=contents, added=setting_lists)
def test_a_journal_keeps_what_is_appended_whatever_it_holds(
    before: bytes, added: list[Setting], folder: Path
) -> None:
    index = folder / "index.sqlite3"
    journal_path(index).write_bytes(before)
    known = {setting.subject: setting for setting in read_settings(index)}
    append_settings(index, added)
    assert journal_path(index).read_bytes().startswith(before)
    expected = known | {setting.subject: setting for setting in added}
    assert {setting.subject: setting for setting in read_settings(index)} == expected


@CASES
@given(data=contents)
def test_a_dump_is_read_or_refused_with_its_place(data: bytes) -> None:
    header = next(dump_lines([])).encode()
    for content in (data, header + b"\n" + data):
        found, refused = outcome(lambda: read_dump(io.BytesIO(content)))  # noqa: B023
        if isinstance(refused, BadDump):
            assert content[: refused.offset].count(b"\n") == refused.line - 1
        elif found is None:
            assert isinstance(refused, DumpTooNew)
        else:
            again = "\n".join(dump_lines(found)).encode()
            assert set(read_dump(io.BytesIO(again))) == set(found)


@examples(25)
@given(batches=st.lists(setting_lists, min_size=1, max_size=3))
def test_restoring_in_any_order_comes_to_the_newest_and_once(
    batches: list[list[Setting]], home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("restored") / "index.sqlite3"

    async def work() -> None:
        async with open_index(home, path) as index:
            await index.catch_up()
            for batch in batches:
                await restore(index.database, home, list(newest_settings(batch).values()))
            journal = journal_path(path).read_bytes() if any(batches) else b""
            for batch in batches:
                done = await restore(index.database, home, list(newest_settings(batch).values()))
                assert done.set == 0
            assert not journal or journal_path(path).read_bytes() == journal
            wanted = newest_settings(itertools.chain.from_iterable(reversed(batches)))
            there = {fact.subject: fact.set_at_ms for fact in read_settings(path)}
            assert there == {subject: fact.set_at_ms for subject, fact in wanted.items()}

    asyncio.run(work())


fields = st.tuples(
    st.sampled_from([1, 2, "1", True]),
    st.sampled_from(["updated_at", "created_at", None]),
    st.sampled_from(["desc", "asc", "up"]),
    st.sampled_from(["", "f", 5]),
    st.one_of(st.integers(), st.booleans(), st.floats()),
    st.one_of(st.text(max_size=5), st.just("\ud800")),
)
cursors = st.one_of(
    st.text(),
    st.binary().map(lambda data: base64.urlsafe_b64encode(data).decode()),
    st.one_of(fields, objects, json_values).map(
        lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
    ),
    st.integers(1, 600).map(lambda n: base64.urlsafe_b64encode(b"[" * n).decode()),
)


@examples(300)
@given(text=cursors)
@example(Cursor("updated_at", True, "f", 1, "\ud800").encode())
def test_a_cursor_is_one_of_ours_or_invalid(text: str) -> None:
    found, refused = outcome(
        lambda: decode(text, sort_key="updated_at", descending=True, filters="f")
    )
    if found is None:
        assert isinstance(refused, InvalidCursor)
        return
    assert (found.sort_key, found.descending, found.filters) == ("updated_at", True, "f")
    assert -(2**63) <= found.key_ms < 2**63
    assert found.thread_id.encode().decode() == found.thread_id  # what SQLite takes


@CASES
@given(key_ms=times, id_=st.text(max_size=40), descending=st.booleans())
def test_a_cursor_comes_back_as_it_went(key_ms: int, id_: str, descending: bool) -> None:
    cursor = Cursor("recency_at", descending, "f", key_ms, id_)
    options = {"sort_key": "recency_at", "descending": descending, "filters": "f"}
    assert decode(cursor.encode(), **options) == cursor  # type: ignore[arg-type]


arguments = st.one_of(
    # What a shell can give: no NUL; bytes that are no UTF-8 come as lone surrogates.
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12),
    st.binary(max_size=8).map(
        lambda data: data.replace(b"\0", b"").decode("utf-8", "surrogateescape")
    ),
    cursors.filter(lambda text: "\0" not in text),
    st.sampled_from(
        [
            *("", "-", "--", "%", "*", '"', "'", "NEAR(", "a AND", "0", "-1", "1e9", "../..", "/"),
            *(thread_id(1), thread_id(1)[:8], thread_id(1).upper(), "019a", "x" * 5000, "9" * 30),
            *("cli", "subAgent", "updated_at", "C:\\x", "\\\\?\\c:\\X", "~", "5%", "0.5"),
        ]
    ),
)
list_options = st.lists(
    st.tuples(
        st.sampled_from(LIST_OPTIONS.split()),
        arguments,
    ),
    max_size=3,
).map(lambda pairs: ["list", *(word for pair in pairs for word in pair)])
words = st.one_of(
    list_options,
    arguments.map(lambda text: ["show", "--", text]),
    arguments.map(lambda text: ["verify", "--sample", text]),
    arguments.map(lambda text: ["verify", "--after", text]),
    arguments.map(lambda text: ["relink", "--remove", text]),
    arguments.map(lambda text: ["query", "--", text]),
    st.lists(arguments, max_size=3),
)


@examples(150)
@given(words=words, more=st.lists(st.sampled_from(["--json", "--asc", "--no-sync"]), max_size=1))
@example(words=["list", "--cwd", "\udcff"], more=["--json"])
@example(words=["show", "--", "\udcff"], more=[])
@example(words=["relink", "--remove", "\udcff"], more=[])
def test_any_words_have_a_defined_outcome(words: list[str], more: list[str], home: Path) -> None:
    index = home.with_name("index.sqlite3")
    before = index.read_bytes()
    env = {"CODEX_HOME": str(home), "THREADKEEP_DB": str(index)}
    ran = CliRunner().invoke(app, [*words[:1], *more, *words[1:]], env=env)
    if isinstance(ran.exception, StateError | RolloutError):
        assert errors.document(ran.exception)["error"]["code"] in STATUSES
    else:
        assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.exc_info
        assert ran.exit_code in STATUSES
    assert index.read_bytes() == before
    assert not journal_path(index).exists()


sql = st.one_of(
    st.text(max_size=30),
    st.lists(
        st.one_of(
            st.sampled_from(SQL_WORDS.split()),
            st.text(max_size=3),
        ),
        max_size=8,
    ).map(" ".join),
    st.sampled_from(
        ["DELETE FROM", "UPDATE", "INSERT INTO", "DROP TABLE", "ALTER TABLE", "REPLACE INTO"]
    ).flatmap(lambda verb: st.text(max_size=10).map(lambda rest: f"{verb} threads {rest}")),
)


@examples(300)
@given(text=sql)
def test_no_statement_writes(text: str, home: Path) -> None:
    index = home.with_name("index.sqlite3")
    before = index.read_bytes()

    def first_rows() -> bool:
        with run_sql(index, text) as answer:
            rows = list(itertools.islice(answer.rows, 50))
            return all(len(row) == len(answer.columns) for row in rows)

    fine, refused = outcome(first_rows)
    assert fine or isinstance(refused, InvalidSql)
    wal = index.with_name("index.sqlite3-wal")
    assert not wal.exists() or wal.stat().st_size == 0
    assert index.read_bytes() == before
    assert {path.name.split("-")[0] for path in index.parent.iterdir()} <= {
        *("home", "index.sqlite3", "index.sqlite3.lock"),
    }


@CASES
@given(folder=st.text(max_size=30))
def test_a_folder_has_one_key(folder: str) -> None:
    key = cwd_key(folder)
    assert cwd_key(key) == key
    if folder:
        assert cwd_key(f"{folder}/") in (key, cwd_key(key + "/"))
