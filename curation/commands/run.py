"""Commands that make a workspace, run stages, say how things stand, and stop a run."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from curation import jobs
from curation.commands.base import (
    Commands,
    add_settings,
    add_sources,
    job,
    keep_settings,
    open_or_create,
    printable,
    short,
)
from curation.progress import Progress
from curation.workspace import Workspace

STAGES = {
    "scan": "find and probe the media files",
    "filter": "choose the videos that go on",
    "segment": "cut the videos into clips",
    "features": "measure the clips' sound and picture",
    "health": "find silence, clipping, black, static pictures, missing streams, speech and music",
    "cluster": "cluster every layer",
    "select": "choose the subset",
    "neighbours": "make sounds and pictures comparable, each clip with every other",
    "project": "lay out the maps of sound and picture",
}


SHARED_OUT = ("scan", "segment", "features", "cluster")  # stages whose parts may be done anywhere


def register(commands: Commands) -> None:
    """init, run, one command a stage, merge, status, cancel."""
    command = commands.add("init", "make a workspace", _init)
    add_sources(command)
    command.add_argument("--name", default="", help="name shown in the explorer")
    add_settings(command)

    command = commands.add("run", "run every stage that is missing or stale", _run)
    add_sources(command)
    command.add_argument("--until", choices=tuple(STAGES), default=None, help="stop after this stage")
    add_settings(command)
    _add_engine(command)

    for name, help in STAGES.items():
        command = commands.add(name, help, _stage)
        add_settings(command)
        _add_engine(command)
        if name in SHARED_OUT:
            command.add_argument(
                "--shard", default="", metavar="I/N", help="do only this share of the parts; `merge` joins them"
            )

    command = commands.add("merge", "join what the shards of a stage have done", _merge)
    command.add_argument("stage", choices=SHARED_OUT)

    command = commands.add("status", "what is done, stale, failed and why", _status)
    command.add_argument("--json", action="store_true", help="as JSON")
    command.add_argument("--files", action="store_true", help="list every file that is not used, with its reason")

    command = commands.add("cancel", "ask the running jobs (or one) to stop", _cancel)
    command.add_argument("job_id", nargs="?", default=None, help="id of the job; all running ones by default")


def _init(options: argparse.Namespace) -> None:
    workspace = open_or_create(options)
    print(f"{workspace.path} is ready. Next: python -m curation run {workspace.path}")


def _run(options: argparse.Namespace) -> None:
    workspace = open_or_create(options)
    only = tuple(STAGES)[: list(STAGES).index(options.until) + 1] if options.until else None
    with job(workspace, options, "run") as (progress, record), _engine(options) as do:
        run_stages(workspace, progress, record, only, do)


def _stage(options: argparse.Namespace) -> None:
    workspace = Workspace.open(options.workspace)
    keep_settings(workspace, options)
    for line in _stale_before(workspace, options.command):
        print(line)
    with job(workspace, options, options.command) as (progress, record), _engine(options) as do:
        if getattr(options, "shard", ""):
            _run_shard(workspace, options, progress)
        else:
            run_stages(workspace, progress, record, _with_needed(options.command, workspace), do)


def _add_engine(command: argparse.ArgumentParser) -> None:
    command.add_argument("--engine", choices=("local", "ray"), default="local", help="where parts are done")
    command.add_argument("--address", default="auto", help="of the Ray cluster; `local`: one on this machine's cores")
    command.add_argument("--actors", type=int, default=0, help="parts at once on the cluster; 0: one a CPU")


@contextlib.contextmanager
def _engine(options: argparse.Namespace) -> Iterator[Any]:
    """What does the parts, as `pipeline.run` takes it; a cluster is left at the end."""
    from curation.stage import do_parts

    if options.engine == "local":
        yield do_parts
        return
    from curation.distributed.ray_engine import RayEngine

    with RayEngine(options.address, options.actors) as engine:
        yield engine.do


def _run_shard(workspace: Workspace, options: argparse.Namespace, progress: Progress) -> None:
    from curation.pipeline import stage_named
    from curation.sharding import Shard, run_shard
    from curation.stage import StageContext

    shard = Shard.parse(options.shard)
    report = run_shard(stage_named(options.command), StageContext(workspace, workspace.config, progress), shard)
    if report.facts.get("skipped"):
        print(f"{options.command:10} already done")
    else:
        print(f"{options.command:10} shard {shard}: {report.facts['parts']} of {report.facts['of_parts']} parts")


def _merge(options: argparse.Namespace) -> None:
    from curation.pipeline import stage_named
    from curation.sharding import check_merged
    from curation.stage import StageContext

    workspace = Workspace.open(options.workspace)
    with job(workspace, options, f"merge {options.stage}") as (progress, record):
        check_merged(stage_named(options.stage), StageContext(workspace, workspace.config, progress))
        run_stages(workspace, progress, record, (options.stage,))


def _with_needed(stage: str, workspace: Workspace) -> tuple[str, ...]:
    """A stage alone, with the neighbours before it where it lays out by them."""
    by_neighbours = stage == "project" and workspace.config.project.method == "umap"
    return ("neighbours", stage) if by_neighbours else (stage,)


def _stale_before(workspace: Workspace, stage: str) -> list[str]:
    """A line for each earlier stage whose result is older than the settings; a stage alone uses it as it is."""
    from curation import pipeline

    states = {status.stage: status for status in pipeline.status(workspace)}
    reads, lines = pipeline.READS.get(stage), []
    while reads:
        if states[reads].state == "stale":
            lines.append(
                f"note: {reads} is stale ({states[reads].reason}); {stage} uses it as it is. `run` makes it anew."
            )
        reads = pipeline.READS.get(reads)
    return lines


def run_stages(
    workspace: Workspace,
    progress: Progress,
    record: jobs.JobRecord,
    only: Sequence[str] | None,
    do: Any = None,
) -> None:
    """Run stages (all that are needed where `only` is None), a line for each as it ends."""
    from curation import pipeline
    from curation.stage import do_parts

    def say(name: str, report: Any, seconds: float) -> None:
        facts = {key: value for key, value in report.facts.items() if value is not None}
        if facts.pop("skipped", False):
            print(f"{name:10} already done")
            return
        shown = ", ".join(f"{key.replace('_', ' ')} {short(value)}" for key, value in facts.items())
        print(f"{name:10} {seconds:7.1f} s  {shown}")
        for code, count in sorted(report.failures.items()):
            print(f"{'':10} {count} {code}")
        for notice in report.notices:
            print(f"{'':10} note: {notice}")
        record.result({name: facts})
        sys.stdout.flush()

    pipeline.run(workspace, progress, only=only, on_stage=say, do=do or do_parts)


def _status(options: argparse.Namespace) -> None:
    from curation import pipeline
    from curation.listing import unused_files

    workspace = Workspace.open(options.workspace)
    stages = pipeline.status(workspace)
    unused = unused_files(workspace)
    running = jobs.running_jobs(workspace)
    if options.json:
        print(
            json.dumps(
                {
                    "workspace": str(workspace.path),
                    "name": workspace.name,
                    "settings": workspace.settings,
                    "stages": [vars(stage) for stage in stages],
                    "unused": {
                        "counts": unused.counts,
                        "files": unused.rows if options.files else unused.rows[:100],
                    },
                    "selections": [key.partition("/")[2] for key in workspace.keys("selections")],
                    "jobs": jobs.list_jobs(workspace, 10),
                },
                indent=1,
                ensure_ascii=False,
                default=str,
            )
        )
        return
    print(f"{workspace.name}  {workspace.path}")
    for stage in stages:
        facts = next(iter(stage.facts.values()), {}) if len(stage.facts) == 1 else {"artefacts": len(stage.facts)}
        shown = ", ".join(
            f"{key} {short(facts[key])}" for key in ("files", "kept", "clips", "hours", "artefacts") if key in facts
        )
        print(f"  {stage.stage:10} {stage.state:10} {shown}{'  ' if shown and stage.reason else ''}{stage.reason}")
    for code, count in unused.counts.items():
        print(f"  not used: {count} {code}")
    if options.files:
        for row in unused.rows:
            print("    " + printable(f"{row['path']}: {row['stage']}, {row['code']}: {row['message']}"))
    for record in running:
        done = f"{record.get('done', 0)}/{record.get('total', 0)}"
        print(f"  running: {record['id']} {record['title']} {record.get('stage', '')} {done}")


def _cancel(options: argparse.Namespace) -> None:
    workspace = Workspace.open(options.workspace)
    wanted = [options.job_id] if options.job_id else [job["id"] for job in jobs.running_jobs(workspace)]
    for job_id in wanted:
        jobs.cancel(workspace, job_id)
        print(f"asked {job_id} to stop; what is finished is kept")
    if not wanted:
        print("no job is running")
