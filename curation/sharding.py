"""A stage's parts shared out to several processes or machines that see the same folder, without any engine.

Every shard `i/n` does the parts whose number leaves i - 1 when divided by n, one part in, one file out; `merge` then
joins what all of them wrote. A shard that was killed is started again and goes on; two may run at once.
"""

from __future__ import annotations

import re
from contextlib import ExitStack
from dataclasses import dataclass

from curation.errors import InputError, SettingError
from curation.locks import writer_lock
from curation.stage import Part, Report, Stage, StageContext, shard_lock, stage_lock, stale_targets

WAIT_S = 300.0  # until other shards have looked at the media folders


@dataclass(frozen=True)
class Shard:
    """One of `count` shares of a stage's parts, numbered from 1."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """`2/8` as a shard. Raises `SettingError` for anything else."""
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip())
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise SettingError(
                f"{text[:40]!r} is no shard.", hint="Give its number and how many there are: 1/8, 2/8 ... 8/8."
            )
        return cls(int(found[1]), int(found[2]))

    def takes(self, part: Part) -> bool:
        """True for the parts that this shard does."""
        return part.index % self.count == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def run_shard(stage: Stage, context: StageContext, shard: Shard) -> Report:
    """Do a shard's parts of one stage and put nothing in place.

    Raises `SettingError` for a stage that is not done in independent parts, `LockedError` where a whole run is busy.
    """
    check_shared(stage)
    workspace = context.workspace
    with ExitStack() as stack:
        with writer_lock(stage_lock(workspace, stage.name), purpose=stage.name, wait_s=WAIT_S):
            name = f"{stage.name} {shard}"
            stack.enter_context(writer_lock(shard_lock(workspace, stage.name, str(shard)), purpose=name))
            stage.look(workspace)
            targets = stale_targets(workspace, stage.targets(workspace, context.config))
            if not targets:
                return Report(facts={"skipped": True})
            work = stage.plan(context, targets)
        stack.callback(context.close)
        mine = [part for part in work.parts if shard.takes(part)]
        context.progress.start(f"{stage.name} {shard}", sum(part.size for part in mine), stage.unit)
        for part in mine:
            context.progress.check_cancelled()
            if work.is_done(part):
                context.progress.advance(part.size, finished_before=True)
            else:
                work.run(part)
        context.progress.flush()
        return Report(facts={"shard": str(shard), "parts": len(mine), "of_parts": len(work.parts)})


def check_merged(stage: Stage, context: StageContext) -> None:
    """Raise `InputError` where parts of a stage are not done by any shard yet."""
    check_shared(stage)
    targets = stale_targets(context.workspace, stage.targets(context.workspace, context.config))
    if not targets:
        return
    work = stage.plan(context, targets)
    missing = [part.index for part in work.parts if not work.is_done(part)]
    if missing:
        shown = ", ".join(map(str, missing[:10])) + (" ..." if len(missing) > 10 else "")
        raise InputError(
            f"{len(missing)} of {len(work.parts)} parts of {stage.name} are not done: {shown}.",
            hint=f"Start the shards that did them again (part p is done by shard p mod n + 1), or run {stage.name} "
            "without --shard, which does the rest here.",
        )


def check_shared(stage: Stage) -> None:
    """Raise `SettingError` for a stage that cannot be shared out."""
    if not (stage.decodes or stage.shared):
        raise SettingError(
            f"{stage.name} is one piece of work and is not shared out.",
            hint="Stages with parts of their own: scan, segment, features, cluster.",
        )
