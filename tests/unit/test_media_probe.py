"""probe: true facts about good files, a code for every kind of bad one."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from curation.errors import MediaError
from curation.media.pictures import jpeg_bytes, png_bytes
from curation.media.probe import MEBIBYTE, content_id, probe
from tests.mediamaker import make_video


def code_of(path: Path) -> str:
    with pytest.raises(MediaError) as caught:
        probe(path)
    assert path.name.encode("utf-8", "backslashreplace").decode() in caught.value.message
    return caught.value.code


def test_facts_of_a_plain_video(tmp_path: Path) -> None:
    path = make_video(tmp_path / "plain.mp4", seconds=3, fps=12, size=(160, 120))
    record = probe(path)
    assert record["container"] == "mov" and record["size_bytes"] == path.stat().st_size
    assert record["mtime_ns"] == path.stat().st_mtime_ns
    assert record["duration_s"] == pytest.approx(3, abs=0.05) and record["duration_source"] == "header"
    assert (record["has_video"], record["has_audio"]) == (True, True)
    assert (record["n_video_streams"], record["n_audio_streams"]) == (1, 1)
    assert (record["video_codec"], record["audio_codec"]) == ("h264", "aac")
    assert (record["width"], record["height"], record["rotation_deg"]) == (160, 120, 0)
    assert (record["rate_num"], record["rate_den"]) == (12, 1)
    assert (record["sample_rate_hz"], record["channels"]) == (44100, 1)
    assert record["code"] == "" and json.loads(json.dumps(record)) == record


def test_one_stream_only(tmp_path: Path) -> None:
    silent = probe(make_video(tmp_path / "silent.mp4", sound=None))
    assert (silent["has_video"], silent["has_audio"], silent["audio_codec"]) == (True, False, None)
    heard = probe(make_video(tmp_path / "heard.mp4", codec=None))
    assert (heard["has_video"], heard["has_audio"], heard["width"]) == (False, True, None)


def test_codes_of_files_that_are_no_media(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("Only words.\n" * 500)
    (tmp_path / "random.mp4").write_bytes(np.random.default_rng(0).bytes(50000))
    (tmp_path / "zeros.mkv").write_bytes(bytes(65536))
    (tmp_path / "folder.mp4").mkdir()
    picture = np.full((40, 60, 3), 90, np.uint8)
    (tmp_path / "jpeg.mp4").write_bytes(jpeg_bytes(picture))
    (tmp_path / "png.mp4").write_bytes(png_bytes(picture))
    whole = make_video(tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "head.mp4").write_bytes(whole[: len(whole) // 2])  # the index is at the end, and missing
    codes = {path.name: code_of(path) for path in sorted(tmp_path.iterdir()) if path.name != "whole.mp4"}
    assert codes == {
        "empty.mp4": "empty_file",
        "text.mp4": "not_media",
        "random.mp4": "not_media",
        "zeros.mkv": "not_media",
        "folder.mp4": "not_a_file",
        "jpeg.mp4": "still_picture",
        "png.mp4": "still_picture",
        "head.mp4": "unopenable",
    }
    assert code_of(tmp_path / "gone.mp4") == "missing"


def test_pipes_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    assert code_of(tmp_path / "pipe.mp4") == "not_a_file"


def test_cut_off_file_counts_what_is_there(tmp_path: Path) -> None:
    whole = make_video(tmp_path / "whole.mkv", seconds=20, sound="noise")
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 3])
    record = probe(cut)
    assert record["duration_source"] == "packets" and record["duration_s"] < 10
    assert probe(whole)["duration_s"] == pytest.approx(20, abs=0.1)


def test_absurd_header_duration_is_not_believed(tmp_path: Path) -> None:
    path = make_video(tmp_path / "long.mp4", seconds=3)
    data = bytearray(path.read_bytes())
    for box, offset in ((b"mvhd", 20), (b"tkhd", 24), (b"mdhd", 20), (b"tkhd", 24)):
        start = 0
        while (start := data.find(box, start)) >= 0:
            data[start + offset : start + offset + 4] = (0x7FFFFFF0).to_bytes(4, "big")
            start += 4
    path.write_bytes(data)
    assert probe(path)["duration_s"] == pytest.approx(3, abs=0.2)


def test_content_id_depends_on_content_alone(tmp_path: Path) -> None:
    data = bytearray(np.random.default_rng(0).bytes(5 * MEBIBYTE))
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_bytes(data)
    b.write_bytes(data)
    assert content_id(a) == content_id(b) and len(content_id(a)) == 32
    data[1_500_000] ^= 1  # between the first and the middle MiB: only the full hash can see it
    b.write_bytes(data)
    assert content_id(a) == content_id(b) and content_id(a, full=True) != content_id(b, full=True)
    for at in (0, len(data) // 2, len(data) - 1):
        changed = bytearray(data)
        changed[at] ^= 1
        b.write_bytes(changed)
        assert content_id(a) != content_id(b)
    b.write_bytes(data[:-1])
    assert content_id(a) != content_id(b)


def test_small_files_are_hashed_whole(tmp_path: Path) -> None:
    path = tmp_path / "small"
    path.write_bytes(b"x" * 1000)
    assert content_id(path) == content_id(path, full=True)


def test_real_videos_probe_as_listed(shared_data: Path) -> None:
    import csv

    folder = shared_data / "real-videos"
    with (folder / "manifest.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            record = probe(folder / row["file"])
            assert record["has_video"] and record["has_audio"]
            if record["n_video_streams"] == 1:
                assert (record["width"], record["height"]) == (int(row["width"]), int(row["height"])), row["file"]
            assert record["duration_s"] == pytest.approx(float(row["duration"]), abs=0.5), row["file"]
