"""How much of a file is images: what counts, wherever the buffer ends."""

import base64
import os
from pathlib import Path

import pytest

from rollout.images import ImageShare, image_buffer, image_share

from .rollouts import RolloutLine, content, event, meta, response, user, write_rollout

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + os.urandom(3000)).decode()
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0" + os.urandom(300)).decode()
URL = f"data:image/png;base64,{PNG}"


def share(tmp_path: Path, *lines: RolloutLine, size: int = 0, suffix: str = "") -> ImageShare:
    path = write_rollout(tmp_path, content(*lines), f"rollout-x.jsonl{suffix}")
    return image_share(tmp_path / path, bytearray(size) if size else image_buffer())


@pytest.mark.parametrize("size", [129, 200, 1000, 3001, 4096])
@pytest.mark.parametrize("suffix", ["", ".zst"])
def test_images_count_wherever_the_buffer_ends(tmp_path: Path, size: int, suffix: str) -> None:
    lines: list[RolloutLine] = [
        meta(),
        user("look", images=[URL, URL]),
        response("data:image/ is no image, nor is /9j/"),
        event("image_generation_end", call_id="1", status="completed", result=PNG),
        response(f'{{"type":"image","data":"{JPEG}"}}'),
    ]
    found = share(tmp_path, *lines, size=size, suffix=suffix)
    images = 2 * len(URL) + len(PNG) + len(JPEG)
    assert found == ImageShare(len(content(*lines)), 4, images, None)


@pytest.mark.parametrize(
    "text",
    [
        "data:image/svg+xml;utf8,<svg></svg>",
        "data:text/plain;base64," + PNG[:90].replace("iVBORw0KGgo", "aGVsbG8gaGVs"),
        "/9j/ is how base64 of JPEG begins, and this only says so in a long sentence of words",
        "iVBORw0KGgo",
        "data:image/png;base64",
    ],
)
def test_what_is_no_image(tmp_path: Path, text: str) -> None:
    assert share(tmp_path, meta(), response(text)).images == 0


def test_a_torn_line_ends_an_image(tmp_path: Path) -> None:
    torn = content(user("x", images=[URL]))[:-300]
    (tmp_path / "rollout-x.jsonl").write_bytes(torn + b"\n" + content(user("y")))
    found = image_share(tmp_path / "rollout-x.jsonl", image_buffer())
    assert found.image_bytes == len(torn) - torn.index(b"data:image")


def test_what_a_damaged_file_gave_counts(tmp_path: Path) -> None:
    path = tmp_path / write_rollout(
        tmp_path, content(user("x", images=[URL])), "rollout-x.jsonl.zst"
    )
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    found = image_share(path, image_buffer())
    assert found.images == 1
    assert found.problem == "damaged zstd: cut short"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    found = image_share(tmp_path / "nowhere.jsonl", image_buffer())
    assert found == ImageShare(0, 0, 0, "cannot be read: No such file or directory")
