"""The documents name what there is, all of it, and nothing else."""

import asyncio
import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest
import typer

from cli import errors
from cli.app import app
from cli.help.pages import TASKS
from state.codex.compare import KINDS
from state.db.schema import metadata
from state.db.steps import select_steps
from state.fleet.server.admin.check_grants import KINDS as FLEET_KINDS
from state.fleet.server.operations.status import KINDS as STATUS_KINDS
from state.repair import verify
from state.thread_index import open_index
from tests import ROOT
from tests.state.codex.databases import Codex
from tests.support.command import THREAD_KEYS, thread_id, told_inside, write_rollout

DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.glob("*.md"))]


def commands() -> dict[str, Any]:
    """Every command by its words, those of groups in it too."""
    found = {}

    def look(front: str, table: Any) -> None:
        for word, command in table.commands.items():
            name = f"{front} {word}".lstrip()
            inner = hasattr(command, "commands")
            if not inner or command.invoke_without_command:
                found[name] = command
            if inner:
                look(name, command)

    look("", typer.main.get_command(app))
    return found


COMMANDS = commands()
GROUPS = {command.rpartition(" ")[0] for command in COMMANDS if " " in command}
GROUPS |= {group.split()[0] for group in GROUPS}
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
CALL = re.compile(
    r"(?<![\w./-])(?<!inject )(?<!runpip )"  # which take it as a word: pipx inject threadkeep NAME
    r"(?:[\w./-]*/)?threadkeep((?:[ ]--(?:home|db)[ ][^\s`]+)*)[ ]([a-z][\w-]*)"
    r"(?:[ ]([a-z]\w*))?(?:[ ]([a-z]\w*))?"
)
STATUSES = {
    name: value
    for name, value in vars(errors).items()
    if name.isupper() and isinstance(value, int) and not name.startswith("_")
}


def code_named(text: str) -> set[str]:
    """What stands between backquotes in a text, outside of blocks."""
    return set(re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)))


def test_every_command_has_help() -> None:
    assert {"list", "show", "backfill", "sync", "reindex", "status", "db path"} <= set(COMMANDS)
    for name, command in COMMANDS.items():
        assert (command.help or "").strip(), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    for code in CODE.findall(page.read_text("utf-8")):
        for _, name, *more in CALL.findall(code):
            for word in more:
                name = f"{name} {word}".strip() if name in GROUPS else name
            assert name in COMMANDS, (name, code)


def test_every_command_is_described_and_named_in_the_readme() -> None:
    commands_page = (DOCS / "cli.md").read_text("utf-8")
    readme = (ROOT / "README.md").read_text("utf-8")
    for command in COMMANDS:
        assert f"\n## threadkeep {command}\n" in commands_page
        assert re.search(rf"`(?:threadkeep )?{command}\b", readme), command


def test_every_option_is_described() -> None:
    text = (DOCS / "cli.md").read_text("utf-8")
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        for name in ("", *COMMANDS):
            app([*name.split(), "--help"], standalone_mode=False)
    options = set(re.findall(r"(?m)^  (--[a-z-]+)", shown.getvalue()))
    assert len(options) > 20
    for option in options:
        assert option in text or option in ("--help", "--sync"), option


def test_every_exit_status_is_described() -> None:
    text = (DOCS / "cli.md").read_text("utf-8").partition("## Exit status")[2]
    told = {int(number) for number in re.findall(r"(?m)^\| (\d+) \|", text)}
    assert told == set(STATUSES.values())
    assert told == {0, 1, 2, 3, 4, 5, 6, 7, 130}


def test_every_kind_of_error_is_described_with_its_status() -> None:
    text = (DOCS / "recovery.md").read_text("utf-8")
    told = {kind: int(code) for kind, code in re.findall(r"(?m)^\| `(\w+)` \| (\d+) \|", text)}
    known = {outcome.kind: outcome.status for outcome in errors._outcomes().values()}
    assert told == known


def keys_of(value: object) -> set[str]:
    """Every key of a JSON document, at any depth."""
    if isinstance(value, dict):
        return set(value) | {key for item in value.values() for key in keys_of(item)}
    if isinstance(value, list):
        return {key for item in value for key in keys_of(item)}
    return set()


