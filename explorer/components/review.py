"""The player of a list of clips with keep, drop and maybe: clips go in; answers and the present clip come out.

Moving and answering happen in the browser at once, without a rerun: the component holds the clips around the present
one. Answers are sent in batches and stay in the browser's own store until the page confirms them, so that neither a
reload nor a server that went away costs one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from explorer.components.mount import notify, pending, renderer
from explorer.components.player import STRIP_BANDS

MAX_ITEMS = 100
_draw = renderer("review", "stream", "playback")


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """One clip. `duration_s` is None where there is nothing to play; `machine`: chosen or not, None without a run."""

    clip_id: str
    caption: str
    duration_s: float | None
    machine: bool | None = None


@dataclass(frozen=True, slots=True)
class ReviewAnswers:
    """A batch of answers, each a mapping of clip_id, decision and note, to be confirmed by `batch` once it is safe."""

    batch: str
    reviewer: str
    answers: tuple[Mapping[str, Any], ...]


Said = Mapping[str, Sequence[tuple[str, str | None, str]]]


def review_player(
    items: Sequence[ReviewItem],
    *,
    current: str,
    turn: int,
    list_id: str,
    offset: int,
    total: int,
    bases: Mapping[str, str],
    workspace: str,
    reviewer: str,
    said: Said,
    said_stamp: str,
    confirmed: Sequence[str],
    problem: str = "",
    height: int = 300,
    key: str,
    on_at: Callable[[str], None] | None = None,
    on_answers: Callable[[ReviewAnswers], None] | None = None,
) -> None:
    """Draws the player.

    items: the clips around the present one, at most `MAX_ITEMS`; they are `offset`, `offset` + 1, ... of `total`.
    current: clip_id to show when the component is new, or `turn` or `list_id` changed: otherwise the browser knows
    better where a person is. list_id: another one for another list of clips.
    bases: addresses of `video`, `still` and `strip`, to which a clip's id is added. workspace: with `reviewer` the name
    of the browser's own store. said: clip_id -> (reviewer, decision, note) of everybody, who spoke last at the end;
    `said_stamp` changes with it. confirmed: the batches that are safe. problem: why the last one is not.
    on_at: the clip that a person stepped to. on_answers: a batch to keep.
    """

    def told() -> None:
        said = pending(key, "said")
        notify(on_answers, _answers(said))
        notify(on_at, _at(said))

    shown = items[:MAX_ITEMS]
    _draw(
        key=key,
        data={
            "items": [[one.clip_id, one.caption, one.duration_s, one.machine] for one in shown],
            "window": f"{offset}:{len(shown)}:{shown[0].clip_id if shown else ''}:{shown[-1].clip_id if shown else ''}",
            "current": current,
            "turn": turn,
            "list": list_id,
            "offset": offset,
            "total": total,
            "base": dict(bases),
            "workspace": workspace,
            "reviewer": reviewer,
            "said": {clip: [list(one) for one in spoken] for clip, spoken in said.items()},
            "said_stamp": said_stamp,
            "confirmed": list(confirmed),
            "problem": problem,
            "bands": [[band.name, band.share, band.modality] for band in STRIP_BANDS],
            "height": height,
        },
        on_said_change=told,
    )


def _at(sent: Any) -> str | None:
    """The browser's message as a clip_id; anything that is not one is None."""
    clip_id = sent.get("clip_id") if isinstance(sent, Mapping) else None
    return clip_id if isinstance(clip_id, str) else None


def _answers(sent: Any) -> ReviewAnswers | None:
    """The browser's message as a batch; anything that is not one is None."""
    if not isinstance(sent, Mapping):
        return None
    batch, reviewer, answers = sent.get("batch"), sent.get("reviewer"), sent.get("answers")
    if not isinstance(batch, str) or not isinstance(reviewer, str) or not isinstance(answers, list):
        return None
    return ReviewAnswers(batch, reviewer, tuple(one for one in answers if isinstance(one, Mapping)))
