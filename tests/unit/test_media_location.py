"""A member of a tar is read in place: the same bytes, the same probe, the same frames as the file it was made of."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from curation.errors import MediaError
from curation.media.container import check_file
from curation.media.location import locate, member_path, open_bytes
from curation.media.probe import content_id, probe
from curation.media.sandbox import Sandbox
from tests.mediamaker import make_video


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], list[str]]:
    """Three videos, and the places of their copies in one tar."""
    folder = tmp_path_factory.mktemp("packed")
    files = [make_video(folder / f"v{i}{end}", seconds=1.5, seed=i) for i, end in enumerate((".mp4", ".mkv", ".mov"))]
    with tarfile.open(folder / "set é.tar", "w") as tar:
        for file in files:
            tar.add(file, f"deep/../{file.name}")
    with tarfile.open(folder / "set é.tar") as tar:
        places = [member_path(os.fsencode(folder / "set é.tar"), m.offset_data, m.size, m.name.encode()) for m in tar]
    return files, [os.fsdecode(place) for place in places]


def test_bytes_probe_and_content_are_those_of_the_file(packed: tuple[list[Path], list[str]]) -> None:
    for file, place in zip(*packed):
        with open_bytes(place) as member:
            assert member.read() == file.read_bytes()
            member.seek(-10, os.SEEK_END)
            assert member.read() == file.read_bytes()[-10:] and member.read() == b""
        assert content_id(place) == content_id(file)
        assert probe(place) == probe(file) | {"mtime_ns": Path(locate(place).file).stat().st_mtime_ns}


def test_workers_cut_what_lies_in_a_tar(packed: tuple[list[Path], list[str]], tmp_path: Path) -> None:
    """Also after seeking, and from a format that is opened a second time."""
    jobs = [
        {"path": path, "start_s": 0.5, "end_s": 1.2, "out": str(tmp_path / f"{k}.png"), "_k": k}
        for k, path in enumerate([*map(str, packed[0]), *packed[1]])
    ]
    with Sandbox(2) as sandbox:
        assert all(outcome.error is None for outcome in sandbox.imap("strip", jobs))
    drawn = [(tmp_path / f"{k}.png").read_bytes() for k in range(6)]
    assert drawn[:3] == drawn[3:]


def test_the_place_of_a_member_is_no_path_of_a_file(packed: tuple[list[Path], list[str]], tmp_path: Path) -> None:
    folder = tmp_path / "x" / "@1+2"
    folder.mkdir(parents=True)
    (folder / "clip.mp4").write_bytes(b"a real file")
    assert locate(folder / "clip.mp4").size is None
    with open_bytes(folder / "clip.mp4") as file:
        assert file.read() == b"a real file"
    assert locate(packed[1][0]).size == packed[0][0].stat().st_size


@pytest.mark.parametrize("name", [b"a/../../../etc/passwd", b"..", b"", b"x\0y", b"dir/"])
def test_a_members_name_never_leads_elsewhere(name: bytes, tmp_path: Path) -> None:
    (tmp_path / "t.tar").write_bytes(b"0123456789")
    place = os.fsdecode(member_path(os.fsencode(tmp_path / "t.tar"), 2, 3, name))
    assert locate(place).file == str(tmp_path / "t.tar")
    with open_bytes(place) as member:
        assert member.read() == b"234"


def test_a_member_beyond_the_end_or_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.tar").write_bytes(b"0123456789")
    for start, size, code in ((8, 5, "truncated_tar"), (4, 0, "empty_file")):
        with pytest.raises(MediaError) as caught:
            check_file(os.fsdecode(member_path(os.fsencode(tmp_path / "t.tar"), start, size, b"a.mp4")))
        assert caught.value.code == code and "a.mp4" in caught.value.message


def test_a_file_that_grows_or_goes_while_it_is_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = make_video(tmp_path / "a.mp4", seconds=1.0)
    real = content_id

    def grown(path: Path, *, full: bool = False) -> str:
        with path.open("ab") as handle:
            handle.write(b"more")
        return real(path, full=full)

    def gone(path: Path, *, full: bool = False) -> str:
        path.unlink()
        return real(path, full=full)

    for meanwhile, code in ((grown, "changed"), (gone, "missing")):
        monkeypatch.setattr("curation.media.probe.content_id", meanwhile)
        with pytest.raises(MediaError) as caught:
            probe(file)
        assert caught.value.code == code
