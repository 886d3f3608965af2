"""What can go wrong when threads are shown or written."""

from state.errors import StateError


class RedactorMissing(StateError):
    """``--redact`` needs a library that is not installed."""

    def __init__(self) -> None:
        super().__init__("--redact needs detect-secrets, which is not installed")
