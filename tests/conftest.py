"""Homes and indexes that tests share."""

import asyncio
import fcntl
import gc
import importlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

from state.db import database
from state.thread_index import open_index
from state.userdata.store import open_with_user_data
from tests import FIXTURES, ROOT
from tests.support.command import Cli, Inside
from tests.support.effort import FULL
from tests.support.indexes import copying, migrated

if TYPE_CHECKING:
    from tests.support.postgres.cluster import Cluster, Fleet

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what it does not wait for
    # The commands that tests interrupt would inherit it, and never end.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples each time, however slow the machine is; with --full, more of them; to look for
# others: pytest --hypothesis-profile=random
_random = hypothesis.settings(deadline=None, suppress_health_check=[*hypothesis.HealthCheck])
_full = hypothesis.settings(_random, derandomize=True, database=None)
hypothesis.settings.register_profile("random", _random)
hypothesis.settings.register_profile("full", _full)
hypothesis.settings.register_profile("fixed", _full, max_examples=10)
hypothesis.settings.load_profile("fixed")

CreateFile = Callable[[Path], None]

CORPUS = FIXTURES / "corpus"
_BROWSER = "cli/web/browser"
LONG = {
    _BROWSER: 40,
    "crash/test_jobs": 17,
    "protocol/test_dialogue": 10,
    "cli/server/test_leaving": 9,
    "test_benchmarks": 9,
    "cli/browse/test_pick": 8,
    "crash/test_push": 8,
    "cli/commands/test_search": 8,
    "state/checks/test_faults_index": 8,
    "state/watch/test_watch": 8,
    "cli/browse/test_picker": 7,
    "cli/browse/actions/test_marks": 6,
    "state/checks/test_faults_files": 6,
    "cli/browse/reader/test_following": 5,
    "cli/browse/reader/test_reader": 5,
    "cli/browse/test_snapshots": 5,
    "cli/mcp/test_pages": 5,
    "cli/mcp/test_process": 5,
    "cli/test_bombs": 5,
    "state/query/test_projects": 5,
    "cli/browse/actions/test_archive": 4,
    "cli/browse/test_words_in_picker": 4,
    "cli/mcp/test_turns": 4,
    "cli/redact/test_redact": 4,
    "cli/server/test_home": 4,
    "cli/server/test_turns": 4,
    "cli/test_interrupt": 4,
    "cli/test_no_access": 4,
    "state/db/test_migrations": 4,
    "state/fleet/push/test_push": 4,
    "state/fleet/reading/test_gold": 4,
    "state/fleet/reading/test_pages": 4,
    "state/fleet/reading/test_search": 4,
    "state/fulltext/test_changed_files": 4,
    "state/query/test_listing": 4,
    "state/repair/test_recovery": 4,
    "state/turns/test_outlines": 4,
    "state/turns/test_show": 4,
}
"""The files that take longest, and how many seconds of a processor each took in a measured run and
an eighth of the seconds that passed; and a folder whose files share a browser."""


