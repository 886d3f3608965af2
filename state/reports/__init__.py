"""Statistics, disk usage and SQL."""

from typing import Final

DIMENSIONS: Final = (
    *("day", "week", "month", "hour"),
    *("project", "model", "provider", "effort", "source", "branch", "thread"),
)
"""What the use of tokens is counted by."""
OF_FLEET: Final = ("machine", "user")
"""The same where threads are on many machines: by those, and by their users."""
