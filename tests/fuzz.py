"""Gives every reader of outside data what no honest program writes: a program that anyone can run.

    python -m tests.fuzz [--seconds 60] [--targets probe,table,...] [--seed 0] [--engine mutate|coverage]

Each target takes bytes: seeds are made by honest writers, then changed at random (`mutate`; the same for the same
seed), or led by coverage with atheris where it is installed (`coverage`; one target a process). A reader may return,
or raise `ConcordError` with a sentence. Anything else, and what takes longer than ten seconds, is a finding: its bytes
are kept in `tests/fixtures/fuzz/<target>/`, where the tests replay them for ever.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import pickle
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation.errors import ConcordError
from curation.importers.list_files import read_list
from curation.importers.plainpickle import load_plain
from curation.importers.readers import load_npy, read_table, table_columns
from curation.importers.shards import read_segments, read_shard
from curation.media.process import TaskError
from curation.media.sandbox import Sandbox
from curation.sources.metadata_tsv import read_line
from curation.workspace import Workspace
from explorer import routes
from tests import fuzz_addresses
from tests.mediamaker import make_video
from tests.mediaworkspace import make_media_workspace

FIXTURES = Path(__file__).parent / "fixtures" / "fuzz"
SLOW_S = 10.0
BYTES_MAX = 1 << 18
WORDS = (
    b"\x00", b"\xff\xfe", b"\x80\x04", b"PAR1", b"\x93NUMPY", b"ftyp", b"moov", b"NaN", b"1e999", b"-1", b"[[[[", b"{}",
    b"null", b"\\ud800", b"'", b'"', b";", b"--", b"/*", b"\t", b"\n", b",", b"\xe2\x80\xae", b"0" * 40, b"2" * 20,
    b" UNION SELECT * FROM read_csv('/etc/passwd')", b"COPY clips TO '/tmp/x'", b"__reduce__", b"cos\nsystem\n",
)  # fmt: skip


@dataclass
class Target:
    """A reader: `seeds` are honest inputs, `read` takes any bytes."""

    name: str
    seeds: list[bytes]
    read: Callable[[bytes], object]


class Place:
    """A folder for what a target reads from files, and the things that are costly to make."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stack = ExitStack()
        self.workspace = make_media_workspace(folder / "ws", n_clips=20, missing=1, broken=1)
        self.stack.callback(routes.CUTTER.close)
        self._sandbox: Sandbox | None = None

    def file(self, data: bytes, suffix: str) -> Path:
        path = self.folder / f"input{suffix}"
        path.write_bytes(data)
        return path

    @property
    def sandbox(self) -> Sandbox:
        if self._sandbox is None:
            self._sandbox = self.stack.enter_context(Sandbox(workers=1, time_limit_s=SLOW_S))
        return self._sandbox


