"""Run the picker on the terminal, and leave the terminal as it was."""

import os
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from cli.arguments.locations import Locations
from cli.browse.first_frame import Layout, first_page, frame, taken_screen, terminal_size
from cli.browse.threads.counts import project_name, scope_text
from cli.terminal.cells import settled
from cli.terminal.output import held_messages
from rollout.files.scan import check_codex_home

if TYPE_CHECKING:
    from cli.browse.app import BrowseApp
    from cli.browse.picked import Picked
    from cli.browse.words.keys import OwnKeys
    from state.thread_index import ThreadIndex


def browse(
    here: Locations,
    *,
    pick: bool = False,
    text: str = "",
    own_keys: "OwnKeys" = MappingProxyType({}),
) -> "Picked | None":
    """What is picked; None if the picker is left without. Raises what opening the index raises,
    as other commands do, and SystemExit if a signal or a fault of ours ends the picker."""
    if here.fleet is None:
        check_codex_home(here.home)
    size = terminal_size()
    layout = Layout.of(*size)
    page = None if text else first_page(here, layout.list_height)
    colours = "NO_COLOR" not in os.environ
    scope = scope_text(project_name())
    lines = frame(page, layout, scope=scope, colours=colours, text=settled(text))
    with held_messages(), taken_screen(lines):
        # Loaded behind the first frame.
        from cli.browse.app import BrowseApp
        from cli.runtime.open_index import read_index

        async def work(index: "ThreadIndex") -> "BrowseApp":
            app = BrowseApp(here, index, pick=pick, text=text, own_keys=own_keys, page=page)
            await app.run_async()
            if app.failure is not None:
                raise app.failure
            return app

        app: Any = read_index(here, work)
    if app.return_code:
        raise SystemExit(app.return_code)
    picked: Picked | None = app.return_value
    return picked
