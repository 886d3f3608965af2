"""What the files take: every sum adds up, and images are found wherever they lie."""

import asyncio
import base64
import os
import re
from pathlib import Path

import pytest
import zstandard

from rollout.metadata.image_share import ImageShare, image_shares
from state.reports.disk import DIMENSIONS, NO_THREAD, DiskUsage, disk_usage
from state.thread_index import open_index
from tests.samples.homes import encoded, event, lines, thread_id, write
from tests.support.command import Inside
from tests.support.terminal import on_terminal

STAMP = "2026-05-28T20:00:00.000Z"
CHUNK = 2**20


def used(home: Path, index: Path, *, images: bool = False) -> DiskUsage:
    async def work() -> DiskUsage:
        async with open_index(home, index) as opened:
            await opened.catch_up()
            return await disk_usage(opened, 10, images=images)

    return asyncio.run(work())


def picture(size: int) -> bytes:
    return b"data:image/png;base64," + b"A" * (size - 22)


@pytest.fixture
def full_home(home: Path) -> Path:
    for number in range(6):
        write(home, number, archived=number == 5)
    write(home, 3, segment=1)
    write(home, 7, encoded(lines(7, source="exec", cwd="/big")) + b" " * 9000)
    write(home, 8, b"")
    packed = write(home, 9)
    packed.with_name(f"{packed.name}.zst").write_bytes(zstandard.compress(packed.read_bytes()))
    packed.unlink()
    (home / "sessions" / "notes.txt").write_text("some notes")
    return home


def test_every_table_adds_up_to_what_lies_on_the_disk(full_home: Path, index_path: Path) -> None:
    files = [path for path in full_home.rglob("*") if path.is_file()]
    total = sum(path.stat().st_size for path in files)
    found = used(full_home, index_path)
    assert (found.total.bytes, found.total.files) == (total, len(files))
    assert tuple(found.by) == DIMENSIONS
    for groups in found.by.values():
        assert sum(amount.bytes for amount in groups.values()) == total
        assert sum(amount.files for amount in groups.values()) == len(files)
        sizes = [amount.bytes for amount in groups.values()]
        assert sizes == sorted(sizes, reverse=True)
    assert found.by["form"]["compressed"].files == 1
    assert found.by["place"]["archived"].files == 1
    assert found.by["bucket"]["segment"].files == 1
    assert found.by["project"][NO_THREAD].files == 2
    assert found.by["source"]["exec"].bytes > 9000
    assert found.by["model"]["gpt-5"].files == len(files) - 2
    assert found.by["provider"]["openai"].files == len(files) - 2
    assert found.threads == 8
    assert found.biggest[0].row["id"] == thread_id(7)
    assert {one.row["id"]: one.amount.files for one in found.biggest}[thread_id(3)] == 2


def test_two_spellings_of_a_folder_are_one_project(home: Path, index_path: Path) -> None:
    for number, cwd in enumerate(("/a", "/a/.", "")):
        write(home, number, encoded(lines(number, cwd=cwd)[:1]))
    projects = used(home, index_path).by["project"]
    assert {name: amount.files for name, amount in projects.items()} == {"a": 2, "": 1}


def test_a_strange_history_mode_is_an_era_of_its_own(home: Path, index_path: Path) -> None:
    write(home, 1, encoded(lines(1, history_mode="woven")))
    assert list(used(home, index_path).by["era"]) == ["unknown"]


def test_an_empty_home_takes_nothing(home: Path, index_path: Path) -> None:
    found = used(home, index_path)
    assert (found.total.files, found.threads, found.biggest) == (0, 0, [])
    assert not any(found.by.values())


def test_images_are_counted_in_every_table_and_pipes_are_left_alone(
    home: Path, index_path: Path
) -> None:
    message = event(STAMP, "user_message", message="look", images=[picture(5000).decode()])
    write(home, 1, encoded([*lines(1), message]))
    write(home, 2)
    os.mkfifo(home / "sessions" / "rollout-pipe.jsonl")
    lost = write(home, 3)
    cut = write(home, 4).with_suffix(".jsonl.zst")
    whole = zstandard.compress((home / lost).read_bytes())
    cut.write_bytes(whole + whole[:20])
    found = used(home, index_path, images=True)
    assert found.images
    for groups in found.by.values():
        assert sum(amount.image_bytes for amount in groups.values()) == 5000
    assert found.total.image_bytes == 5000
    assert {one.row["id"]: one.amount.image_bytes for one in found.biggest}[thread_id(1)] == 5000
    assert found.images.problems == {cut.relative_to(home).as_posix(): "damaged zstd: cut short"}


