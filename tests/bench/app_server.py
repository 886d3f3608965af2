"""An app-server over pipes, Codex's or ours."""

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.bench.measure import Cost, cpu_of, environment, peak_mb

_PATIENCE_S: Final = 10


class Server:
    """A running ``app-server``, which was not asked anything yet."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        self._began = time.perf_counter()
        self._process = subprocess.Popen(
            command,
            env=environment() if env is None else env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        assert self._process.stdin
        assert self._process.stdout
        self._into, self._from = self._process.stdin, self._process.stdout
        self._number = 0

    def begin(self, method: str, params: Mapping[str, Any]) -> None:
        """Ask, and do not wait for the answer."""
        self._number += 1
        request = {"id": self._number, "method": method, "params": params}
        self._into.write(json.dumps(request).encode() + b"\n")

    def answer(self) -> Any:
        """The result of the last request."""
        mark = b'"id":%d,' % self._number
        pieces: list[bytes] = []
        while True:
            pieces.append(self._from.read(2**20) or b"")
            if not pieces[-1]:
                raise RuntimeError("the server ended before it answered")
            if not pieces[-1].endswith(b"\n"):
                continue
            for answer in b"".join(pieces).splitlines():
                if mark in answer[:64]:
                    return json.loads(answer)["result"]
            pieces.clear()  # notifications

    def ask(self, method: str, params: Mapping[str, Any]) -> tuple[float, Any]:
        """How long an answer took, in seconds, and its result."""
        began = time.perf_counter()
        self.begin(method, params)
        result = self.answer()
        return time.perf_counter() - began, result

    def initialize(self, *, wait: bool = True) -> None:
        """Say hello, as a client must."""
        hello = {"clientInfo": {"name": "bench", "version": "1"}}
        self.begin("initialize", {**hello, "capabilities": {"experimentalApi": True}})
        if wait:
            self.answer()

    def so_far(self) -> Cost:
        """What it cost since it was started."""
        passed = time.perf_counter() - self._began
        pid = self._process.pid
        return Cost(passed, cpu_of(pid), peak_mb(pid))

    def end(self) -> Cost:
        """End its input, wait for a while, and say what it cost before."""
        cost = self.so_far()
        self._into.close()
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._from.close()
        return cost
