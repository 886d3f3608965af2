"""How this program was installed. Standard library only."""

import importlib.util
import sys
from pathlib import Path


def installed_with() -> str:
    """``pipx``, ``uv`` or ``pip``."""
    if (Path(sys.prefix) / "pipx_metadata.json").exists():
        return "pipx"
    if (Path(sys.prefix) / "uv-receipt.toml").exists() or importlib.util.find_spec("pip") is None:
        return "uv"
    return "pip"
