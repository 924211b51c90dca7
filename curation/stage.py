"""The contract of a stage: what it will make (targets), the pieces of that work (parts), one part, and the finish.

A stage is asked for its targets first; what is already there with the same fingerprint is skipped. The rest is planned
as parts. A part that is done leaves a file, written whole, and is not done again after a kill. `finish` puts artefacts
in place.
"""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from curation.config import Config
from curation.errors import LockedError
from curation.locks import owner_is_gone, read_owner, writer_lock
from curation.media.sandbox import Sandbox
from curation.progress import Progress
from curation.workspace import Workspace, fingerprint_of


@dataclass(frozen=True)
class Target:
    """An artefact that a stage makes, and the fingerprint it will have."""

    key: str
    fingerprint: str


@dataclass(frozen=True)
class Part:
    """One piece of a stage's work: its number, how many items it counts for, and what it is about."""

    index: int
    size: int
    payload: Any = None


@dataclass
class Report:
    """What a stage did: sentences for people, counts of failures by code."""

    notices: list[str] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass
class StageContext:
    """What a running stage may use: the workspace, the settings, progress, and processes that decode (`decoders`:
    those that the stages of a run share)."""

    workspace: Workspace
    config: Config
    progress: Progress
    decoders: Sandbox | None = None
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def sandbox(self, *, time_limit_s: float, memory_limit_mb: int, most_workers: int | None = None) -> Sandbox:
        """Decoding processes under these limits: the shared ones, or some of its own, closed when the stage ends. As
        many as `resources.workers` (0: one a core), at most `most_workers`."""
        workers = decoding_workers(self.config)
        if self.decoders is not None and (most_workers or workers) >= workers:
            return self.decoders.limited(time_limit_s=time_limit_s, memory_limit_mb=memory_limit_mb)
        workers = min(workers, most_workers or workers)
        return self._stack.enter_context(
            Sandbox(workers=workers, time_limit_s=time_limit_s, memory_limit_mb=memory_limit_mb)
        )

    def close(self) -> None:
        self._stack.close()


def shared_decoders(config: Config) -> Sandbox:
    """Decoding processes for all stages of a run; none is started before a stage asks for them."""
    return Sandbox(decoding_workers(config))


def decoding_workers(config: Config) -> int:
    """How many processes decode: `resources.workers`, or one a core."""
    return config.resources.workers or max(1, len(os.sched_getaffinity(0)))


class Work(ABC):
    """The planned work of one stage for its stale targets. Made by `Stage.plan`, run once."""

    parts: Sequence[Part] = ()

    @abstractmethod
    def is_done(self, part: Part) -> bool:
        """True when an earlier run finished this part: its file is there."""

    @abstractmethod
    def run(self, part: Part) -> None:
        """Do one part. Bad items become rows with a code; only what stops everything raises."""

    @abstractmethod
    def finish(self) -> Report:
        """Join the parts and put the artefacts in place."""


class Stage(ABC):
    """One verb of the pipeline. Knows files and kernels, never another stage."""

    name: ClassVar[str]
    version: ClassVar[int]  # raised only when the numbers that it writes change
    unit: ClassVar[str]  # what its progress counts, in the plural
    makes: ClassVar[str]  # what it makes, for messages
    decodes: ClassVar[bool] = False  # whether it asks for `StageContext.sandbox`
    shared: ClassVar[bool] = False  # whether its parts may be done on several machines, as those that decode may

    def look(self, workspace: Workspace) -> None:  # noqa: B027  (most stages read nothing outside the workspace)
        """Take note of what lies outside the workspace (the media folders) before a run."""

    def settle(self, workspace: Workspace, targets: list[Target]) -> None:  # noqa: B027  (most stages have one result)
        """Called after a run, also when everything was done already: note which artefacts the settings mean."""

    @abstractmethod
    def targets(self, workspace: Workspace, config: Config) -> list[Target]:
        """The artefacts this stage makes under `config`. Raises `MissingArtefactError` when an input is not there."""

    @abstractmethod
    def plan(self, context: StageContext, targets: list[Target]) -> Work:
        """Plan the work for the targets that are not there yet."""

    def fingerprint(self, config: dict[str, Any], inputs: Sequence[str]) -> str:
        """SHA-256 of the stage's name and version, the settings that matter and its inputs' fingerprints."""
        return fingerprint_of({"stage": self.name, "version": self.version, "config": config, "inputs": list(inputs)})


def is_imported(workspace: Workspace, key: str) -> bool:
    """True for an artefact brought in from elsewhere: no stage makes it again."""
    found = workspace.artefact(key)
    return found is not None and found.info.get("origin") == "imported"


def stale_targets(workspace: Workspace, targets: list[Target]) -> list[Target]:
    """The targets that are missing, or were made from other settings or inputs."""
    return [
        target
        for target in targets
        if not is_imported(workspace, target.key) and workspace.fingerprint(target.key) != target.fingerprint
    ]


def stage_lock(workspace: Workspace, stage: str) -> Path:
    """The lock of a stage's one writer."""
    return workspace.path / "locks" / f"{stage}.lock"


def shard_lock(workspace: Workspace, stage: str, shard: str) -> Path:
    """The lock of one shard (`2/8`) of a stage."""
    return workspace.path / "locks" / f"{stage}.{shard.replace('/', '-of-')}.lock"


def _refuse_shards(workspace: Workspace, stage: str) -> None:
    """A whole run would sweep away what shards are writing."""
    for path in sorted((workspace.path / "locks").glob(f"{stage}.*-of-*.lock")):
        owner = read_owner(path)
        if owner is not None and not owner_is_gone(path, owner):
            raise LockedError(
                f"A shard is being done: {owner.get('purpose', path.stem)} on {owner.get('host', '?')}.",
                hint="Wait for the shards to end, then merge.",
            )


PartsDone = Callable[["Stage", "Work", StageContext], None]
"""Does the parts of a work that are not done yet: here one after another, or by an engine on many machines."""


def do_parts(_stage: Stage, work: Work, context: StageContext) -> None:
    """One part after another, in this process."""
    for part in work.parts:
        context.progress.check_cancelled()
        if work.is_done(part):
            context.progress.advance(part.size, finished_before=True)
        else:
            work.run(part)


def run_stage(stage: Stage, context: StageContext, do: PartsDone = do_parts) -> Report:
    """Make what is stale of one stage. Cancelling or dying between two parts loses at most the part under way."""
    with writer_lock(stage_lock(context.workspace, stage.name), purpose=stage.name):
        _refuse_shards(context.workspace, stage.name)
        context.workspace.recover()
        stage.look(context.workspace)
        wanted = stage.targets(context.workspace, context.config)
        targets = stale_targets(context.workspace, wanted)
        for target in wanted:
            if target not in targets:  # a kill between putting it in place and tidying up left its parts
                context.workspace.drop_parts(target.key)
        if not targets:
            context.progress.start(stage.name, 0, stage.unit)
            context.progress.note("already done")
            stage.settle(context.workspace, wanted)
            return Report(facts={"skipped": True})
        try:
            work = stage.plan(context, targets)
            context.progress.start(stage.name, sum(part.size for part in work.parts), stage.unit)
            do(stage, work, context)
            report = work.finish()
            stage.settle(context.workspace, wanted)
        finally:
            context.close()
        context.progress.flush()
        return report
