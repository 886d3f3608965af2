"""All checks in turn: lint, format, types, tests. ``python -m tests.check [OPTION OF PYTEST]...``

Each runs though one before it failed; what failed is named at the end, and the status is 1 then.
"""

import os
import subprocess
import sys

from tests import ROOT


def main(options: list[str]) -> int:
    """Run the checks, with ``options`` for pytest; 1 if one failed."""
    checks = {
        "ruff check": ["ruff", "check", "."],
        "ruff format --check": ["ruff", "format", "--check", "."],
        "mypy": ["mypy"],
        "pytest": ["pytest", "-q", "-n", "auto", *options],
    }
    # Each process would compile anew what those before it have.
    environment = {**os.environ}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    failed = []
    for name, command in checks.items():
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, "-m", *command], cwd=ROOT, env=environment).returncode:
            failed.append(name)
    print(f"Failed: {', '.join(failed)}" if failed else "All checks passed.")
    return int(bool(failed))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
