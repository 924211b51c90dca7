"""Kills Concord at random moments and looks at what is left: a program that anyone can run, and that goes on.

    python -m tests.kills [--kills 500] [--seed 0] [--folder FOLDER] [--cases driver,worker,...]

Made media are curated once without a disturbance. Then, again and again, the same work is disturbed:

- *driver*: the process that runs the stages is killed with SIGKILL, at a random moment of each stage in turn;
- *worker*: one of its decoding processes is killed;
- *job*: a job as the explorer starts it is killed;
- *answers*: a writer of review answers is killed while it appends;
- *stills*: a maker of stills and proxies is killed while a file is cut;
- *export*: a writer of lists is killed;
- *disk*: the disk is full (a small tmpfs, where this may be mounted);
- *readonly*: the workspace cannot be written (as another user, where this may be chosen);
- *memory*: the process may have little memory;
- *writers*: two runs of the same workspace at once;
- *clock*: the clock jumps by a day while stages run.

After each one every artefact must be whole or absent, and the run, started again, must end with tables and arrays that
are byte for byte those of the undisturbed run. What was done is kept in `FOLDER/kills.jsonl`: started again the program
goes on, and it prints counts by case and stage. A difference ends it with status 1 and keeps the workspace.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq

from curation import export, jobs, lines, pipeline
from curation.progress import Progress
from curation.stage import Report
from curation.workspace import Workspace
from tests.children import LIMIT_S, Board, alive, child, ended, kill
from tests.mediamaker import make_video

SETTINGS = {"cluster.n_clusters": 3}
STAGES = [stage.name for stage in pipeline.STAGES]
ENDED = len(STAGES)
FORMATS = ("csv", "parquet", "jsonl")


# -- the work that is disturbed ----------------------------------------------------------------------------------------


class Trial:
    """One workspace that is disturbed, beside the undisturbed one."""

    def __init__(self, folder: Path, rng: np.random.Generator) -> None:
        self.folder, self.rng = folder, rng
        self.media, self.plain, self.path = folder / "media", folder / "unbroken", folder / "disturbed"
        self.stage = ""  # where the last disturbance met it

    def curate(self, board: Board, path: Path | None = None) -> None:
        """All stages; the board says how many are done."""
        workspace = Workspace.create(path or self.path, roots=[str(self.media)])
        workspace.configure(SETTINGS)

        def note(name: str, _report: Report, _seconds: float) -> None:
            board[0] = STAGES.index(name) + 1

        pipeline.run(workspace, Progress(), on_stage=note)
        board[0] = ENDED

    def prepare(self) -> None:
        """Make the media and the undisturbed workspace, once; note how long each stage takes."""
        if (self.folder / "stages.json").is_file():
            return
        for old in (self.media, self.plain):
            shutil.rmtree(old, ignore_errors=True)
        self.media.mkdir(parents=True)
        for i in range(14):
            make_video(self.media / f"v{i:02d}.mp4", seconds=2 + i % 3, seed=i, sound="noise" if i % 2 else "sine")
        make_video(self.media / "long.mkv", seconds=24, scenes=2, seed=50, size=(64, 48))
        (self.media / "broken.mp4").write_bytes(b"nothing")
        took = self._timed()
        lines.append(self.folder / "stages.json", [{"took": took}])

    def _timed(self) -> list[float]:
        pid, board = child(lambda board: self.curate(board, self.plain))
        took, at, since = [0.0] * ENDED, 0, time.monotonic()
        while alive(pid):
            while at < board[0]:
                took[at], since, at = time.monotonic() - since, time.monotonic(), at + 1
            time.sleep(0.002)
        if board[0] != ENDED:
            raise SystemExit("The undisturbed run did not end: run `python -m curation run` on made media to see why.")
        return took

    def until(self, pid: int, board: Board, stage: int, share: float) -> bool:
        """Wait until a child is `share` through a stage; False where it ended before."""
        took = next(lines.read(self.folder / "stages.json"))["took"]
        end = time.monotonic() + LIMIT_S
        while board[0] < stage and time.monotonic() < end:
            if not alive(pid):
                return False
            time.sleep(0.002)
        time.sleep(share * max(0.02, took[stage]))
        self.stage = STAGES[min(board[0], ENDED - 1)]
        return True

    def fresh(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def finish(self) -> str:
        """Run what is missing; what differs from the undisturbed run, or "" """
        found = self.damage()
        if found:
            return found
        pid, board = child(self.curate)
        status = ended(pid)
        if status != 0 or board[0] != ENDED:
            return f"the run that went on ended with status {status} after {board[0]} stages"
        return self.damage() or self.difference()

    def damage(self) -> str:
        """Every artefact can be read whole, and the state of every stage told; else what is wrong."""
        if not (self.path / "workspace.json").is_file():
            return ""
        try:
            workspace = Workspace.open(self.path)
            pipeline.status(workspace)
            for file in _artefact_files(self.path):
                if file.suffix == ".parquet":
                    pq.read_table(file, partitioning=None)
                else:
                    np.load(file, mmap_mode="r")
        except Exception as error:
            return f"an artefact is damaged: {type(error).__name__}: {error}"
        return ""

    def difference(self) -> str:
        """A table or array that differs from the undisturbed run's, or files that were left behind."""
        mine, theirs = ({f.relative_to(p) for f in _artefact_files(p)} for p in (self.path, self.plain))
        if mine != theirs:
            return f"files differ: {sorted(map(str, mine ^ theirs))[:5]}"
        for name in sorted(theirs):
            if (self.path / name).read_bytes() != (self.plain / name).read_bytes():
                return f"{name} differs"
        left = [str(f.relative_to(self.path)) for f in self.path.rglob("*") if f.name.endswith((".partial", ".parts"))]
        return f"left behind: {left[:5]}" if left else ""


