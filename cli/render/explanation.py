"""An explanation as JSON."""

from dataclasses import asdict
from typing import Any

from state.explain.explain import Explanation


def document(found: Explanation) -> dict[str, Any]:
    """An explanation as JSON."""
    return {
        "version": 1,
        "verdict": found.verdict,
        "threadId": found.thread_id,
        "path": found.path,
        "listed": found.listed,
        "listedInCodex": found.listed_in_codex,
        "reasons": [asdict(reason) for reason in found.reasons],
    }
