"""Homes for benchmarks. Sizes by the environment, so that a quick run is quick:
``BENCH_THREADS`` (2000) and ``BENCH_BIG_MB`` (128)."""

import os
from pathlib import Path

import pytest

from tests.bench.homes import make_home

THREADS = int(os.environ.get("BENCH_THREADS", "2000"))
BIG_MB = int(os.environ.get("BENCH_BIG_MB", "128"))


@pytest.fixture(scope="session")
def many_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many threads of lifelike sizes."""
    return make_home(tmp_path_factory.mktemp("many") / "home", THREADS)