def _artefact_files(path: Path) -> Iterator[Path]:
    """Tables and arrays of finished artefacts: not what is half-made, in folders whose names begin with a dot."""
    for file in sorted(path.rglob("*")):
        parts = file.relative_to(path).parts
        finished = parts[0] not in ("jobs", "early", "media", "exports") and not any(p.startswith(".") for p in parts)
        if file.suffix in (".parquet", ".npy") and finished:
            yield file


# -- cases: each disturbs, and says what it found wrong ----------------------------------------------------------------


def driver(trial: Trial, i: int) -> str:
    """Half of the kills meet a run that was killed before."""
    if trial.rng.random() < 0.5:
        trial.fresh()
    pid, board = child(trial.curate)
    target = i % ENDED
    if board_reached := trial.until(pid, board, target, float(trial.rng.random())):
        kill(pid)
    return trial.finish() if not board_reached or i % 3 == 0 else trial.damage()


def worker(trial: Trial, i: int) -> str:
    """A worker that dies costs at most the file it was at, with a code; the run goes on to its end."""
    trial.fresh()
    pid, board = child(trial.curate)
    stage = STAGES.index(("scan", "segment", "features")[i % 3])
    if trial.until(pid, board, stage, float(trial.rng.random())):
        with contextlib.suppress(psutil.Error):
            workers = psutil.Process(pid).children(recursive=True)
            if workers:
                workers[int(trial.rng.integers(len(workers)))].kill()
    status = ended(pid)
    if status != 0 or board[0] != ENDED:
        return f"the run ended with status {status} after {board[0]} stages"
    if damage := trial.damage():
        return damage
    lost = sum(
        int(pq.read_table(trial.path / f"{table}.parquet", partitioning=None)["status"].to_pylist().count("failed"))
        for table in ("videos", "segmented")
    )
    trial.fresh()
    return "" if lost <= 3 else f"one dead worker cost {lost} files"


def job(trial: Trial, i: int) -> str:
    workspace = Workspace.create(trial.path, roots=[str(trial.media)])
    workspace.configure(SETTINGS)
    job_id = jobs.launch(workspace, ["run", str(trial.path)], title="Run")
    time.sleep(float(trial.rng.uniform(0.2, 8.0)))
    record = jobs.read_job(workspace, job_id) or {}
    trial.stage = str(record.get("stage") or record.get("state") or "")
    if record.get("pid") and record["state"] not in jobs.FINAL_STATES:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(int(record["pid"]), signal.SIGKILL)
        time.sleep(0.2)
        said = (jobs.read_job(workspace, job_id) or {}).get("state")
        if said not in jobs.FINAL_STATES:
            return f"a killed job is said to be {said}"
    else:
        for process in psutil.process_iter(["cmdline"]):
            if job_id in (process.info["cmdline"] or []):
                process.kill()
    return trial.finish() if i % 2 else trial.damage()


def answers(trial: Trial, i: int) -> str:
    """An answer whose saving returned is there afterwards."""
    path = trial.folder / "answers" / "review.jsonl"
    path.parent.mkdir(exist_ok=True)
    before = sum(1 for _ in lines.read(path))

    def write(board: Board) -> None:
        for n in range(100_000):
            lines.append(path, [{"clip_id": f"c{n}", "decision": "keep", "note": "é" * (n % 50)}])
            board[0] = n + 1

    pid, board = child(write)
    time.sleep(float(trial.rng.uniform(0.0, 0.15)))
    kill(pid)
    lines.append(path, [{"clip_id": "after"}])
    there = sum(1 for _ in lines.read(path)) - before
    trial.stage = "answers"
    if path.stat().st_size > 4_000_000:
        path.unlink()
    return "" if board[0] + 1 <= there <= board[0] + 2 else f"{board[0]} answers were saved, {there - 1} are there"


