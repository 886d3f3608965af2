"""Projects: worktrees, clones, subfolders and moved folders of one repository are one."""

import asyncio
import random
import shutil
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.query.model import Query
from state.query.projects import project_of_folder_steps, project_steps
from state.repair.reindex import reindex
from state.thread_index import ThreadIndex, open_index
from state.userdata.relink import relink
from tests.samples.homes import encoded, lines, thread_id, write
from tests.state.userdata.test_repositories import git, repository

Result = TypeVar("Result")
API = "git@github.com:acme/api.git"


def thread_in(home: Path, number: int, cwd: Path | str, origin: str = "", **more: bool) -> Path:
    """A thread that was begun in a folder, with the origin that git gave there."""
    facts: dict[str, Any] = {"git": {"repository_url": origin}} if origin else {}
    return write(home, number, encoded(lines(number, cwd=str(cwd), **facts)), **more)


class Found:
    """What an index says of projects."""

    def __init__(self, home: Path, index: Path) -> None:
        self.home, self.index = home, index

    def names(self, *cwds: Path | str) -> list[str]:
        async def work(index: ThreadIndex) -> list[str]:
            found = await index.database.query(project_steps(map(str, cwds)))
            return [found[str(cwd)] for cwd in cwds]

        return asyncio.run(self._opened(work))

    def of(self, folder: Path | str) -> tuple[str, str]:
        async def work(index: ThreadIndex) -> tuple[str, str]:
            return await index.database.query(project_of_folder_steps(str(folder)))

        return asyncio.run(self._opened(work))

    def numbers(self, *projects: Path | str) -> list[int]:
        """The threads of projects."""

        async def work(index: ThreadIndex) -> list[int]:
            page = await index.page(Query(projects=tuple(map(str, projects)), limit=100))
            by_id = {thread_id(number): number for number in range(200)}
            return sorted(by_id[row["id"]] for row in page.rows)

        return asyncio.run(self._opened(work))

    def relink(self, old: Path | str, new: Path | str) -> None:
        async def work(index: ThreadIndex) -> None:
            await relink(index.database, str(old), str(new))

        asyncio.run(self._opened(work))

    async def _opened(self, work: Callable[[ThreadIndex], Awaitable[Result]]) -> Result:
        async with open_index(self.home, self.index) as index:
            await index.sync()
            return await work(index)


@pytest.fixture
def found(home: Path, index_path: Path) -> Found:
    return Found(home, index_path)


def test_clones_worktrees_and_subfolders_are_one_project(
    home: Path, found: Found, tmp_path: Path
) -> None:
    main = repository(tmp_path / "work" / "checkout", API)
    git(main, "worktree", "add", str(tmp_path / "wt"))
    thread_in(home, 1, main, API)
    thread_in(home, 2, main / "src")
    thread_in(home, 3, tmp_path / "wt")
    thread_in(home, 4, "/gone/clone", "https://me:secret@GitHub.com/Acme/API")
    thread_in(home, 5, "/gone/clone/src", "ssh://git@github.com/acme/api")
    thread_in(home, 6, "/gone/api-docs", "git@github.com:acme/api-docs.git")
    thread_in(home, 7, tmp_path / "notes")
    gone = Path("/gone/clone")
    folders = [main, main / "src", tmp_path / "wt", gone, gone / "src"]
    (name,) = {*found.names(*folders)}
    assert name.lower() == "api"
    assert found.names("/gone/api-docs", tmp_path / "notes") == ["api-docs", "notes"]
    assert found.numbers(name) == [1, 2, 3, 4, 5]
    assert found.numbers(f"acme/{name}", "notes") in ([1, 2, 3, 4, 5, 7], [7])
    for folder in folders:
        assert found.numbers(folder) == [1, 2, 3, 4, 5]
    git(main, "worktree", "add", str(tmp_path / "new"))
    (tmp_path / "new" / "lib").mkdir()
    assert found.of(tmp_path / "new" / "lib") == (name, str(tmp_path / "new" / "lib"))
    assert found.numbers(tmp_path / "new" / "lib") == [1, 2, 3, 4, 5]


