"""Keys are pressed without long waits."""

from textual import _wait

# Textual presses a key and then waits, twice, until its process has rested for 20 ms: a second for
# twelve letters. A quarter of that tells as well that nothing is done any more.
_wait.SLEEP_GRANULARITY = 1 / 200
_wait.SLEEP_IDLE = _wait.SLEEP_GRANULARITY / 20
