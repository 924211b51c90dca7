"""What people said beside what the machine chose: answers and rows go in, decisions, counts and lines come out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from explorer.views import words

DONE = {"keep": "kept", "drop": "dropped", "maybe": "maybe"}


@dataclass(frozen=True)
class Numbers:
    """Clips: chosen by the machine, kept, dropped, maybe, in the final choice; `added` and `removed` against it."""

    machine: int
    keep: int
    drop: int
    maybe: int
    added: int
    removed: int

    @property
    def final(self) -> int:
        """The machine's choice with what was kept and without what was dropped."""
        return self.machine + self.added - self.removed


def numbers(said: Mapping[str, Sequence[str]], machine: pa.Array) -> Numbers:
    """Count. `said`: ids of the clips of keep, drop and maybe; `machine`: ids that the machine chose, string (n,)."""
    chosen = {name: _among(said[name], machine) for name in ("keep", "drop")}
    return Numbers(
        machine=len(machine),
        keep=len(said["keep"]),
        drop=len(said["drop"]),
        maybe=len(said["maybe"]),
        added=len(said["keep"]) - chosen["keep"],
        removed=chosen["drop"],
    )


def _among(clip_ids: Sequence[str], machine: pa.Array) -> int:
    return int(pc.sum(pc.is_in(pa.array(clip_ids, pa.string()), machine)).as_py() or 0)


def numbers_line(told: Numbers, run: str | None) -> str:
    """`machine 675 · people 12 kept, 5 dropped, 3 maybe · final 682 (+9 −2)`."""
    people = f"people {told.keep:,} kept, {told.drop:,} dropped, {told.maybe:,} maybe"
    if run is None:
        return people
    moved = f" (+{told.added:,} −{told.removed:,})" if told.added or told.removed else ""
    return f"machine {told.machine:,} · {people} · final {words.count(told.final)}{moved}"


def before_line(decided: Sequence[str | None]) -> str:
    """What was said before of clips that are answered at once: `before: 3 kept, 1 dropped, 96 without an answer`."""
    told = [f"{n:,} {done}" for name, done in DONE.items() if (n := sum(one == name for one in decided))]
    if not told:
        return "none of them has an answer yet"
    left = sum(one is None for one in decided)
    return f"before: {', '.join([*told, *([f'{left:,} without an answer'] if left else [])])}"


def deciding(spoken: Mapping[str, Sequence[tuple[str, Any]]], clip_ids: Sequence[str]) -> list[str | None]:
    """For each clip what was decided last, None where nobody decided. `spoken`: (reviewer, answer), the last at the
    end."""
    return [
        next((one.decision for _, one in reversed(spoken.get(clip, [])) if one.decision is not None), None)
        for clip in clip_ids
    ]
