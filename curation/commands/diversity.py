"""The command `diversity`: how broad a selection is and how it is skewed, beside random and content-matched random."""

from __future__ import annotations

import argparse

from curation.commands.base import Commands, job
from curation.errors import InputError
from curation.urls import local_path
from curation.workspace import Workspace


def register(commands: Commands) -> None:
    """diversity."""
    command = commands.add("diversity", "how broad a selection is and how it is skewed, beside random", _diversity)
    command.add_argument("--selection", nargs="+", default=[], help="selections to look at; the last run by default")
    command.add_argument("--draws", type=int, default=5, help="of random and of content-matched random, 1 to 100")
    command.add_argument("--resamples", type=int, default=200, help="of the sources, for intervals, 10 to 10000")
    command.add_argument("--redone", type=int, default=3, help="choices made again with other seeds, 0 to 20")
    command.add_argument("--seed", type=int, default=0, help="of draws and resamples")
    command.add_argument("--out", type=local_path, default=None, help="also write the tables here, as Markdown")
    command.add_argument("--job", default=None, help=argparse.SUPPRESS)


def _diversity(options: argparse.Namespace) -> None:
    from curation.diversity import Settings, table
    from curation.diversity_table import report_lines

    workspace = Workspace.open(options.workspace)
    for name, low, high in (("draws", 1, 100), ("resamples", 10, 10_000), ("redone", 0, 20), ("seed", 0, 2**31 - 1)):
        if not low <= getattr(options, name) <= high:
            raise InputError(f"--{name} {getattr(options, name)} cannot be used.", hint=f"Allowed: {low} to {high}.")
    settings = Settings(options.draws, options.resamples, options.redone, options.seed)
    current = workspace.current_selection
    names = options.selection or ([current] if current else [])
    if not names:
        raise InputError(f"{workspace.name} has no selection yet.",
                         hint=f"Make one: python -m curation run {workspace.path}")  # fmt: skip
    if options.out is not None and options.out.exists():
        raise InputError(f"{options.out} is there already.", hint="Choose another name; nothing is overwritten.")
    lines: list[str] = []
    with job(workspace, options, "diversity") as (progress, record):
        for name in names:
            found = report_lines(table(workspace, name, settings, progress=progress))
            lines += [*found, ""]
            print("\n".join(found), end="\n\n", flush=True)
        record.result({"diversity": {"selections": len(names)}})
    if options.out is not None:
        from curation.atomic import write_bytes

        write_bytes(options.out, ("# Diversity\n\n" + "\n".join(lines)).encode())