def test_a_name_still_chooses_the_folders_that_are_called_so(home: Path, found: Found) -> None:
    thread_in(home, 1, "/a/web/src")
    thread_in(home, 2, "/b/web", API)
    thread_in(home, 3, "/c/checkout", API)
    thread_in(home, 4, "/c/website")
    assert found.numbers("web") == [1, 2]
    assert found.numbers("b/web/") == [2]
    assert found.numbers("api") == [2, 3]
    assert found.numbers("acme/api") == found.numbers("github.com/acme/api") == [2, 3]
    assert found.numbers("pi") == found.numbers("cme/api") == []


def test_a_repository_without_an_origin_is_known_by_its_folder(
    home: Path, found: Found, tmp_path: Path
) -> None:
    main = repository(tmp_path / "tool")
    git(main, "worktree", "add", str(tmp_path / "fix"))
    git(tmp_path, "clone", str(main), "copy")
    for number, folder in enumerate((main / "src", tmp_path / "fix", tmp_path / "other")):
        thread_in(home, number, folder)
    thread_in(home, 3, tmp_path / "copy", str(main))
    assert found.names(main / "src", tmp_path / "fix", tmp_path / "copy") == ["tool"] * 3
    assert found.numbers("tool") == found.numbers(main) == [0, 1, 3]
    # What is known from an origin stays known. What only the disk said does not.
    for name in ("tool", "fix", "copy"):
        shutil.rmtree(tmp_path / name)
    assert found.names(tmp_path / "copy") == ["tool"]
    assert found.numbers(tmp_path / "copy") == [3]


def test_folders_that_moved_are_one_project_with_where_they_are(
    home: Path, found: Found, tmp_path: Path
) -> None:
    thread_in(home, 1, "/old/shop")
    thread_in(home, 2, "/old/shop/src", "git@example.com:shop.git")
    thread_in(home, 3, tmp_path / "new" / "shop", "git@example.com:shop.git")
    thread_in(home, 4, "/old/plain")
    thread_in(home, 5, tmp_path / "plain" / "below")
    assert found.numbers(tmp_path / "new" / "shop") == [2, 3]
    found.relink("/old/shop", tmp_path / "new" / "shop")
    found.relink("/old/plain", tmp_path / "plain")
    assert found.names("/old/shop", "/old/shop/src", tmp_path / "new" / "shop") == ["shop"] * 3
    assert found.numbers(tmp_path / "new" / "shop") == [1, 2, 3]
    assert found.numbers(tmp_path / "plain") == found.numbers("plain") == [4, 5]
    thread_in(home, 6, "/old/depot")
    found.relink("/old/depot", "C:\\Work\\Depot")
    assert found.numbers("Depot") == found.numbers("depot") == [6]


def test_two_projects_of_one_name_are_told_apart(home: Path, found: Found, tmp_path: Path) -> None:
    thread_in(home, 1, "/a/api", API)
    thread_in(home, 2, "/b/api", "git@github.com:me/api.git")
    thread_in(home, 3, "/c/api", "git@gitlab.com:me/api.git")
    thread_in(home, 4, "/d/api")
    thread_in(home, 5, "/e/web", "git@github.com:acme/web.git")
    names = ["acme/api", "github.com/me/api", "gitlab.com/me/api", "/d/api", "web"]
    assert found.names("/a/api", "/b/api", "/c/api", "/d/api", "/e/web") == names
    assert found.numbers("api") == [1, 2, 3, 4]
    assert [found.numbers(name) for name in names] == [[1], [2], [3], [4], [5]]
    assert found.numbers("me/api") == [2, 3]
    assert found.of("/f/web") == ("/f/web", "/f/web")


