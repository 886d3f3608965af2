"""Rollouts cut into pieces, and put together again."""

import errno
import os
import resource
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from rollout.pieces import cutting
from rollout.pieces.cutting import cut, staying
from rollout.pieces.joining import JoinedFile, check_expansion, compressed, decompressed
from rollout.pieces.manifest import MOST_BYTES, BadPiece, Manifest, Piece


class Store(dict[Piece, bytes]):
    """Pieces as the other side has them, and how many bytes were sent there."""

    sent = 0

    def push(self, path: Path, known: Manifest | None) -> Manifest:
        """Send what is missing there, and drop what is not needed any more."""
        cutting_ = cut(path, known)
        try:
            while True:
                piece, data = next(cutting_)
                if piece not in self:
                    self[piece] = compressed(data)
                    self.sent += len(data)
        except StopIteration as ended:
            manifest: Manifest = ended.value
        for piece in self.keys() - set(manifest.pieces):
            del self[piece]
        return Manifest.decoded(manifest.size, manifest.mtime_ns, manifest.encoded())

    def pull(self, path: Path, manifest: Manifest) -> int:
        """Make the file at ``path`` the rollout; gives how many bytes were fetched."""
        with JoinedFile(path, manifest) as joined:
            missing = joined.missing
            for piece in missing:
                joined.add(decompressed(piece, self[piece]))
            joined.finish()
        return sum(piece.size for piece in missing)


CHANGES = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 3000)),
    st.tuples(st.just("append"), st.integers(3000, 3 * 4096)),
    st.tuples(st.just("truncate"), st.integers(0, 9000)),
    st.tuples(st.just("rewrite"), st.integers(0, 9000)),
    st.tuples(st.just("scribble"), st.integers(0, 9000)),
    st.tuples(st.just("compress"), st.just(0)),
)


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> int:
    """Megabytes of 4 KB."""
    for module in ("manifest", "cutting", "joining"):
        monkeypatch.setattr(f"rollout.pieces.{module}.MOST_BYTES", 4096)
    return 4096


