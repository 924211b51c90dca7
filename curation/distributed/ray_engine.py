"""The parts of a stage on a Ray cluster: the same parts, the same code, the same files as here.

Every actor opens the workspace itself (a folder that all machines see), plans the same work and does one part at a
time with decoding processes of its own; part numbers go to it and nothing but their sizes comes back, so no frame and
no feature passes through Ray's object store. As many parts are under way as there are actors.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from curation.config import Config
from curation.errors import ConcordError, InputError, MissingPackageError
from curation.pipeline import stage_named
from curation.progress import Progress
from curation.stage import Part, Stage, StageContext, Work, do_parts, shared_decoders, stale_targets
from curation.workspace import Workspace

TRIES = 3
POLL_S = 1.0


class RayEngine:
    """Does parts on a cluster; use as a context manager, which connects and disconnects.

    address: "auto" for the cluster that this machine is part of, "local" for one of this machine's cores, or an
    address as Ray spells it. actors: how many parts at once, at most one for each CPU of the cluster (for each
    GPU, where features are measured on them); 0: as many as that.
    """

    def __init__(self, address: str = "auto", actors: int = 0) -> None:
        self._address, self._actors = address, actors
        self._ray: Any = None

    def __enter__(self) -> RayEngine:
        self._ray = _imported()
        place = None if self._address == "local" else self._address
        environment = {"env_vars": {"PYTHONPATH": os.environ.get("PYTHONPATH", os.getcwd())}}  # noqa: PTH109
        options: dict[str, Any] = {"include_dashboard": False, "num_cpus": _cores()} if place is None else {}
        try:
            self._ray.init(place, runtime_env=environment, log_to_driver=False, ignore_reinit_error=True, **options)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise InputError(
                f"The Ray cluster at {self._address!r} cannot be reached ({error}).",
                hint="Start one with `ray start --head`, give its address with --address, or use --address local.",
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._ray.shutdown()

    def do(self, stage: Stage, work: Work, context: StageContext) -> None:
        """Do the parts that are not done yet; those of stages without independent parts are done here.

        A part whose machine or process dies is given to another actor; after three such deaths it is set aside, the
        others go on, and the error at the end names it. Errors of the work itself stop everything, as they do here.
        """
        if not (stage.decodes or stage.shared):
            do_parts(stage, work, context)
            return
        waiting = []
        for part in work.parts:
            if work.is_done(part):
                context.progress.advance(part.size, finished_before=True)
            else:
                waiting.append(part)
        if not waiting:
            return
        resources = self._ray.cluster_resources()
        gpu = stage.name == "features" and resources.get("GPU", 0) >= 1
        n_actors = actor_count(resources, self._actors, len(waiting), gpu)
        set_aside = _Schedule(self._ray, self._actor_maker(stage, context, gpu), n_actors, context).run(waiting)
        if set_aside:
            shown = ", ".join(str(part.index) for part in set_aside[:10])
            raise ConcordError(
                f"{len(set_aside)} parts of {stage.name} failed {TRIES} times and are set aside: {shown}.",
                hint="Everything else is kept. Look at the log of the cluster, then run the same command again.",
                code="parts_failed",
            )

    def _actor_maker(self, stage: Stage, context: StageContext, gpu: bool) -> Callable[[], Any]:
        actor = self._ray.remote(num_cpus=1, num_gpus=1 if gpu else 0, max_restarts=0)(PartRunner)
        path, settings = str(context.workspace.path), context.workspace.settings
        return lambda: actor.remote(path, stage.name, settings)


def actor_count(resources: Mapping[str, float], wanted: int, parts: int, gpu: bool) -> int:
    """Actors to start, each with a CPU (and a GPU): at most `wanted` (0: as many as can be), and one a part.

    Never more than the cluster has room for: one more would wait for its place for ever, with the part it was given.
    """
    room = int(min(resources.get("CPU", 1), resources.get("GPU", 0) if gpu else float("inf")))
    return max(1, min(wanted or room, room, parts))


class PartRunner:
    """What an actor is: one workspace, one stage, one planned work; set up once, then a part at a time."""

    def __init__(self, workspace: str, stage: str, settings: dict[str, Any]) -> None:
        opened = Workspace.open(workspace)
        config = Config().replace({**settings, "resources.workers": 1})
        self._context = StageContext(opened, config, Progress(), shared_decoders(config))
        found = stage_named(stage)
        self._work = found.plan(self._context, stale_targets(opened, found.targets(opened, config)))

    def run(self, index: int) -> tuple[int, str]:
        """Do part `index`; its number, and the sentence of an error of the work itself."""
        part = self._work.parts[index]
        try:
            if not self._work.is_done(part):
                self._work.run(part)
        except ConcordError as error:
            return index, str(error)
        return index, ""

    def pid(self) -> int:
        """The actor's process."""
        return os.getpid()


class _Schedule:
    """Hands parts to actors, one each, and makes a new actor for one that died."""

    def __init__(self, ray: Any, make: Callable[[], Any], actors: int, context: StageContext) -> None:
        self._ray, self._make, self._context = ray, make, context
        self._idle = [make() for _ in range(actors)]
        self._busy: dict[Any, tuple[Any, Part]] = {}

    def run(self, waiting: list[Part]) -> list[Part]:
        """Do all; returns the parts that were set aside."""
        queue, deaths, set_aside = list(reversed(waiting)), Counter[int](), []
        try:
            while queue or self._busy:
                self._context.progress.check_cancelled()
                while queue and self._idle:
                    actor, part = self._idle.pop(), queue.pop()
                    self._busy[actor.run.remote(part.index)] = actor, part
                done, _ = self._ray.wait(list(self._busy), num_returns=1, timeout=POLL_S)
                for ref in done:
                    actor, part = self._busy.pop(ref)
                    if self._took(ref, part):
                        self._idle.append(actor)
                        continue
                    self._idle.append(self._make())
                    deaths[part.index] += 1
                    if deaths[part.index] < TRIES:
                        queue.append(part)
                    else:
                        set_aside.append(part)
        finally:
            for actor in [*self._idle, *(actor for actor, _ in self._busy.values())]:
                self._ray.kill(actor)
        return set_aside

    def _took(self, ref: Any, part: Part) -> bool:
        """True for a part that was done; False where its actor died. Raises the work's own error."""
        try:
            _, error = self._ray.get(ref)
        except self._ray.exceptions.RayActorError:
            return False
        if error:
            raise ConcordError(error, code="part_failed")
        self._context.progress.advance(part.size)
        return True


def _cores() -> int:
    return max(1, len(os.sched_getaffinity(0)))


def _imported() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise MissingPackageError(
            "Ray is not installed.", hint="Install it: pip install 'ray>=2.40'. Without it: --shard 1/8, then merge."
        ) from None
    return ray
