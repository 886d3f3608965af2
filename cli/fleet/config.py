"""Which fleet is meant: as given, as the environment says, or as the user's file does."""

import os
import re
import tomllib
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from cli.errors import WrongUsage

VARIABLE: Final = "THREADKEEP_FLEET"
_PASSWORD: Final = re.compile(r"\b(ssl)?password\s*=", re.IGNORECASE)
_IN_URL: Final = re.compile(r"://[^/?#\s]*?:[^/?#\s]+@")
"""Also of a URL that is given as the name of a database."""


def address(given: str | None) -> str:
    """The address of the fleet.

    Raises:
        WrongUsage: none is configured, or it has a password in it.
    """
    found = given or os.environ.get(VARIABLE) or read_config().get("url")
    if not found:
        raise WrongUsage(
            "no fleet is named",
            f"name it: postgresql://USER@HOST/DATABASE; or set {VARIABLE}, or url in {path()}",
        )
    if not isinstance(found, str):
        raise WrongUsage(f"{path()}: url is not a text", "correct or remove it")
    if _has_password(found):
        raise WrongUsage(
            "the address of the fleet has a password in it, which others can see",
            "put it into ~/.pgpass, as HOST:PORT:DATABASE:USER:PASSWORD, and leave it out there",
        )
    return found


def path() -> Path:
    """The user's file."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    folder = Path(base) if os.path.isabs(base) else Path("~/.config").expanduser()
    return folder / "threadkeep" / "fleet.toml"


def expanded(folder: str) -> str:
    """A folder of the user's file, with ``~`` for the user's own."""
    return os.path.expanduser(folder)


def read_config() -> dict[str, Any]:
    """What the user's file says; nothing if there is none."""
    try:
        return tomllib.loads(path().read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise WrongUsage(f"{path()} cannot be used: {error}", "correct or remove it") from None


def _has_password(text: str) -> bool:
    patterns = (_PASSWORD, _IN_URL)
    return any(each.search(form) for each in patterns for form in (text, unquote(text)))
