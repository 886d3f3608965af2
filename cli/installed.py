"""How this program was installed, and what adds a package to it. Standard library only."""

import importlib.util
import shlex
import sys
from pathlib import Path


def installed_with() -> str:
    """``pipx``, ``uv`` or ``pip``."""
    if (Path(sys.prefix) / "pipx_metadata.json").exists():
        return "pipx"
    if (Path(sys.prefix) / "uv-receipt.toml").exists() or importlib.util.find_spec("pip") is None:
        return "uv"
    return "pip"


def adding(package: str) -> str:
    """The command that installs a package where this program finds it."""
    tool = installed_with()
    if tool == "pipx":
        return f"pipx inject {shlex.quote(Path(sys.prefix).name)} {package}"
    python = shlex.quote(sys.executable)
    if tool == "uv":
        return f"uv pip install --python {python} {package}"
    return f"{python} -m pip install {package}"
