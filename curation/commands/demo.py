"""The command `demo`: a made set of clips, curated."""

from __future__ import annotations

import argparse

from curation.commands.base import Commands, add_settings, job, keep_settings
from curation.commands.run import run_stages
from curation.workspace import Workspace

DEMO_CLIPS = 160


def register(commands: Commands) -> None:
    """demo."""
    add_settings(commands.add("demo", "make the demo clips and curate them", _demo))


def _demo(options: argparse.Namespace) -> None:
    from curation import importers
    from curation.demo import make_demo_media

    workspace = Workspace.create(options.workspace, name="demo")
    with job(workspace, options, "demo") as (progress, record):
        progress.start("demo", DEMO_CLIPS, "clips")
        media = make_demo_media(workspace.path / "demo", n_clips=DEMO_CLIPS, progress=progress)
        workspace.configure({"cluster.n_clusters": "8", "select.budget": "0.5"}, roots=[str(media / "clips")])
        keep_settings(workspace, options)
        run_stages(workspace, progress, record, ("scan", "filter", "segment"))
        answers = {"truth_match": "truth_match", "label_visual": "label_visual", "label_audio": "label_audio"}
        importers.import_columns(workspace, media / "truth.csv", "file", answers)
        run_stages(workspace, progress, record, None)