def test_a_folder_without_git_has_those_below_it(home: Path, found: Found, tmp_path: Path) -> None:
    inner = repository(tmp_path / "work" / "inner")
    outer = repository(tmp_path / "outer")
    for number, folder in enumerate(
        [tmp_path / "work", tmp_path / "work" / "deep" / "er", inner, outer, outer / "x" / "inner"]
    ):
        thread_in(home, number, folder)
    repository(outer / "x" / "inner")
    assert found.numbers(tmp_path / "work") == [0, 1, 2]
    assert found.numbers(outer) == [3]
    assert found.of(tmp_path / "nowhere") == ("nowhere", str(tmp_path / "nowhere"))
    assert found.numbers(tmp_path / "nowhere") == []


def test_the_newest_origin_of_a_folder_counts(home: Path, found: Found) -> None:
    thread_in(home, 2, "/a", API)
    thread_in(home, 1, "/a", "git@github.com:me/earlier.git")
    thread_in(home, 3, "/a")
    assert found.names("/a") == ["api"]
    newest = thread_in(home, 4, "/a", "git@github.com:acme/renamed.git")
    assert found.names("/a") == ["renamed"]
    newest.unlink()
    assert found.names("/a") == ["api"]


@pytest.mark.parametrize("origin", ["", ".", "../x", "x" * 9000, "host:", "\0", "/"])
def test_an_origin_that_says_nothing_is_none(home: Path, found: Found, origin: str) -> None:
    thread_in(home, 1, "/some/folder", origin)
    thread_in(home, 2, "", origin)
    thread_in(home, 3, "C:\\Work\\Shop", origin)
    names = found.names("/some/folder", "", "C:\\Work\\Shop", "c:/work/shop/")
    assert names == ["folder", "", "Shop", "Shop"]
    assert found.numbers("folder") == [1]
    assert found.numbers("shop") == found.numbers("C:\\work\\SHOP") == [3]


def test_origins_that_lead_to_each_other_end(home: Path, found: Found) -> None:
    thread_in(home, 1, "/a/one", "/a/two")
    thread_in(home, 2, "/a/two", "/a/one")
    thread_in(home, 3, "/a/three", "/a/two/.git")
    thread_in(home, 4, "/a/self", "/a/self")
    assert found.numbers("/a/one") == found.numbers("/a/three") == [1, 2, 3]
    assert found.names("/a/one", "/a/two", "/a/three", "/a/self") == ["one"] * 3 + ["self"]


FOLDERS = ("/w/api", "/w/api/src", "/x/api", "/x/tool", "C:\\W\\Api", "/moved/api", "")
ORIGINS = ("", API, "https://github.com/Acme/api", "git@github.com:me/api.git", "/x/tool", "..")


@given(
    places=st.lists(
        st.tuples(st.sampled_from(FOLDERS), st.sampled_from(ORIGINS)), min_size=1, max_size=12
    ),
    seed=st.integers(0, 1000),
)
def test_filling_in_pieces_gives_the_projects_of_a_reindex(
    tmp_path_factory: pytest.TempPathFactory,
    places: Sequence[tuple[str, str]],
    seed: int,
) -> None:
    base = tmp_path_factory.mktemp("pieces")
    home, chance = base / "home", random.Random(seed)
    home.mkdir()
    found = Found(home, base / "index.sqlite3")
    found.relink("/moved", "/w")
    order = [*enumerate(places)]
    chance.shuffle(order)
    written: list[Path] = []
    for number, (folder, origin) in order:
        written.append(thread_in(home, number, folder, origin, archived=chance.random() < 0.2))
        if chance.random() < 0.2:
            written.pop(chance.randrange(len(written))).unlink()
        if chance.random() < 0.3:
            # Begun elsewhere, as far as the index knows until the next sync.
            thread_in(home, number, chance.choice(FOLDERS), chance.choice(ORIGINS), archived=False)
        if chance.random() < 0.5:
            found.names()

    def answers() -> object:
        names = found.names(*FOLDERS)
        return names, [found.numbers(name) for name in (*filter(None, names), "api", "/x/tool")]

    grown = answers()
    asyncio.run(reindex(home, found.index))
    assert answers() == grown