def stills(trial: Trial, i: int) -> str:
    """What the cache gives out after a kill can be decoded."""
    import av

    from curation.media.sandbox import Sandbox
    from explorer.media_cache import BoundedFolder

    place = trial.folder / "stills"
    trial.stage = "stills"

    tasks = (
        ("still", ".jpg", {"time_s": 1.0, "height": 90}),
        ("proxy", ".mp4", {"start_s": 0.0, "end_s": 2.0, "height": 90}),
    )

    def cut(board: Board) -> None:
        folder = BoundedFolder(place, 1 << 30)
        with Sandbox(workers=1) as sandbox:
            for n, file in enumerate(sorted(trial.media.glob("v*.mp4"))):
                for task, suffix, more in tasks:
                    payload = {"path": str(file), **more}

                    def make(out: Path, task: str = task, payload: dict[str, object] = payload) -> None:
                        sandbox.call(task, {**payload, "out": str(out)})

                    folder.get(f"{n:032x}{suffix}", make)
                    board[0] += 1

    pid, _ = child(cut)
    time.sleep(float(trial.rng.uniform(0.2, 3.0)))
    kill(pid)
    folder = BoundedFolder(place, 1 << 30)
    for file in place.glob("*") if place.is_dir() else []:
        if not file.name.startswith(".") and folder.find(file.name):
            try:
                with av.open(str(file)) as media:
                    next(media.decode(video=0))
            except (av.error.FFmpegError, StopIteration) as error:
                return f"{file.name} was given out half-written: {error}"
    if i % 5 == 4:
        shutil.rmtree(place, ignore_errors=True)
    return ""


def exports(trial: Trial, i: int) -> str:
    """A list is whole or not there."""
    format = FORMATS[i % len(FORMATS)]
    out = trial.folder / f"list.{format}"
    out.unlink(missing_ok=True)
    pid, _ = child(lambda _board: print(export.export(Workspace.open(trial.plain), format, out)))
    time.sleep(float(trial.rng.uniform(0.0, 0.25)))
    kill(pid)
    trial.stage = "export"
    if not out.exists():
        return ""
    whole = trial.folder / f"whole.{format}"
    whole.unlink(missing_ok=True)
    export.export(Workspace.open(trial.plain), format, whole)
    return "" if whole.read_bytes() == out.read_bytes() else f"{out.name} is half-written"


def disk(trial: Trial, i: int) -> str:
    """A disk that fills up: an error in words, nothing broken, and with more space the run goes on."""
    trial.fresh()
    trial.path.mkdir()
    trial.stage = "disk"
    size = int(trial.rng.integers(100, 900)) * 1024
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(trial.path)], check=False).returncode:
        return "skipped: a tmpfs cannot be mounted here"
    try:
        pid, board = child(trial.curate)
        status = ended(pid)
        trial.stage = STAGES[min(board[0], ENDED - 1)]
        if os.WIFSIGNALED(status) or os.WEXITSTATUS(status) not in (0, 2):
            return f"a full disk ended the run with status {status}"
        if damage := trial.damage():
            return damage
        subprocess.run(["mount", "-o", "remount,size=64m", str(trial.path)], check=True)
        return trial.finish()
    finally:
        subprocess.run(["umount", str(trial.path)], check=False)


def readonly(trial: Trial, i: int) -> str:
    if os.geteuid() != 0:
        return "skipped: only the superuser can become another user"
    trial.fresh()
    trial.stage = "readonly"
    shutil.copytree(trial.plain, trial.path)
    (trial.path / "selections").rename(trial.path / ".away")
    before = {file: file.stat().st_mtime_ns for file in _artefact_files(trial.path)}
    for folder in (trial.folder, *trial.folder.parents):
        if not folder.stat().st_mode & 0o001:
            return f"skipped: another user cannot reach {folder}"

    def nobody() -> None:
        os.setgid(65534)
        os.setuid(65534)

    pid, _ = child(trial.curate, nobody)
    status = ended(pid)
    if os.WIFSIGNALED(status) or os.WEXITSTATUS(status) != 2:
        return f"a workspace that cannot be written ended the run with status {status}"
    if before != {file: file.stat().st_mtime_ns for file in _artefact_files(trial.path)}:
        return "something changed in a workspace that cannot be written"
    shutil.rmtree(trial.path)
    return ""


