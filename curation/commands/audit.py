"""The command `audit`: draws clips to be judged by ear, says what the answers tell, gives the answers away."""

from __future__ import annotations

import argparse

from curation.audit import CLIPS, EXPORT_FORMATS, REPEATS
from curation.commands.base import Commands
from curation.errors import InputError
from curation.urls import local_path
from curation.workspace import Workspace


def register(commands: Commands) -> None:
    """audit."""
    command = commands.add("audit", "judge selections by ear: draw clips, report, export answers", _audit)
    command.add_argument("action", choices=("draw", "more", "report", "export"), help="what to do")
    command.add_argument("--name", default="", help="name of the audit; the newest by default; a new one for `draw`")
    command.add_argument(
        "--selection", action="append", default=[],
        help="run to judge; twice to tell two apart; the newest by default",
    )  # fmt: skip
    command.add_argument("--clips", type=int, default=None, help=f"clips to draw ({CLIPS}), or to add (`more`)")
    command.add_argument("--repeats", type=float, default=REPEATS, help="share of the clips that comes twice")
    command.add_argument("--seed", type=int, default=0, help="of the draw")
    command.add_argument("--auditor", default=None, help="count the answers of this person only")
    command.add_argument("--format", choices=EXPORT_FORMATS, default="csv", help="of the exported answers")
    command.add_argument("--out", type=local_path, default=None, help="file for `export`; never overwritten")


def _audit(options: argparse.Namespace) -> None:
    workspace = Workspace.open(options.workspace)
    {"draw": _draw, "more": _more, "report": _report, "export": _export}[options.action](workspace, options)


def _draw(workspace: Workspace, options: argparse.Namespace) -> None:
    from curation.audit import media_there
    from curation.audit_draw import draw_audit

    runs = options.selection or [run for run in [workspace.current_selection] if run]
    if not runs:
        raise InputError(
            f"{workspace.name} has no selection yet.", hint=f"Make one: python -m curation run {workspace.path}"
        )
    clips = CLIPS if options.clips is None else options.clips
    plan = draw_audit(workspace, runs, clips=clips, repeats=options.repeats, seed=options.seed, name=options.name)
    gone = sum(
        not there for there in media_there(workspace, [plan.items[i].clip_id for i in plan.first_items]).values()
    )
    print(
        f"{plan.name}: {plan.clips} clips of {plan.candidates:,} candidates, {len(plan.items) - plan.clips} of them "
        f"twice. Listen on the Evaluate page of the explorer."
    )
    if gone:
        print(f"note: {gone} of them have no media file that is there; they will be skipped")


def _more(workspace: Workspace, options: argparse.Namespace) -> None:
    from curation.audit_draw import extend

    if options.clips is None:
        raise InputError("How many clips are to be added?", hint="Give --clips N.")
    plan = extend(workspace, _named(workspace, options), options.clips)
    print(f"{plan.name}: {len(plan.first_items)} clips now")


def _report(workspace: Workspace, options: argparse.Namespace) -> None:
    from curation.audit import answers, read_plan
    from curation.audit_report import find, report_lines

    name = _named(workspace, options)
    for line in report_lines(find(read_plan(workspace, name), answers(workspace, name), options.auditor)):
        print(line)


def _export(workspace: Workspace, options: argparse.Namespace) -> None:
    from curation.atomic import write_bytes
    from curation.audit import export_text

    text = export_text(workspace, _named(workspace, options), options.format)
    if options.out is None:
        print(text, end="")
        return
    if options.out.exists():
        raise InputError(f"{options.out} is there already.", hint="Choose another name; nothing is overwritten.")
    write_bytes(options.out, text.encode("utf-8"))
    print(f"{options.out}: {max(0, text.count(chr(10)) - (options.format == 'csv'))} answers")


def _named(workspace: Workspace, options: argparse.Namespace) -> str:
    from curation.audit import names

    known = names(workspace)
    if not options.name and not known:
        raise InputError(
            f"{workspace.name} has no audit yet.", hint=f"Draw one: python -m curation audit {workspace.path} draw"
        )
    return options.name or known[-1]
