"""The wheel holds all that the command needs, away from the tree."""

import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests import ROOT
from tests.support.command import Cli, thread_id, write_rollout
from tests.support.effort import PATIENCE_S

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree."""
    target = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"),
            *("--no-deps", "--no-build-isolation", "--wheel-dir", str(target), str(ROOT)),
        ],
        check=True,
        timeout=PATIENCE_S,
    )
    return next(target.glob("threadkeep-*.whl"))


def of_pages() -> list[Path]:
    """The templates, styles, scripts and pictures of web pages; there are some."""
    folders = ("cli/web/templates", "cli/web/static", "cli/render/styles")
    found = [path for name in folders for path in (ROOT / name).rglob("*.*") if path.is_file()]
    assert {path.suffix for path in found} >= {".html", ".css", ".js", ".svg"}
    return found


def test_the_archive_of_sources_holds_what_pages_need(tmp_path: Path) -> None:
    build = (sys.executable, "-m", "hatchling", "build", "--target", "sdist")
    subprocess.run([*build, "--directory", str(tmp_path)], cwd=ROOT, check=True, timeout=PATIENCE_S)
    (archive,) = tmp_path.glob("threadkeep-*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert {path.relative_to(ROOT).as_posix() for path in of_pages()} <= names


def test_the_wheel_holds_every_module_and_the_migrations(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for package in ("cli", "state", "rollout", "migrations"):
        assert f"{package}/py.typed" in names
        for path in (ROOT / package).rglob("*.py"):
            assert path.relative_to(ROOT).as_posix() in names
    assert {path.relative_to(ROOT).as_posix() for path in of_pages()} <= names
    assert "migrations/script.py.mako" in names
    assert any(name.startswith("migrations/versions/v0001") for name in names)
    assert not any(name.startswith(("tests/", "docs/")) for name in names)
    for path in (ROOT / "docs").glob("*.md"):
        assert f"cli/docs/{path.name}" in names
    assert any(name.endswith("/entry_points.txt") for name in names)
    assert any(name.endswith("/LICENSE") for name in names)


def test_the_installed_wheel_runs_away_from_the_tree(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "p%c" / "site"
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"),
            *("--no-deps", "--no-index", "--target", str(target), str(wheel)),
        ],
        check=True,
        timeout=PATIENCE_S,
    )
    write_rollout(tmp_path / "home", 1, "from the wheel")
    cli = Cli(tmp_path / "home", tmp_path)
    program = (
        "import sys; sys.path.insert(0, sys.argv.pop(1));"
        "import cli.app, migrations, state;"
        "print(cli.app.__file__, migrations.__file__, state.__file__, file=sys.stderr);"
        "sys.argv[0] = 'threadkeep'; cli.app.main()"
    )
    prefix = (sys.executable, "-P", "-c", program, str(target))
    ran = cli.run("--home", str(cli.home), "list", "--json", prefix=prefix)
    assert all(place.startswith(str(target)) for place in ran.err.split())
    assert [thread["id"] for thread in ran.json["data"]] == [thread_id(1)]
    status = cli.run("status", "--json", prefix=prefix)
    assert json.loads(status.out)["backfill"]["status"] == "complete"
    topic = cli.run("help", "cost", prefix=prefix)
    assert topic.out == (ROOT / "docs" / "cost.md").read_text("utf-8")
