"""The configuration of a home that the rows of threads depend on."""

from pathlib import Path
from typing import Final

from rollout.files.stamp import FileStamp

DEFAULT_PROVIDER: Final = "openai"
"""What Codex uses when ``config.toml`` names no ``model_provider``."""


def home_inputs(home: Path) -> str:
    """The identity of the files, besides rollouts, that rows depend on. While it stays the same,
    so do the names and the default provider."""
    parts = []
    for name in ("session_index.jsonl", "config.toml"):
        try:
            parts.append(str(FileStamp.of((home / name).stat())))
        except OSError:
            parts.append("-")
    return " ".join(parts)


def default_provider(home: Path) -> str:
    """The provider of a thread that names none: ``model_provider`` in ``config.toml``."""
    import tomllib

    try:
        with (home / "config.toml").open("rb") as file:
            provider = tomllib.load(file).get("model_provider")
    except (OSError, ValueError, RecursionError):  # the last for thousands of brackets
        return DEFAULT_PROVIDER
    return provider if isinstance(provider, str) and provider else DEFAULT_PROVIDER
