"""Commands that give something away: a list of clips, or how good the choice is where that is known."""

from __future__ import annotations

import argparse
from pathlib import Path

from curation.commands.base import Commands, add_settings, job, short
from curation.workspace import Workspace


def register(commands: Commands) -> None:
    """export, precision."""
    command = commands.add("export", "write the selected clips (or all) as a list", _export)
    command.add_argument("--format", required=True, help="acav-csv, csv, parquet, jsonl")
    command.add_argument("--out", type=Path, required=True, help="file to write; never overwritten")
    command.add_argument(
        "--selection", default=None, help="name of the selection; the newest by default; `all` = every clip"
    )
    add_settings(command)

    command = commands.add("precision", "how many of the selected clips correspond, where that is known", _precision)
    command.add_argument("--selection", default=None, help="name of the selection; the newest by default")
    command.add_argument("--column", default="truth_match", help="boolean column with the answers")


def _export(options: argparse.Namespace) -> None:
    from curation.export import export

    workspace = Workspace.open(options.workspace)
    with job(workspace, options, "export") as (progress, record):
        facts = export(workspace, options.format, options.out, selection=options.selection, progress=progress)
        record.result({"export": facts})
    notices = facts.pop("notices")
    print(", ".join(f"{key.replace('_', ' ')} {short(value)}" for key, value in facts.items()))
    for notice in notices:
        print(f"note: {notice}")


def _precision(options: argparse.Namespace) -> None:
    from curation.truth import precision_report

    for line in precision_report(Workspace.open(options.workspace), options.selection, options.column):
        print(line)
