"""An explanation as JSON."""

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
        "reasons": [
            {
                "code": reason.code,
                "where": reason.where,
                "hides": reason.hides,
                "evidence": reason.evidence,
                "path": reason.path,
                "offset": reason.offset,
                "mend": reason.mend,
            }
            for reason in found.reasons
        ],
    }
