"""The git facts of a folder, for a thread's first line, without credentials."""

import asyncio
import os
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

_PATIENCE_S: Final = 5.0
_QUESTIONS: Final = {
    "commit_hash": ("rev-parse", "HEAD"),
    "branch": ("symbolic-ref", "--short", "-q", "HEAD"),
    "repository_url": ("config", "--get", "remote.origin.url"),
}


async def git_facts(folder: str | Path) -> dict[str, str] | None:
    """Commit, branch and origin of the repository that ``folder`` is in, if git gives them within
    five seconds; None if there is no repository, no git, or no such folder."""
    place = Path(folder)
    if not any(os.path.exists(above / ".git") for above in (place, *place.parents)):
        return None  # looking is cheaper than starting git
    answers = await asyncio.gather(*(_ask(folder, *words) for words in _QUESTIONS.values()))
    found = {name: answer for name, answer in zip(_QUESTIONS, answers, strict=True) if answer}
    if "repository_url" in found:
        found["repository_url"] = without_credentials(found["repository_url"])
    return found or None


def without_credentials(url: str) -> str:
    """``url`` without user and password. ``git@host:path``, which is no URL, stays as it is: its
    user is no secret."""
    if "://" not in url:
        return url
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return url.rpartition("@")[2] if "@" in url else url
    if "@" not in parts.netloc:
        return url
    if parts.scheme in ("ssh", "git+ssh") and parts.password is None:
        return url  # the address does not work without its login name
    if ":" in host:
        host = f"[{host}]"
    return urlunsplit((parts.scheme, f"{host}{port}", *parts[2:]))


async def _ask(folder: str | Path, *words: str) -> str | None:
    try:
        process = await asyncio.create_subprocess_exec(
            *("git", "--no-optional-locks", "-C", str(folder), *words),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return None
    try:
        async with asyncio.timeout(_PATIENCE_S):
            out, _ = await process.communicate()
    except TimeoutError:
        return None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return out.decode("utf-8", "replace").strip() or None if process.returncode == 0 else None
