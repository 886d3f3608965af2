"""What a person does in a real browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.web.browser.chromium import Tabs
from tests.cli.web.server import Server
from tests.cli.web.support import small_home
from tests.support.command import Cli


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of a small home."""
    here = small_home(tmp_path)
    with Server(Cli(here.home, tmp_path, {"THREADKEEP_DB": str(here.index)}), "--port", "0") as it:
        yield it


def test_the_address_opens_the_list_and_leaves_no_token_behind(server: Server, tabs: Tabs) -> None:
    page = tabs(server).page
    assert page.url == f"http://127.0.0.1:{server.port}/"
    assert server.token not in page.content()
    page.get_by_role("link", name="prompt 2").wait_for()