@pytest.fixture(autouse=True)
def no_fault_of_ours(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail where a fault of ours made a file unusable, which costs a user only that file."""
    yield
    assert not [record for record in caplog.get_records("call") if record.name == "threadkeep.read"]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has this process wait but a moment for another one that holds an index or Codex's database,
    where all that a test looks at comes after that."""
    defaults = open_with_user_data.__wrapped__.__kwdefaults__  # type: ignore[attr-defined]
    monkeypatch.setitem(defaults, "patience_s", 0.2)
    for module in ("state.codex_db.database", "state.repair.recovery"):
        monkeypatch.setattr(f"{module}._PATIENCE_S", 0.2)


def copy_corpus(target: Path) -> Path:
    """A copy of the corpus home with the mtimes of its manifest, which git does not keep."""
    shutil.copytree(CORPUS / "home", target)
    for entry in json.loads((CORPUS / "manifest.json").read_text("utf-8")):
        os.utime(target / entry["path"], ns=(entry["mtime_ns"], entry["mtime_ns"]))
    # The gold was made with this default, which threads without a provider count for.
    (target / "config.toml").write_text('model_provider = "mock"\n')
    return target


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two workers more than there are processors: many tests wait, for locks, for processes, and
    for what a key does in the picker."""
    return (os.cpu_count() or 1) + 2


class _Scheduling(LoadFileScheduling):  # type: ignore[misc]
    """All tests of a file in one worker, so that what they share is made once; and all that need a
    browser, which takes two seconds of a processor to start."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        folder = file.rpartition("/")[0]
        return folder if folder.endswith(_BROWSER) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadFileScheduling | None:
    """How tests are given to workers."""
    if config.getvalue("dist") != "load":  # another way was asked for
        return None
    config.option.loadscopereorder = False  # by the number of tests; see below
    return _Scheduling(config, log)


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--full``: everything, where a run takes samples otherwise."""
    parser.addoption("--full", action="store_true", help="run all cases, and the tests marked full")


def pytest_configure(config: pytest.Config) -> None:
    """Tell the modules of tests, which are imported later, how much they are to try."""
    gc.disable()  # modules are no garbage; see pytest_collection_finish
    if config.getoption("--full"):
        os.environ[FULL] = "1"
        if not config.getoption("--hypothesis-profile"):
            hypothesis.settings.load_profile("full")


def pytest_collection(session: pytest.Session) -> None:
    """Each worker imports a share of the tests first, and leaves what it has compiled of them to
    the others: to rewrite what tests assert takes longer than all else of collecting."""
    worker = getattr(session.config, "workerinput", None)
    if worker is None or session.config.args != session.config.getini("testpaths"):
        return
    number, count = int(worker["workerid"].removeprefix("gw")), worker["workercount"]
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, False
    files = [path for path in (ROOT / "tests").rglob("test_*.py") if "bench" not in path.parts]
    for path in sorted(files)[number::count]:
        # What is wrong with it is told when it is collected.
        with suppress(Exception, pytest.skip.Exception):
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    sys.dont_write_bytecode = before


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files that take long come first, so that no worker begins one when the others are done."""
    if not config.getoption("--full"):
        for item in items:
            if item.get_closest_marker("full"):
                item.add_marker(pytest.mark.skip(reason="only with --full"))
    items.sort(key=_seconds, reverse=True)


def _seconds(item: pytest.Item) -> int:
    path = item.path.relative_to(ROOT / "tests").with_suffix("")
    return LONG.get(str(path), 0) or LONG.get(str(path.parent), 0)


def pytest_collection_finish() -> None:
    """Take all that is loaded by now out of every later collection of garbage."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _migrated_once() -> Iterator[CreateFile]:
    """New indexes that are made in this process are copies of one that the migrations made, as
    those of commands that are forked. Tests of it take :func:`each_migrated`."""
    create = database._create_file
    migrated()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(database, "_create_file", copying(create))
        yield create


@pytest.fixture
def each_migrated(_migrated_once: CreateFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """The migrations make each new index."""
    monkeypatch.setattr(database, "_create_file", _migrated_once)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the corpus home and a complete index of it: one for all workers, made by the
    first that needs it. Nobody changes it, or opens the index."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "corpus"
    folder.mkdir(exist_ok=True)

    async def fill() -> None:
        async with open_index(copy_corpus(folder / "home"), folder / "making") as index:
            await index.backfill()

    with (folder / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "index.sqlite3").exists():
            asyncio.run(fill())
            (folder / "making").rename(folder / "index.sqlite3")
    return folder


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Cluster"]:
    """A PostgreSQL that all workers share. Tests of it are skipped where none is installed."""
    postgres = pytest.importorskip("tests.support.postgres.cluster", exc_type=ImportError)
    if postgres.find_binaries() is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "postgres"
    with postgres.shared(folder) as started:
        yield started


@pytest.fixture
def fleet(cluster: "Cluster") -> Iterator["Fleet"]:
    """A fleet without machines, of one test alone."""
    from tests.support.postgres.cluster import new_fleet

    with new_fleet(cluster) as made:
        yield made


@pytest.fixture(scope="session")
def corpus_home(prepared: Path) -> Path:
    """The corpus home, for tests that do not change it."""
    return prepared / "home"


@pytest.fixture(scope="session")
def corpus_index(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete index of the corpus home, for tests that do not change what is in the home."""
    return Path(shutil.copy(prepared / "index.sqlite3", tmp_path_factory.mktemp("index")))


@pytest.fixture
def own_corpus_index(prepared: Path, tmp_path: Path) -> Path:
    """A complete index of the corpus home, of one test alone."""
    return Path(shutil.copy(prepared / "index.sqlite3", tmp_path))


@pytest.fixture(scope="module")
def corpus(corpus_home: Path, corpus_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """The command for the corpus, for tests that only read."""
    base = tmp_path_factory.mktemp("corpus-user")
    return Inside(corpus_home, base, {"THREADKEEP_DB": str(corpus_index)})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home."""
    (tmp_path / "home" / "sessions").mkdir(parents=True)
    return tmp_path / "home"


@pytest.fixture
def index_path(tmp_path: Path) -> Path:
    """Where an index may be made."""
    return tmp_path / "state" / "index.sqlite3"


@pytest.fixture(autouse=True)
def _no_strays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the person who runs the tests gets in."""
    for name in ("CODEX_HOME", "THREADKEEP_DB"):
        monkeypatch.delenv(name, raising=False)