def change(path: Path, kind: str, number: int, stamp: int) -> None:
    """What Codex, an editor or a broken disk may do to a rollout."""
    data = path.read_bytes()
    text = (b"%d " % stamp) * (number // 2 + 1)
    if kind == "append":
        with path.open("ab") as file:
            file.write(text[:number])
    elif kind == "truncate":
        os.truncate(path, min(number, len(data)))
    elif kind == "scribble" and data:
        with path.open("r+b") as file:
            file.seek(number % len(data))
            file.write(b"%")
    elif kind in ("rewrite", "compress"):
        fresh = path.with_name("fresh")
        fresh.write_bytes(text[:number] if kind == "rewrite" else zstandard.compress(data))
        fresh.replace(path)
    os.utime(path, ns=(stamp * 10**9, stamp * 10**9))


@given(st.lists(st.tuples(CHANGES, st.booleans()), min_size=1, max_size=12))
def test_what_is_put_together_is_the_file(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[tuple[str, int], bool]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for module in ("manifest", "cutting", "joining"):
            patch.setattr(f"rollout.pieces.{module}.MOST_BYTES", 4096)
        folder = tmp_path_factory.mktemp("cut")
        source, target = folder / "source", folder / "target"
        source.write_bytes(b"begin\n")
        store = Store()
        manifest = store.push(source, None)
        for number, ((kind, size), pulls) in enumerate(changes, 1):
            change(source, kind, size, number)
            manifest = store.push(source, manifest)
            assert set(store) == set(manifest.pieces)
            if pulls:
                store.pull(target, manifest)
                assert target.read_bytes() == source.read_bytes()
                assert target.stat().st_mtime_ns == source.stat().st_mtime_ns
        store.pull(target, manifest)
        assert target.read_bytes() == source.read_bytes()
        assert sorted(path.name for path in folder.iterdir()) == ["source", "target"]


def test_an_append_sends_what_was_appended(tmp_path: Path) -> None:
    path = tmp_path / "rollout"
    path.write_bytes(os.urandom(3 * MOST_BYTES + 1000))
    store = Store()
    manifest = store.push(path, None)
    assert [piece.size for piece in manifest.pieces] == [*[MOST_BYTES] * 3, 1000]
    store.sent = 0
    with path.open("ab") as file:
        file.write(b"a line\n")
    grown = store.push(path, manifest)
    assert store.sent == 7
    assert grown.pieces[:-1] == manifest.pieces
    unchanged = store.push(path, grown)
    assert (unchanged, store.sent) == (grown, 7)


def test_small_pieces_become_one_now_and_then(tmp_path: Path, small_pieces: int) -> None:
    path = tmp_path / "rollout"
    path.write_bytes(b"")
    store, manifest, most = Store(), None, 0
    for number in range(500):
        with path.open("ab") as file:
            file.write(b"%63d\n" % number)
        manifest = store.push(path, manifest)
        most = max(most, len(manifest.pieces) - manifest.size // small_pieces)
    assert manifest is not None
    assert most < 40
    assert store.sent < 5 * manifest.size
    assert store.pull(tmp_path / "other", manifest) == manifest.size


@given(st.lists(st.integers(1, 2**18), max_size=60))
def test_pieces_stay_within_their_megabyte(appended: list[int]) -> None:
    sizes: list[int] = []
    for count in appended:
        size = sum(sizes) + count
        sizes = sizes[: staying(sizes, size)]
        while sum(sizes) < size:
            end = sum(sizes)
            sizes.append(min(size, end - end % MOST_BYTES + MOST_BYTES) - end)
        whole = size // MOST_BYTES
        assert sizes[:whole] == [MOST_BYTES] * whole
        assert len(sizes) - whole <= 16 * 6


def test_an_appended_copy_grows_where_it_is(tmp_path: Path, small_pieces: int) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"x" * (2 * small_pieces + 100))
    store = Store()
    manifest = store.push(source, None)
    store.pull(target, manifest)
    inode = target.stat().st_ino
    with source.open("ab") as file:
        file.write(b"y" * 200)
    manifest = store.push(source, manifest)
    assert store.pull(target, manifest) == 200
    with source.open("ab") as file:
        file.write(b"z" * small_pieces)  # the pieces of the last megabyte become one
    manifest = store.push(source, manifest)
    assert store.pull(target, manifest) == small_pieces + 300
    assert target.stat().st_ino == inode
    with target.open("ab") as file:
        file.write(b"torn")  # as after a kill
    assert store.pull(target, manifest) == 0
    assert target.read_bytes() == source.read_bytes()
    with target.open("r+b") as file:
        file.write(b"?")
    assert store.pull(target, manifest) == manifest.size
    assert target.read_bytes() == source.read_bytes()


def test_a_file_that_is_cut_off_meanwhile_is_cut_anew(tmp_path: Path, small_pieces: int) -> None:
    path = tmp_path / "rollout"
    path.write_bytes(os.urandom(5 * small_pieces))
    cutting_ = cut(path, None)
    next(cutting_)
    os.truncate(path, 2 * small_pieces)
    next(cutting_)
    with pytest.raises(StopIteration) as ended:
        next(cutting_)
    short: Manifest = ended.value.value
    assert short.size == 2 * small_pieces
    store = Store()
    assert store.push(path, short).size == 2 * small_pieces
    assert len(store) == 2


def test_no_link_is_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"of another")
    link = tmp_path / "rollout"
    link.symlink_to(secret)
    with pytest.raises(OSError, match="symbolic links") as refused:
        next(cut(link, None))
    assert refused.value.errno == errno.ELOOP
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        next(cut(tmp_path / "pipe", None))
    manifest = Store().push(secret, None)
    with pytest.raises(OSError, match="symbolic links"):
        JoinedFile(link, manifest)
    assert secret.read_bytes() == b"of another"


def test_a_bad_manifest_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rollout"
    path.write_bytes(b"some lines\n")
    manifest = Store().push(path, None)
    data = manifest.encoded()
    assert Manifest.decoded(11, manifest.mtime_ns, data) == manifest
    huge = data[:17] + (2**31).to_bytes(4) + data[21:]
    for size, bad in ((11, data[:-1]), (11, b""), (12, data), (11, b"\x09" + data[1:]), (11, huge)):
        with pytest.raises(BadPiece):
            Manifest.decoded(size, 0, bad)
    empty = data[:17] + bytes(4) + data[21:]
    with pytest.raises(BadPiece):
        Manifest.decoded(0, 0, empty)


def test_a_bad_piece_is_refused() -> None:
    data = b"some lines\n"
    piece, good = Piece.of(data), compressed(data)
    assert decompressed(piece, good) == data
    bomb = compressed(bytes(2**27))
    unknown = zstandard.ZstdCompressor(write_content_size=False).compress(data)
    others = compressed(b"some limes\n"), good[:-1], b"", b"text", bomb, unknown
    for bad in others:
        with pytest.raises(BadPiece):
            decompressed(piece, bad)


def test_a_rollout_of_one_piece_is_no_bomb() -> None:
    check_expansion(10**8, 1)
    check_expansion(10**9, 10**6)
    with pytest.raises(BadPiece, match="expand"):
        check_expansion(10**9, 50)


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, small_pieces: int) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"x" * 10 * small_pieces)
    target.write_bytes(b"another rollout")
    store = Store()
    manifest = store.push(source, None)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 * small_pieces + 5, before[1]))
    try:
        with pytest.raises(OSError, match="large") as full:
            store.pull(target, manifest)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert full.value.errno == errno.EFBIG
    assert target.read_bytes() == b"another rollout"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]


def test_a_grown_file_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rollout"
    path.write_bytes(os.urandom(8 * MOST_BYTES))
    store = Store()
    manifest = store.push(path, None)
    with path.open("ab") as file:
        file.write(b"a line\n")
    read: list[int] = []
    real = cutting._read

    def noted(descriptor: int, start: int, end: int) -> bytes:
        read.append(end - start)
        return real(descriptor, start, end)

    monkeypatch.setattr(cutting, "_read", noted)
    store.push(path, manifest)
    assert read == [7]
