"""Checks of Codex's database, for the tests of them."""

import asyncio
from collections import Counter
from pathlib import Path

from state.checks.findings import Finding
from state.codex.check import CodexCheck, check_codex
from state.thread_index import open_index

ARCHIVED = "01a1d639-8b8a-7212-aaa1-899e2340b2f2"
COMPRESSED = "01a0f755-f3b1-74e1-8403-837e20a2c2a8"
PLAIN = "01a1cfc0-26a7-78c0-8044-08e9dd6e19a1"
GENUINE = Counter({"codex_name_differs": 6, "codex_cannot_have": 1})
"""A backfill loses the names of paginated threads, and has no threads of the first versions."""


def check(home: Path, index: Path, database: Path) -> tuple[CodexCheck, list[Finding]]:
    """Compare; the index is brought in step first."""
    found: list[Finding] = []

    async def work() -> CodexCheck:
        async with open_index(home, index) as opened:
            await opened.catch_up()
            return await check_codex(opened, database, found.append)

    return asyncio.run(work()), found


def codes(found: list[Finding]) -> Counter[str]:
    return Counter(finding.kind.code for finding in found)


def added(found: list[Finding]) -> list[Finding]:
    """The findings that the genuine database does not have."""
    return [finding for finding in found if finding.kind.code not in GENUINE]


def path_of(home: Path, thread: str) -> str:
    """The newest file of a thread of the corpus, absolute."""
    return str(max(home.resolve().rglob(f"rollout-*{thread}*"), key=lambda path: path.name))
