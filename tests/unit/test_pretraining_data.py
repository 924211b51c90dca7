"""Labelled data in their layouts, answers of a workspace's own clips, and decoding into tiny clips."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.errors import Cancelled, InputError, SettingError
from curation.pretraining import decoding
from curation.pretraining.answers import read_answers
from curation.pretraining.dataset import TinyFormat, empty, open_clips, tiny_sound
from curation.pretraining.decoding import Span, decode, failures_of
from curation.pretraining.labelled import LEARN, READERS, TEST, read
from curation.progress import Progress
from tests.mediamaker import make_video
from tests.workspacemaker import make_workspace


def touch(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")


def write_csv(file: Path, rows: list[dict[str, object]]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return file


def test_a_folder_a_class(tmp_path: Path) -> None:
    touch(tmp_path / "cat" / "a.mp4", tmp_path / "dog" / "b.wav", tmp_path / "dog" / "notes.txt")
    found = read("folder", tmp_path)
    assert found.classes == ("cat", "dog") and found.label.tolist() == [0, 1] and found.part.tolist() == [0, 0]
    split = tmp_path / "split"
    touch(split / "train" / "cat" / "a.mp4", split / "train" / "dog" / "b.mp4", split / "val" / "dog" / "c.mp4")
    assert read("folder", split).part.tolist() == [LEARN, LEARN, TEST]


def test_a_table(tmp_path: Path) -> None:
    rows = [
        {"path": "a.mp4", "label": "x", "split": "train", "source": "s", "start_s": 1, "end_s": 2.5},
        {"path": str(tmp_path / "b.mp4"), "label": "y", "split": "test", "source": "t", "start_s": "", "end_s": ""},
    ]
    found = read("table", write_csv(tmp_path / "t.csv", rows))
    assert found.spans[0] == Span(str(tmp_path / "a.mp4"), 1.0, 2.5) and math.isnan(found.spans[1].end_s)
    assert found.part.tolist() == [LEARN, TEST] and found.source == ["s", "t"]
    with pytest.raises(InputError, match="no column label"):
        read("table", write_csv(tmp_path / "u.csv", [{"path": "a"}]))


def test_sources_on_both_sides_of_a_given_split_are_found(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("path,label,split,source\na.wav,x,train,1\nb.wav,y,train,2\nc.wav,x,test,1\nd.wav,y,test,3\n")
    found = read("table", file)
    assert found.sources_said and found.on_both_sides == ["1"]
    assert found.of_sources(["1"]).tolist() == [True, False, True, False]
    file.write_text("path,label,split\na.wav,x,train\nb/a.wav,y,test\nb.wav,y,train\nb.wav,x,test\n")
    found = read("table", file)
    assert not found.sources_said, "files of one name in two folders are two files"
    assert found.on_both_sides == [str(tmp_path / "b.wav")]


def test_rows_without_a_label_are_left_out_and_counted(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("path,label\na.wav,x\nb.wav,\n,y\nc.wav, \nd.wav,y\n")
    found = read("table", file)
    assert found.classes == ("x", "y") and len(found.spans) == 2 and found.left_out == 3
    pq.write_table(pa.table({"path": ["a", "b", "c"], "label": [1.0, math.nan, 2.0]}), tmp_path / "t.parquet")
    found = read("table", tmp_path / "t.parquet")
    assert found.classes == ("1.0", "2.0") and found.left_out == 1


def test_ucf101(tmp_path: Path) -> None:
    for name in ("Archery_g01_c01", "Archery_g08_c02", "Bowling_g02_c01"):
        touch(tmp_path / "UCF-101" / name.split("_")[0] / f"v_{name}.avi")
    lists = tmp_path / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "trainlist01.txt").write_text("Archery/v_Archery_g08_c02.avi 1\nBowling/v_Bowling_g02_c01.avi 2\n")
    (lists / "testlist01.txt").write_text("Archery/v_Archery_g01_c01.avi\n")
    found = read("ucf101", tmp_path)
    assert found.classes == ("Archery", "Bowling") and found.part.tolist() == [TEST, LEARN, LEARN]
    assert found.source == ["Archery g01", "Archery g08", "Bowling g02"]
    with pytest.raises(InputError, match="no trainlist02"):
        read("ucf101", tmp_path, fold=2)


def test_esc50(tmp_path: Path) -> None:
    rows = [
        {"filename": f"{fold}-{i}-A-0.wav", "fold": fold, "target": i % 2, "category": ("dog", "rain")[i % 2],
         "esc10": "True", "src_file": 100 + i, "take": "A"}
        for fold in (1, 2)
        for i in range(3)
    ]  # fmt: skip
    write_csv(tmp_path / "meta" / "esc50.csv", rows)
    found = read("esc50", tmp_path, fold=2)
    assert found.part.tolist() == [LEARN] * 3 + [TEST] * 3 and found.classes == ("dog", "rain")
    assert found.spans[0].path == str(tmp_path / "audio" / "1-0-A-0.wav") and found.source[0] == "100"


def test_kinetics_sounds(tmp_path: Path) -> None:
    ids = ["abcdefghijk", "-_cdefghijk", "zbcdefghijk"]
    touch(tmp_path / "v" / f"{ids[0]}_000010_000020.mp4", tmp_path / "v" / f"{ids[1]}.mp4")
    row = {"label": "bowling", "youtube_id": ids[0], "time_start": 10, "time_end": 20, "split": "train"}
    rows = [row, row | {"label": "singing", "youtube_id": ids[1], "time_start": 3, "time_end": 13, "split": "validate"}]
    write_csv(tmp_path / "kinetics_sounds.csv", [*rows, row | {"youtube_id": ids[2]}])
    found = read("kinetics-sounds", tmp_path)
    assert len(found.spans) == 2, "a video that is not there is left out"
    assert math.isnan(found.spans[0].end_s) and found.spans[1] == Span(str(tmp_path / "v" / f"{ids[1]}.mp4"), 3.0, 13.0)
    assert found.part.tolist() == [LEARN, TEST]


@pytest.mark.parametrize("kind", READERS)
def test_what_holds_nothing_is_refused_with_its_layout(kind: str, tmp_path: Path) -> None:
    place = tmp_path / "empty.csv" if kind == "table" else tmp_path
    if kind == "table":
        place.write_text("path,label\n")
    with pytest.raises(InputError) as raised:
        read(kind, place)
    assert raised.value.hint
    with pytest.raises(InputError, match="no reader 'other'"):
        read("other", tmp_path)
    with pytest.raises(InputError, match="There is no"):
        read(kind, tmp_path / "gone")


def test_labels_that_have_nothing_in_common_are_refused(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws", upto="cluster")
    names = [path.rpartition("/")[2] for path in workspace.table("clips", ["path"])["path"].to_pylist()]
    file = tmp_path / "t.csv"
    file.write_text("path,seen,heard\n" + "".join(f"{name},Dog{i % 2},dog{i % 2}\n" for i, name in enumerate(names)))
    with pytest.raises(InputError, match=r"labels do not match: no class is both in seen \(Dog0, Dog1\) and in heard"):
        read_answers(workspace, file, picture_label="seen", sound_label="heard")
    assert read_answers(workspace, file, picture_label="seen").classes == ("Dog0", "Dog1")


def test_answers_come_from_a_table_or_from_joined_columns(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws", n_clips=12, upto="clips")
    paths = workspace.table("clips", ["path"])["path"].to_pylist()
    rows = [
        {"file": path.rpartition("/")[2], "seen": "ab"[i % 2], "heard": "abb"[i % 3], "images": f"{i} {i + 1}"}
        for i, path in enumerate(paths[:-1])
    ]
    file = write_csv(tmp_path / "truth.csv", rows)
    options = {"key": "file", "picture_label": "seen", "sound_label": "heard"}
    found = read_answers(workspace, file, **options, picture_source="images@seen")
    assert found.classes == ("a", "b") and found.picture_label.tolist()[:3] == [0, 1, 0]
    assert found.picture_label[-1] == -1 and not found.right[-1]
    assert found.picture_source[1] == ["b 1", "b 2"] and found.sound_source[1] == found.picture_source[-1][:0] + [
        workspace.table("clips", ["source"])["source"].to_pylist()[1]
    ]
    assert found.right.tolist() == ((found.picture_label == found.sound_label) & (found.picture_label >= 0)).tolist()
    assert found.of(np.array([2, 1])).picture_label.tolist() == [0, 1]
    joined = read_answers(workspace, picture_label="truth_match")
    assert joined.classes == ("False", "True") and joined.right is None
    with pytest.raises(InputError, match="no column colour"):
        read_answers(workspace, file, key="file", picture_label="colour")
    with pytest.raises(InputError, match="no column colour"):
        read_answers(workspace, picture_label="colour")
    with pytest.raises(InputError, match="names a file twice"):
        read_answers(workspace, write_csv(tmp_path / "t.csv", [rows[0], rows[0]]), **options)
    with pytest.raises(InputError, match="No clip of the workspace has a row"):
        read_answers(workspace, write_csv(tmp_path / "u.csv", [rows[0] | {"file": "other.mp4"}]), **options)


# -- decoding ----------------------------------------------------------------------------------------------------------

FORM = TinyFormat(frames=2, size_px=16, sound_frames=24)


class Cancel:
    """Cancels after some clips."""

    def __init__(self, after: int) -> None:
        self.after, self.done = after, 0

    def update(self, state: dict, *, force: bool) -> None:
        self.done = state["done"]

    def cancelled(self) -> bool:
        return self.done >= self.after


def test_files_become_tiny_clips_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "PART", 2)
    files = [tmp_path / f"{i}.mp4" for i in range(2)]
    for i, file in enumerate(files):
        make_video(file, seconds=1.5, seed=i, size=(64, 48), hz=300.0 * (i + 1))
    make_video(tmp_path / "mute.mp4", seconds=1.0, size=(48, 64), sound=None)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    spans = [Span(str(files[1]), 0.7, 1.4), Span(str(tmp_path / "broken.mp4"), 0, 1), Span(str(files[0])),
             Span(str(tmp_path / "mute.mp4"), 0, 1), Span(str(files[1]), 0.0, 0.5)]  # fmt: skip
    clock = iter(range(100_000))  # every look at the sinks counts
    with pytest.raises(Cancelled):
        decode(spans, FORM, tmp_path / "cache", Progress(Cancel(2), clock=lambda: float(next(clock))), workers=1)
    clips = decode(spans, FORM, tmp_path / "cache", Progress(), workers=1)
    assert clips.flags.tolist() == [[1, 1], [0, 0], [1, 1], [1, 0], [1, 1]]
    assert clips.frames.shape == (5, 2, 16, 16, 3) and clips.frames[[0, 2, 3, 4]].any(axis=(1, 2, 3, 4)).all()
    assert not clips.sound[3].any() and not np.array_equal(clips.frames[0], clips.frames[4])
    assert clips.sound[0].argmax(axis=1).mean() > clips.sound[2].argmax(axis=1).mean(), "the higher tone"
    (folder,) = (tmp_path / "cache").iterdir()
    assert sum(failures_of(folder).values()) == 1, "also what failed before the break"
    assert sorted(p.name for p in folder.iterdir()) == ["clips.json", "flags.npy", "frames.npy", "sound.npy"]
    stamp = (folder / "frames.npy").stat().st_mtime_ns
    again = decode(spans, FORM, tmp_path / "cache", Progress(), workers=1)
    assert np.array_equal(again.frames, clips.frames) and (folder / "frames.npy").stat().st_mtime_ns == stamp
    assert open_clips(tmp_path) is None


def test_only_so_many_folders_of_tiny_clips_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "KEPT", 1)
    make_video(tmp_path / "a.mp4", seconds=0.5, size=(32, 32))
    for k in range(2):
        decode([Span(str(tmp_path / "a.mp4"), 0, 0.3 + k / 100)], FORM, tmp_path / "cache", Progress(), workers=1)
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_formats_are_bounded() -> None:
    with pytest.raises(SettingError, match="size_px=4 is out of range"):
        TinyFormat(size_px=4)
    with pytest.raises(InputError, match="more than the 16 GiB"):
        FORM.check_room(10**8)
    assert TinyFormat.for_clips_of(10.0).sound_pool == 10 and TinyFormat.for_clips_of(0.5).sound_pool == 1
    with pytest.raises(InputError, match="do not fit their format"):
        type(empty(1, FORM))(FORM, np.zeros((1, 2, 15, 16, 3), np.uint8), empty(1, FORM).sound, empty(1, FORM).flags)


def test_a_short_sound_comes_over_again_and_of_a_long_one_the_middle() -> None:
    rate, form = 16_000, TinyFormat(sound_frames=40)
    loud_middle = np.zeros(rate * 2)
    loud_middle[rate - 1000 : rate + 1000] = 0.5
    long = tiny_sound(loud_middle, form).astype(float).mean(axis=1)
    assert 12 <= long.argmax() <= 28
    short = tiny_sound(np.random.default_rng(0).normal(0, 0.1, 400 + 160 * 9), form)
    assert np.array_equal(short[:10], short[10:20]) and np.array_equal(short[:10], short[30:])
    assert tiny_sound(np.zeros(1), form).shape == (40, 64)
