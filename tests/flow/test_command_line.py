"""The main job on the command line, as a user types it: whole, by stages, killed, cancelled, with bad input."""

from __future__ import annotations

import ast
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from curation.pipeline import STAGES
from curation.workspace import Workspace
from tests.mediamaker import make_video

ROOT = Path(__file__).resolve().parents[2]


def curation(*arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "curation", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
    )
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flow") / "my videos"
    for name in ("v0", "v1"):
        (folder / name).mkdir(parents=True)
    for i in range(10):
        make_video(folder / f"v{i % 2}" / f"clip {i}.mp4", seconds=1.2, seed=i, hz=150.0 * (1 + i % 3), size=(64, 48))
    (folder / "broken.mp4").write_bytes(b"\0" * 3000)
    return folder


@pytest.fixture(scope="module")
def done(media: Path) -> Path:
    workspace = media.parent / "ws"
    curation("run", workspace, "--media", media, "--set", "select.budget=0.4", "--set", "cluster.n_clusters=3")
    return workspace


def test_run_says_what_it_did_and_status_knows(done: Path) -> None:
    status = json.loads(curation("status", done, "--json").stdout)
    assert {stage["stage"]: stage["state"] for stage in status["stages"]} == dict.fromkeys(
        ["scan", "filter", "segment", "features", "health", "cluster", "select", "neighbours", "project"], "done"
    )
    assert [row["path"] for row in status["unused"]["files"]] == ["broken.mp4"]
    assert status["unused"]["files"][0]["message"]
    assert status["settings"]["select.budget"] == "0.4"
    assert status["jobs"][0]["state"] == "done"
    assert "broken.mp4" in curation("status", done, "--files").stdout


def test_a_second_run_repeats_nothing(done: Path) -> None:
    out = curation("run", done).stdout
    assert out.count("already done") == len(STAGES)


def test_export_is_the_references_list(done: Path, tmp_path: Path) -> None:
    out = tmp_path / "output.csv"
    curation("export", done, "--format", "acav-csv", "--out", out)
    rows = list(csv.reader(out.open(newline="")))
    assert len(rows) == 4
    for shard, filename, youtube_id, segment in rows:
        assert shard == "shard-000000" and filename.endswith("_000.mp4") and youtube_id == "-1"
        start_s, end_s = ast.literal_eval(segment)
        assert 0 <= start_s < end_s
    refused = curation("export", done, "--format", "acav-csv", "--out", out, check=False)
    assert refused.returncode == 2 and "already" in refused.stderr


def test_stage_by_stage_gives_the_same_as_run(done: Path, media: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "alone"
    curation("init", workspace, "--media", media)
    for command in ("scan", "filter", "segment", "features", "health"):
        curation(command, workspace)
    curation("cluster", workspace, "--set", "cluster.n_clusters=3")
    curation("select", workspace, "--set", "select.budget=0.4")
    alone, whole = Workspace.open(workspace), Workspace.open(done)
    assert alone.keys("selections") == whole.keys("selections")
    key = whole.keys("selections")[0]
    assert (alone.artefact_path(key) / "picks.parquet").read_bytes() == (
        whole.artefact_path(key) / "picks.parquet"
    ).read_bytes()
    for name in ("videos", "filtered", "clips"):
        assert alone.artefact_path(name).read_bytes() == whole.artefact_path(name).read_bytes()


def test_truth_is_joined_and_precision_said(done: Path, tmp_path: Path) -> None:
    clips = Workspace.open(done).table("clips").to_pylist()
    truth = tmp_path / "truth.csv"
    truth.write_text("file,is_match\n" + "".join(f"{Path(c['path']).name},{i % 2}\n" for i, c in enumerate(clips)))
    out = curation(
        "import", done, "--truth", truth, "--key", "file", "--column", "is_match", "--name", "truth_match"
    ).stdout
    assert "10" in out
    said = curation("precision", done).stdout
    assert "random" in said and "%" in said


def test_killed_in_the_middle_it_goes_on(media: Path, tmp_path: Path) -> None:
    media = Path(shutil.copytree(media, tmp_path / "media"))
    for i, name in enumerate(("long.mp4", "longer.mkv")):  # searched for shots and measured in one pass
        make_video(media / name, seconds=14 + 9 * i, scenes=1 + i, seed=20 + i, size=(64, 48))
    workspace = tmp_path / "killed"
    command = [
        sys.executable,
        "-m",
        "curation",
        "run",
        str(workspace),
        "--media",
        str(media),
        "--set",
        "cluster.n_clusters=3",
    ]
    for delay_s in (0.6, 2.0, 4.0):
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(delay_s)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)
    curation("run", workspace, "--media", media)
    states = {s["stage"]: s["state"] for s in json.loads(curation("status", workspace, "--json").stdout)["stages"]}
    assert set(states.values()) == {"done"}
    assert not (workspace / "early").exists()
    unbroken = tmp_path / "unbroken"
    curation("run", unbroken, "--media", media, "--set", "cluster.n_clusters=3")
    for file in sorted([*unbroken.rglob("*.parquet"), *unbroken.rglob("*.npy")]):
        assert file.read_bytes() == (workspace / file.relative_to(unbroken)).read_bytes(), file


