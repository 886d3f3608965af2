"""New files on file systems that know neither files without a name nor links."""

import errno
import os
from pathlib import Path

import pytest

from rollout.files import atomic
from rollout.files.atomic import atomic_file


def test_a_file_is_made_where_there_are_no_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(atomic, "_UNNAMED", None)
    target = tmp_path / "file"
    with atomic_file(target) as file:
        file.write(b"first")
    with pytest.raises(FileExistsError), atomic_file(target) as file:
        file.write(b"second")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert target.read_bytes() == b"first"