def test_every_json_key_is_described(tmp_path: Path) -> None:
    home, index = tmp_path / "home", tmp_path / "state" / "index.sqlite3"
    write_rollout(home, 1)
    write_rollout(home, 2).write_bytes(b"")
    keys = set(THREAD_KEYS) | {"sha", "branch", "originUrl"}

    def run(*arguments: str) -> Any:
        return told_inside(home, index, *arguments)[0]

    dump = str(tmp_path / "facts.txt")
    for arguments in (
        ["backfill"],
        ["list"],
        ["status"],
        ["explain", thread_id(1)],
        ["explain"],
        ["relink", "/a", "/b"],
        ["dump"],
        ["dump", dump],
        ["restore", dump],
        ["query", "SELECT 1"],
        ["stats", "now"],
        ["stats", "--since", "2026-01", "--compare", "--by", "thread"],
        ["search", "thread"],
        ["secrets"],
        ["verify"],
        ["repair"],
        ["repair", "--apply"],
        *(name.split() for name in COMMANDS if name.startswith("db ")),
    ):
        keys |= keys_of(run(*arguments))
    keys |= keys_of(run("show", "nobody")) - {"error"}
    keys |= keys_of(run("show", thread_id(1))) - {"thread"}
    usage = run("du")
    keys |= keys_of({**usage, "by": None}) | set(usage["by"]) | keys_of([*usage["by"].values()])
    index.write_bytes(index.read_bytes()[:9000])
    keys |= keys_of(run("repair", "--apply"))
    keys |= keys_of(run("repair", "--undo"))
    Codex.of(home, home)
    for more in [], ["--fix", "--yes"], ["--undo", "--yes"]:
        keys |= keys_of(run("codex-check", *more))
    keys -= KINDS.keys()
    text = (DOCS / "json.md").read_text("utf-8")
    told = {part for name in code_named(text) for part in re.split(r"[.\[\]]+", name)}
    assert keys <= told, keys - told
    assert re.search(r"`\{\"thread\": Thread\}`", text)


def test_every_table_and_column_is_described() -> None:
    text = (DOCS / "schema.md").read_text("utf-8")
    sections = dict(re.findall(r"(?ms)^## (\w+)\n(.*?)(?=^## |\Z)", text))
    for table in metadata.tables.values():
        described = code_named(sections[table.name])
        columns = {column.name for column in table.columns}
        assert columns <= described, (table.name, columns - described)
        rows = re.findall(r"(?m)^\| (`[^|]+) \|", sections[table.name])
        first = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
        assert first == columns, table.name


def test_every_view_and_its_columns_are_described(tmp_path: Path) -> None:
    async def views() -> dict[str, set[str]]:
        sql = (
            "SELECT v.name, c.name FROM sqlite_master v, pragma_table_info(v.name) c"
            " WHERE v.type = 'view'"
        )
        async with open_index(tmp_path, tmp_path / "index.sqlite3") as index:
            columns: dict[str, set[str]] = {}
            for view, column in await index.database.query(select_steps(sql)):
                columns.setdefault(view, set()).add(column)
            return columns

    text = (DOCS / "schema.md").read_text("utf-8")
    there = asyncio.run(views())
    assert len(there) == 9
    told = dict(re.findall(r"(?ms)^### (v_\w+)\n(.*?)(?=^###? |\Z)", text))
    assert there.keys() == told.keys()
    for view, columns in there.items():
        rows = re.findall(r"(?m)^\| (`[^|]+) \|", told[view])
        assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == columns, view


def test_every_query_in_the_documents_is_answered(corpus_home: Path, corpus_index: Path) -> None:
    texts = [page.read_text("utf-8") for page in PAGES]
    asked = {sql for text in texts for sql in re.findall(r'threadkeep query "([^"]+)"', text)}
    assert len(asked) >= 4
    for sql in asked:
        answer, _ = told_inside(corpus_home, corpus_index, "query", "--no-sync", sql)
        assert answer["error"] is None
        assert answer["rows"] or "unreadable" in sql


def test_every_finding_is_described_with_its_severity_and_what_mends_it() -> None:
    kinds = verify.KINDS | KINDS | FLEET_KINDS | STATUS_KINDS
    text = (DOCS / "findings.md").read_text("utf-8")
    rows = re.findall(r"(?m)^\| `(\w+)` \| (\w+) \| [^|]+ \| ([^|]+) \|$", text)
    assert {code: severity for code, severity, _ in rows} == {
        code: kind.severity for code, kind in kinds.items()
    }
    for code, _, mend in rows:
        command = kinds[code].mend
        assert (f"`{command}`" in mend) if command else "`" not in mend, code


