"""What a client is told first. It need not wait for the rest of the program to be loaded."""

import os
import platform
from pathlib import Path
from typing import Any, Final

from cli import __version__
from cli.server.protocol.params import Initialize

_SPOKEN: Final = "0.171.0"
"""The version of Codex whose protocol this is. It is the newest that was measured: clients read it
to see what they may ask for, and all that this one has for stored threads is here, while what it
took away (an action in ``moderation``) no client can have asked for."""


def initialized(client: Initialize, home: Path) -> dict[str, Any]:
    """The answer to ``initialize``."""
    # Clients read a version of Codex here, and ask accordingly.
    who = f"{client.client_info.name}/{_SPOKEN} ({platform.system()}; {platform.machine()})"
    return {
        "userAgent": f"{who} threadkeep/{__version__}",
        "codexHome": str(home),
        "platformFamily": "windows" if os.name == "nt" else "unix",
        "platformOs": {"Darwin": "macos"}.get(platform.system(), platform.system().lower()),
    }
