"""The command `select-array`: selection without a workspace, for arrays that need no more than memory."""

from __future__ import annotations

import argparse
import hashlib
import sys

import numpy as np

from curation.checkpoint import Checkpoint
from curation.commands.base import Commands, StopSignals, Terminal, short
from curation.errors import InputError
from curation.progress import Progress
from curation.setting import parse_assignments
from curation.urls import local_path


def register(commands: Commands) -> None:
    """select-array."""
    command = commands.add(
        "select-array",
        "select from an array of assignments, without a workspace",
        _select_array,
        workspace=False,
    )
    command.add_argument("assignments", type=local_path, help="integer (N, D) .npy, memory-mapped")
    command.add_argument(
        "--modalities", required=True, help="audio or visual for each column, e.g. audio,audio,visual,visual"
    )
    command.add_argument("--out", type=local_path, required=True, help=".npy of int64 row numbers in picking order")
    command.add_argument("--budget", default="0.2", help="share below 1 or number of clips")
    command.add_argument("--method", default="batch-greedy")
    command.add_argument("--options", default="", help="settings that only this method has, e.g. rounds=30")
    command.add_argument("--pairing", default="bipartite")
    command.add_argument("--batch-size", type=int, default=100)
    command.add_argument("--selection-size", type=int, default=25)
    command.add_argument("--refill", default="redraw")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--device", default="auto")
    command.add_argument(
        "--checkpoint", type=local_path, default=None, help="keep the state of the run here; started again, it goes on"
    )


def _select_array(options: argparse.Namespace) -> None:
    from curation.atomic import write_array
    from curation.selection import select

    out = options.out.with_name(options.out.name.removesuffix(".npy") + ".npy")
    if out.exists():
        raise InputError(f"{out} is there already.", hint="Give another name for --out; nothing is overwritten.")
    try:
        assignments = np.load(options.assignments, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{options.assignments} cannot be read as a .npy array ({error}).") from error
    checkpoint = None
    if options.checkpoint:
        name = options.checkpoint.with_name(options.checkpoint.name.removesuffix(".npz") + ".npz")
        checkpoint = Checkpoint(name, _identity(options, assignments))
    found = select(
        assignments,
        [modality.strip() for modality in options.modalities.split(",")],
        budget=options.budget,
        method=options.method,
        options=parse_assignments(filter(None, options.options.split(","))),
        pairing=options.pairing,
        batch_size=options.batch_size,
        selection_size=options.selection_size,
        refill=options.refill,
        seed=options.seed,
        device=options.device,
        progress=Progress(Terminal(sys.stderr), StopSignals()),
        checkpoint=checkpoint,
    )
    write_array(out, found.order)
    if checkpoint:
        checkpoint.drop()
    report = found.report
    device = report["device"]
    print(f"{len(found.order)} of {len(assignments)} rows to {out}, on {device['used']}: {device['why']}")
    print(
        f"mutual information {found.objective:.4f} nats; permuted sounds {short(report.get('objective_permuted'))}; "
        f"random {short(report.get('objective_random'))} (same size)"
    )
    for notice in report.get("notices", []):
        print(f"note: {notice}")


def _identity(options: argparse.Namespace, assignments: np.ndarray) -> str:
    """Tells one run from another: its settings and the array, by shape, type and a thousand of its rows."""
    names = ("modalities", "budget", "method", "options", "pairing", "batch_size", "selection_size", "refill", "seed")
    digest = hashlib.blake2b(repr([getattr(options, name) for name in names]).encode(), digest_size=16)
    digest.update(f"{assignments.shape} {assignments.dtype}".encode())
    step = max(1, len(assignments) // 1000) if assignments.ndim else 1
    digest.update(np.ascontiguousarray(assignments[::step] if assignments.ndim else assignments).tobytes())
    return digest.hexdigest()