def test_every_reason_of_explain_is_described() -> None:
    text = (DOCS / "cli.md").read_text("utf-8")
    section = text.partition("## threadkeep explain\n")[2].partition("\n## ")[0]
    told = set(re.findall(r"(?m)^\| `(\w+)` \|", section))
    code = "".join(
        (ROOT / "state" / "explain" / name).read_text("utf-8")
        for name in ("current.py", "explain.py", "picker.py", "reasons.py")
    )
    code += (ROOT / "rollout" / "metadata" / "codex_picker.py").read_text("utf-8")
    given = set(re.findall(r'(?:Reason|hidden|noted)\(\s*"(\w+)"', code))
    given |= set(re.findall(r'found\.append\(\("(\w+)"', code))
    given |= set(re.findall(r'(?m)^[A-Z_]+: Final = "([a-z]+_[a-z_]+)"$', code))
    given |= {"duplicate", "stale_segment", "unreadable", "ignored", "outside_home"}
    assert told == given


def test_every_index_and_trigger_is_described(tmp_path: Path) -> None:
    async def names() -> set[str]:
        sql = (
            "SELECT name FROM sqlite_master WHERE type IN ('index', 'trigger')"
            " AND name NOT LIKE 'sqlite_autoindex%' AND tbl_name NOT LIKE 'alembic%'"
        )
        async with open_index(tmp_path, tmp_path / "index.sqlite3") as index:
            return {name for (name,) in await index.database.query(select_steps(sql))}

    text = (DOCS / "schema.md").read_text("utf-8")
    there = asyncio.run(names())
    assert there
    assert there <= code_named(text), there - code_named(text)
    told = set(re.findall(r"`(ix_\w+)`", text))
    assert told <= there, told - there


def anchors(page: Path) -> set[str]:
    """What links to the headings of a page end in, by the rule of GitHub."""
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text("utf-8"))
    headings = re.findall(r"(?m)^#+ (.+)$", text)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", text):
        linked = page.parent / target if target else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), (target, anchor)


def test_every_page_and_heading_that_the_code_names_exists() -> None:
    known = {page: anchors(page) for page in PAGES}
    named = 0
    topics = {page.stem for page in DOCS.glob("*.md")} | {"TOPIC", "COMMAND", "man"} | {*COMMANDS}
    for package in ("rollout", "state", "cli", "migrations", "tests"):
        for path in sorted((ROOT / package).rglob("*.py")):
            text = path.read_text("utf-8")
            assert {*re.findall(r"threadkeep help ([\w-]+)", text)} - {"lists"} <= topics, path
            assert "\N{SECTION SIGN}" not in text, f"{path} names a paragraph, not a fact"
            for page, anchor in re.findall(r"\b(docs/[\w-]+\.md)(?:#([\w-]+))?", text):
                assert (ROOT / page) in known, (path, page)
                assert not anchor or anchor in known[ROOT / page], (path, page, anchor)
                named += 1
    assert named


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_of_ours_that_a_page_names_exists(page: Path) -> None:
    codes = code_named(page.read_text("utf-8"))
    tops = "rollout|state|cli|migrations|tests|docs|[.]ci"
    paths = {code for code in codes if re.fullmatch(rf"(?:{tops})/[\w./-]*", code)}
    modules = {name for code in codes for name in re.findall(r"python -m (tests[.\w]*)", code)}
    assert len(paths) > 40 or page.name != "CONTRIBUTING.md"
    for path in {*paths, *(f"{name.replace('.', '/')}.py" for name in modules)}:
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_lines_of_pages_can_be_read(page: Path) -> None:
    """Rows of tables may be longer, but for the page of commands; one change is one line."""
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text("utf-8"))
    rows = page.name != "cli.md"
    long = [
        line for line in text.splitlines() if len(line) > 160 and not (rows and line[:1] == "|")
    ]
    assert page.name == "CHANGELOG.md" or not long


def test_what_the_pages_about_tasks_print_fits_a_terminal_of_80_columns() -> None:
    for name in TASKS:
        blocks = re.findall(r"(?ms)^```\w*\n(.*?)^```", (DOCS / f"{name}.md").read_text("utf-8"))
        assert blocks, name
        assert max(len(line) for block in blocks for line in block.splitlines()) <= 78, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_name_no_place_of_the_machine_they_were_written_on(page: Path) -> None:
    text = page.read_text("utf-8")
    assert str(ROOT) not in text
    assert "/tmp/" not in text
    assert "/root/" not in text
