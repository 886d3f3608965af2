"""What can go wrong when threads are shown or written."""

from pathlib import Path

from state.errors import StateError


class RedactorMissing(StateError):
    """``--redact`` needs a library that is not installed."""

    def __init__(self) -> None:
        super().__init__("--redact needs detect-secrets, which is not installed")


class NoRegularFile(StateError):
    """What is to be written over is no file: ``what`` is there."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path} is {what}, which no file is put in the place of")