def targets(place: Place) -> dict[str, Target]:
    """Every reader of outside data, by name."""
    table = pa.table({"clip_id": ["a", "b"], "start_s": [0.5, 10.0], "label": ["x, y", None], "ok": [True, False]})
    text = "id\tstart\tend\ttitle\nabcdefghijk\t1\t2.5\tä dog\nABCDEFGHIJK\t3\t4\t\n"
    line = {"id": "abcdefghijk", "duration": "PT1M3S", "title": "a dog", "categories": ["Pets"], "fps": 29.97}
    rows = [{"filename": "a.mp4", "features": {"layer1": np.arange(4.0), "layer2": [1, 2]}, "start": 1.0}]
    shard = json.dumps([{"filename": "a_1_2", "clusters": {"layer1": 3}}]).encode()
    conditions = [b"start_s > 1 AND title LIKE '%folder%'", b"row IN (SELECT row FROM clips LIMIT 3)"]
    commas = text.replace("\t", ",").encode()
    ws = place.workspace
    described = (ws.path / "workspace.json").read_bytes()

    def files(suffix: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
        return lambda data: read(place.file(data, suffix))

    found = [
        Target("probe", _media(place), lambda data: _probe(place, data)),
        Target("metadata", [f"abcdefghijk\t{json.dumps(line)}".encode(), json.dumps(line).encode()], read_line),
        Target("csv", [commas], files(".csv", _table)),
        Target("tsv", [text.encode()], files(".tsv", _table)),
        Target("jsonl", [b'{"clip_id": "a", "x": 1}\n{"clip_id": "b", "x": null}\n'], files(".jsonl", _table)),
        Target("parquet", [_parquet(table)], files(".parquet", _table)),
        Target("list", [commas, b"a,1.0\nb,2.0\n", b"shard-1/a,3\n"], files(".csv", read_list)),
        Target("npy", [_npy(np.ones((3, 4), np.float32)), _npy(np.arange(6).reshape(3, 2))], files(".npy", _array)),
        Target("pickle", [pickle.dumps(rows, protocol) for protocol in (0, 2, 4, 5)], load_plain),
        Target("shard", [pickle.dumps(rows), pickle.dumps(rows, 2)], files(".pkl", read_shard)),
        Target("segments", [shard], files(".json", read_segments)),
        Target("workspace", [described], lambda data: _workspace(place, data)),
        Target("sql", conditions, lambda data: _condition(ws, data)),
        Target("page", fuzz_addresses.page_seeds(), partial(fuzz_addresses.read_page, ws)),
        Target("route", fuzz_addresses.route_seeds(ws), partial(fuzz_addresses.read_route, ws)),
    ]
    return {target.name: target for target in found}


def _media(place: Place) -> list[bytes]:
    seeds = []
    for suffix in (".mp4", ".mkv", ".webm"):
        codec = "libvpx-vp9" if suffix == ".webm" else "libx264"
        path = make_video(place.folder / f"seed{suffix}", seconds=0.5, size=(32, 32), codec=codec)
        seeds.append(path.read_bytes())
    return seeds


def _probe(place: Place, data: bytes) -> object:
    path = place.file(data, ".mp4")
    try:
        return place.sandbox.call("probe", {"path": str(path)})
    except TaskError as error:  # a decoder that dies costs its file: that is what the process is for
        if error.code == "internal":
            raise AssertionError(f"{error}\n{error.detail}") from error
        return None


def _table(path: Path) -> object:
    return read_table(path, table_columns(path)[:20])


def _array(path: Path) -> object:
    return load_npy(path, n_dims=2, what="features")[:1].copy()  # of any type: importers refuse what is no number


def _parquet(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


def _npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def _workspace(place: Place, data: bytes) -> object:
    folder = place.folder / "described"
    folder.mkdir(exist_ok=True)
    (folder / "workspace.json").write_bytes(data)
    workspace = Workspace.open(folder)
    return workspace.name, workspace.sources, workspace.roots, workspace.config


def _condition(workspace: Workspace, data: bytes) -> object:
    text = data.decode("utf-8", "replace")[:2000]
    before = sorted(file.name for file in workspace.path.rglob("*"))
    try:
        return workspace.query(f"SELECT row FROM clips WHERE ({text}\n) LIMIT 10")
    finally:
        assert sorted(file.name for file in workspace.path.rglob("*")) == before, "a condition wrote a file"


# -- changing ----------------------------------------------------------------------------------------------------------


def mutated(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """A few random changes: bits, bytes, words, cuts, repeats, pieces of other inputs."""
    out = bytearray(data)
    for _ in range(1 << rng.randrange(5)):
        at = rng.randrange(len(out) + 1)
        what = rng.randrange(7)
        if what == 0 and out:
            out[at % len(out)] ^= 1 << rng.randrange(8)
        elif what == 1 and out:
            out[at % len(out)] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
        elif what == 2:
            out[at:at] = rng.choice(WORDS)
        elif what == 3:
            del out[at : at + 1 + rng.randrange(1 + len(out) // 4)]
        elif what == 4:
            piece = out[at : at + 1 + rng.randrange(64)]
            out[at:at] = piece * rng.randrange(1, 20)
        elif what == 5:
            other = rng.choice(others)
            start = rng.randrange(len(other) + 1)
            out[at : at + rng.randrange(64)] = other[start : start + rng.randrange(256)]
        else:
            out[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\x7f\xff\xff\xff", b"\x00\x01"))
    return bytes(out[:BYTES_MAX])


def tried(target: Target, data: bytes) -> str:
    """What is wrong with how a target meets an input; "" where it returns or says a sentence in time."""
    started = time.monotonic()
    try:
        target.read(data)
    except ConcordError as error:
        if not error.message.strip():
            return "an error without a sentence"
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:2000]
    took = time.monotonic() - started
    return f"took {took:.0f} s" if took > SLOW_S + 5 else ""


def keep(target: Target, data: bytes) -> Path:
    """Keep the bytes of a finding as a fixture."""
    path = FIXTURES / target.name / f"{hashlib.blake2b(data, digest_size=8).hexdigest()}.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def fuzz(target: Target, seconds: float, seed: int) -> tuple[int, dict[str, bytes]]:
    """Inputs tried, and the findings, one for each first line of what is wrong."""
    rng = random.Random(f"{seed} {target.name}")
    pool, end, count = list(target.seeds), time.monotonic() + seconds, 0
    findings: dict[str, bytes] = {}
    for data in target.seeds:
        if wrong := tried(target, data):
            raise SystemExit(f"{target.name} does not read its own seed: {wrong}")
    while time.monotonic() < end:
        data = mutated(rng.choice(pool), pool, rng)
        wrong = tried(target, data)
        count += 1
        if wrong:
            findings.setdefault(_kind(wrong), data)
        elif len(pool) < 200 and rng.random() < 0.02:
            pool.append(data)
    return count, findings


def _kind(wrong: str) -> str:
    """The plain words of a finding: those that differ only in what they quote, and where, are of one kind."""
    return " ".join(word for word in wrong.splitlines()[0].split() if re.fullmatch(r"[A-Za-z]+[:,.]?", word))[:120]


def led_by_coverage(target: Target, seconds: float, seed: int) -> None:
    """Runs until the time is up or a finding, which atheris prints and writes; does not return."""
    try:
        import atheris
    except ImportError:
        raise SystemExit("For --engine coverage install atheris: pip install atheris") from None

    def one(data: bytes) -> None:
        if wrong := tried(target, data):
            raise RuntimeError(f"{wrong} ({keep(target, data)})")

    corpus = Path(tempfile.mkdtemp(prefix=f"concord-fuzz-{target.name}-"))
    for i, data in enumerate(target.seeds):
        (corpus / f"seed{i}").write_bytes(data)
    for name in ("curation.importers", "curation.sources"):
        for module in [module for key, module in sys.modules.items() if key.startswith(name)]:
            atheris.instrument_module(module) if hasattr(atheris, "instrument_module") else None
    atheris.instrument_func(target.read)
    arguments = [sys.argv[0], f"-max_total_time={int(seconds)}", f"-seed={seed + 1}", f"-max_len={BYTES_MAX}"]
    atheris.Setup([*arguments, str(corpus)], one)
    atheris.Fuzz()


def main(argv: list[str] | None = None) -> int:
    """Tries every target for its part of the time; 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="in all")
    parser.add_argument("--targets", default="")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", choices=("mutate", "coverage"), default="mutate")
    options = parser.parse_args(argv)
    worst = 0
    with tempfile.TemporaryDirectory() as temporary:
        place = Place(Path(temporary))
        known = targets(place)
        wanted = [name for name in options.targets.split(",") if name] or list(known)
        if unknown := set(wanted) - set(known):
            parser.error(f"there is no target {', '.join(sorted(unknown))}; choose from {', '.join(known)}")
        if options.engine == "coverage":
            if len(wanted) != 1:
                parser.error("--engine coverage takes one target a process")
            led_by_coverage(known[wanted[0]], options.seconds, options.seed)
        print("| reader | inputs | findings |\n| --- | ---: | --- |")
        for name in wanted:
            count, findings = fuzz(known[name], options.seconds / len(wanted), options.seed)
            for data in findings.values():
                keep(known[name], data)
            print(f"| {name} | {count:,} | {'; '.join(findings) or '-'} |", flush=True)
            worst |= bool(findings)
        place.stack.close()
    return worst


if __name__ == "__main__":
    sys.exit(main())