def test_a_file_counts_for_one_age(full_home: Path, index_path: Path) -> None:
    (path,) = full_home.rglob(f"*{thread_id(7)}.jsonl")
    os.utime(path)
    found = used(full_home, index_path).by["age"]
    assert found["day"].files == 3  # with the notes and the packed one
    assert sum(amount.files for amount in found.values()) == 11


@pytest.mark.parametrize("before", [CHUNK - 400, CHUNK - 105, CHUNK - 30, CHUNK - 3, CHUNK, 7])
@pytest.mark.parametrize("size", [30, 200, 3 * CHUNK])
def test_images_are_found_across_the_chunks_that_are_read(
    before: int, size: int, tmp_path: Path
) -> None:
    content = b"x" * before + b'"' + picture(size) + b'","' + picture(40) + b'" data:image/oops'
    (tmp_path / "f.jsonl").write_bytes(content)
    (share,) = image_shares(str(tmp_path), ["f.jsonl"])
    assert share == ImageShare(len(content), size + 40, 2)


def test_images_in_base64_by_itself_are_found_too(tmp_path: Path) -> None:
    png = base64.b64encode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(300))
    jpeg = base64.b64encode(b"\xff\xd8\xff\xe0" + bytes(300))
    url = b"data:image/png;base64," + png
    content = b'{"result":"%s","text":"{\\"data\\":\\"%s\\"}","url":"%s"}\n' % (png, jpeg, url)
    others = b'{"a":"iVBORw0KGgo","b":"/9j/ is how it begins, which words only tell of, at length"}'
    (tmp_path / "f.jsonl").write_bytes(content + others)
    for buffer in (130, 500, 1000, CHUNK):
        (share,) = image_shares(str(tmp_path), ["f.jsonl"], buffer)
        assert share[1:] == (len(png) + len(jpeg) + len(url), 3, None)


def test_a_torn_line_ends_an_image(tmp_path: Path) -> None:
    (tmp_path / "f.jsonl").write_bytes(b'{"x":"' + picture(300) + b'\n{"type":"next"}\n')
    (share,) = image_shares(str(tmp_path), ["f.jsonl"])
    assert share[1:] == (300, 1, None)


def test_images_of_compressed_damaged_and_lost_files(tmp_path: Path) -> None:
    content = os.urandom(500_000).hex().encode() + picture(100_000)
    whole = zstandard.compress(content)
    (tmp_path / "a.jsonl.zst").write_bytes(whole)
    (tmp_path / "b.jsonl.zst").write_bytes(whole[: len(whole) // 2])
    good, cut, lost = image_shares(str(tmp_path), ["a.jsonl.zst", "b.jsonl.zst", "c.jsonl"])
    assert good == ImageShare(len(content), 100_000, 1)
    assert 0 < cut.content_bytes < len(content)
    assert cut.problem == "damaged zstd: cut short"
    assert lost == ImageShare(0, 0, 0, "cannot be read: No such file or directory")


def test_the_command_tells_totals_tables_and_the_biggest(tmp_path: Path) -> None:
    home = tmp_path / "home"
    message = event(STAMP, "user_message", message="look", images=[picture(5000).decode()])
    write(home, 1, encoded([*lines(1), message]))
    for number in range(2, 9):
        write(home, number, encoded(lines(number, cwd=f"/p{number}")))
    cli = Inside(home, tmp_path)
    ran = cli.run("du", "--limit", "3", "--images")
    assert "in 8 files of 8 threads" in ran.lines[0]
    assert "of it images (5.0kB)" in ran.lines[1]
    assert any("… 5 more" in line for line in ran.lines)
    assert thread_id(1) in ran.out
    told = cli.run("du", "--by", "project", "--limit", "3", "--json").json
    assert list(told["by"]) == ["project"]
    table = told["by"]["project"]
    assert table["others"]["count"] == 5
    rows = [*table["groups"], table["others"]]
    assert sum(row["bytes"] for row in rows) == told["bytes"]
    assert [told["imageBytes"], told["contentBytes"]] == [None, None]
    assert told["biggest"][0]["id"] == thread_id(1)
    shown = on_terminal(cli, "du", columns=60, lines=20)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert len(plain) < 20
    assert max(map(len, plain)) <= 60
    heads = [line.split()[-1] for line in plain if "size" in line]
    assert heads == ["project", "change", "id"]
    assert thread_id(1)[:8] in shown
    assert thread_id(1) not in shown
    ran = cli.run("du", "--by", "colour", status=2)
    assert "project, source, age" in ran.err
