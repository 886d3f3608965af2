"""The browser of tests that have ``tabs``. They lie in this folder."""

from collections.abc import Iterator

import pytest

from tests.cli.web.browser.chromium import Chromium, Tabs


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """The browser. Tests that need it are skipped where there is none."""
    found = Chromium()
    yield found
    found.close()


@pytest.fixture
def tabs(chromium: Chromium) -> Iterator[Tabs]:
    """Opens tabs: ``tabs(server)``. In the end nothing may have gone wrong in any of them."""
    tabs = Tabs(chromium.browser)
    yield tabs
    chromium.run(tabs.close)
    assert [wrong for tab in tabs.opened for wrong in tab.wrong] == []


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that has tabs in the thread of the browser."""
    chromium = pyfuncitem.funcargs.get("chromium")
    if "tabs" not in pyfuncitem.fixturenames or not isinstance(chromium, Chromium):
        return None
    given = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    chromium.run(lambda: pyfuncitem.obj(**given))
    return True