def test_cancel_from_another_shell(media: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "cancelled"
    process = subprocess.Popen(
        [sys.executable, "-m", "curation", "run", str(workspace), "--media", str(media)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + 30
    while not list((workspace / "jobs").glob("*/job.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    curation("cancel", workspace)
    out, _ = process.communicate(timeout=60)
    # It may have been quicker than the cancel; then it is done, never something between.
    assert process.returncode in (130, 0), out
    curation("run", workspace)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "{ws}", "--media", "{tmp}/nowhere"], "does not exist"),
        (["run", "{ws}", "--media", "{tmp}/texts"], "No media files"),
        (["run", "{ws}", "--media", "{tmp}/empty"], "No media files"),
        (["run", "{ws}", "--media", "{tmp}/only_broken"], "None of 2 files"),
        (["run", "{ws}", "--media", "{tmp}/texts", "--set", "select.method=best"], "batch-greedy"),
        (["run", "{ws}"], "no workspace"),
        (["status", "{ws}"], "no workspace"),
        (["export", "{done}", "--format", "xml", "--out", "{tmp}/a"], "acav-csv"),
        (["select", "{done}", "--set", "select.budget=0"], "share"),
        (["cancel", "{done}", "20200101-000000-abcdef"], "no job"),
        (
            ["select-array", "{tmp}/none.npy", "--modalities", "audio,visual", "--out", "{tmp}/o.npy"],
            "none.npy",
        ),
    ],
)
def test_bad_input_is_said_in_a_sentence(arguments: list[str], said: str, done: Path, tmp_path: Path) -> None:
    for name in ("texts", "empty", "only_broken"):
        (tmp_path / name).mkdir()
    (tmp_path / "texts/a.txt").write_text("hello")
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / "only_broken" / name).write_bytes(b"nothing" + name.encode())
    filled = [text.format(ws=tmp_path / "ws", tmp=tmp_path, done=done) for text in arguments]
    refused = curation(*filled, check=False)
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_full_disk_is_said_and_nothing_is_lost(done: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0 or not Path("/bin/mount").exists():
        pytest.skip("mounting a small disk needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=150k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        media = Workspace.open(done).roots[0]
        refused = curation("run", disk / "ws", "--media", media, check=False)
        assert refused.returncode == 2 and "disk is full" in refused.stderr, refused.stdout + refused.stderr
        subprocess.run(["mount", "-o", "remount,size=50m", disk], check=True)
        curation("run", disk / "ws", "--media", media)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_the_selection_that_the_settings_mean_is_exported(done: Path, tmp_path: Path) -> None:
    curation("run", done, "--set", "select.budget=0.8")
    curation("run", done, "--set", "select.budget=0.4")  # made before: found done, and meant again
    said = curation("export", done, "--format", "csv", "--out", tmp_path / "a.csv").stdout
    assert "selection concord-0.4-" in said and "rows 4," in said


def test_select_array_works_without_a_workspace(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    kind = rng.integers(8, size=4000)
    np.save(tmp_path / "a.npy", np.stack([kind, kind, rng.permutation(kind), kind], 1).astype(np.int16))
    out = tmp_path / "order.npy"
    said = curation(
        "select-array",
        tmp_path / "a.npy",
        "--modalities",
        "audio,audio,visual,visual",
        "--budget",
        "0.1",
        "--out",
        out,
    )
    order = np.load(out)
    assert order.dtype == np.int64 and len(np.unique(order)) == len(order) == 400
    assert "permuted" in said.stdout
    modalities = "audio,audio,visual,visual"
    refused = curation(
        "select-array", tmp_path / "a.npy", "--modalities", modalities, "--out", tmp_path / "order", check=False
    )
    assert refused.returncode == 2 and "is there already" in refused.stderr
