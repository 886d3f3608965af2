"""The threads of a fleet in a real browser: machines and users as filters, and pushes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.fleet.faces import COUNT, MACHINE, faces
from tests.cli.web.browser.chromium import Tabs
from tests.cli.web.server import Server
from tests.state.fleet.contents import execute
from tests.support.command import Inside, thread_id, write_rollout
from tests.support.indexes import empty_index, in_index
from tests.support.postgres.cluster import Cluster, new_fleet
from tests.support.postgres.copied import put_index

PUSHED = "UPDATE threadkeep.machines SET pushed_at = clock_timestamp() WHERE name = %s"


@pytest.fixture
def served(cluster: Cluster, tmp_path: Path) -> Iterator[tuple[Server, Callable[[], None]]]:
    """A server of a fleet, to which Ann's desk has pushed a copy of a thread and one of its own,
    and what has it push another one."""
    with new_fleet(cluster) as fleet, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        both = faces(fleet, tmp_path)

        def index_of(number: int) -> Path:
            index = tmp_path / str(number) / "index.sqlite3"
            home = tmp_path / str(number) / "home"
            write_rollout(home, number, f"prompt {number}", cwd="/w/desk")
            empty_index(index)
            in_index(home, index, lambda opened: opened.backfill())
            return index

        fleet.machine("desk", user="ann")
        for number in (1, COUNT + 1):
            put_index(fleet, "desk", index_of(number))
        later = index_of(COUNT + 2)

        def push() -> None:
            put_index(fleet, "desk", later)
            execute(fleet, PUSHED, ["desk"])

        assert both.fleet.fleet is not None
        cli = Inside(both.fleet.home, tmp_path)
        with Server(cli, "--port", "0", "--fleet", both.fleet.fleet) as server:
            yield server, push


def test_machines_and_users_are_filters_and_pushes_are_followed(
    served: tuple[Server, Callable[[], None]], tabs: Tabs
) -> None:
    server, push = served
    tab = tabs(server)
    page = tab.page
    page.locator("#count", has_text=f"{COUNT + 1} threads").wait_for()
    page.locator("#sides").get_by_role("link", name="ann").click()
    page.wait_for_url("**/?q=user%3Aann")
    page.locator("#count", has_text="1 thread").wait_for()
    page.get_by_role("combobox").fill("machine:de")
    page.get_by_role("option", name="machine:desk").wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    tab.listed("machine:desk")
    page.locator("#count", has_text="2 threads").wait_for()
    assert page.locator("#rows .title a").nth(1).get_attribute("href") == (
        f"/machine/desk/thread/{thread_id(1)}"
    )

    push()
    page.get_by_role("button", name="1 thread has changed: show").click()
    page.locator("#rows .title a", has_text=f"prompt {COUNT + 2}").wait_for()

    page.get_by_role("combobox").fill(f"machine:{MACHINE} prompt 3")
    page.locator("#count", has_text="1 thread").wait_for()
    page.locator("#rows .title a").click()
    page.wait_for_url(f"**/machine/{MACHINE}/thread/{thread_id(3)}*")
    page.locator("#turns", has_text="answer 3").wait_for()