def memory(trial: Trial, i: int) -> str:
    """Too little memory: an error or a worker's code, nothing broken."""
    trial.fresh()
    held = psutil.Process().memory_info().vms
    more = int(trial.rng.integers(64, 1200)) << 20
    pid, board = child(trial.curate, lambda: resource.setrlimit(resource.RLIMIT_AS, (held + more, held + more)))
    status = ended(pid)
    trial.stage = STAGES[min(board[0], ENDED - 1)]
    damage = "the run hangs without memory" if status == -1 else trial.damage()
    trial.fresh()  # a file that found no memory keeps its code, so the end is another
    return damage


def writers(trial: Trial, i: int) -> str:
    trial.fresh()
    trial.stage = "writers"
    first, _ = child(trial.curate)
    time.sleep(float(trial.rng.uniform(0.0, 3.0)))
    second, _ = child(trial.curate)
    codes = [ended(first), ended(second)]
    if any(code == -1 or os.WIFSIGNALED(code) or os.WEXITSTATUS(code) not in (0, 2) for code in codes):
        return f"two writers ended with {codes}"
    return trial.finish()


def clock(trial: Trial, i: int) -> str:
    trial.fresh()
    true, seed = time.time, int(trial.rng.integers(1 << 30))
    jumps = np.random.default_rng(seed).choice([-86400.0, 0.0, 86400.0, 5e7], 1000)

    def jumping() -> None:
        time.time = lambda: true() + float(jumps[int(true() * 5) % len(jumps)])

    pid, board = child(trial.curate, jumping)
    if trial.until(pid, board, i % ENDED, float(trial.rng.random())) and i % 2:
        kill(pid)
    elif (status := ended(pid)) != 0:
        return f"a jumping clock ended the run with status {status}"
    return trial.finish()


CASES: dict[str, tuple[Callable[[Trial, int], str], int]] = {
    "driver": (driver, 12), "worker": (worker, 2), "job": (job, 1), "answers": (answers, 4), "stills": (stills, 2),
    "export": (exports, 2), "disk": (disk, 1), "readonly": (readonly, 1), "memory": (memory, 1),
    "writers": (writers, 1), "clock": (clock, 1),
}  # fmt: skip
"""What disturbs, and how often in a round."""


def main(argv: list[str] | None = None) -> int:
    """Disturb until `--kills` are done in all; 0 where nothing was broken or lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=None, help="kept, so that the program can go on")
    parser.add_argument("--cases", default=",".join(CASES))
    options = parser.parse_args(argv)
    wanted = [name for name in options.cases.split(",") if name]
    if unknown := set(wanted) - set(CASES):
        parser.error(f"there is no case {', '.join(sorted(unknown))}; choose from {', '.join(CASES)}")
    folder = options.folder or Path(tempfile.mkdtemp(prefix="concord-kills-"))
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    Trial(folder, np.random.default_rng(0)).prepare()
    return _disturb(folder, wanted, options.kills, options.seed)


def _disturb(folder: Path, wanted: list[str], kills: int, seed: int) -> int:
    plan = [name for name in wanted for _ in range(CASES[name][1])]
    plan = [plan[k] for k in np.random.default_rng(seed).permutation(len(plan))]
    log = folder / "kills.jsonl"
    done = sum(1 for _ in lines.read(log))
    times: collections.Counter[str] = collections.Counter(one["case"] for one in lines.read(log))
    for n in range(done, kills):
        name = plan[n % len(plan)]
        trial = Trial(folder, np.random.default_rng([seed, n]))
        found = CASES[name][0](trial, times[name])
        times[name] += 1
        lines.append(log, [{"case": name, "stage": trial.stage, "found": found}])
        if found and not found.startswith("skipped"):
            print(f"{n + 1}: {name} in {trial.stage or '-'}: {found}\nKept: {trial.path}", flush=True)
            return 1
    _report(log)
    return 0


def _report(log: Path) -> None:
    counts = collections.Counter((one["case"], one["stage"], bool(one["found"])) for one in lines.read(log))
    print("| case | met in | times | skipped |\n| --- | --- | ---: | ---: |")
    for case, stage in sorted({key[:2] for key in counts}):
        print(f"| {case} | {stage or '-'} | {counts[case, stage, False]} | {counts[case, stage, True]} |")
    print(f"{sum(counts.values())} disturbances, nothing broken, nothing lost.")


if __name__ == "__main__":
    sys.exit(main())
