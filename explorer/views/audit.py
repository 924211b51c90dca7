"""A blind audit in words and tables: a plan, answers and findings go in; texts, rows and clips to show come out."""

from __future__ import annotations

import math
from collections.abc import Sequence

from curation.audit import ANSWERS, Answer, Plan
from curation.audit_report import Agreed, Found, Group
from curation.kernels.auditing import Share
from explorer.views import words

SECONDS_A_CLIP = 7.5
KEYS = {"seen": "1", "plausible": "2", "overlaid": "3", "unclear": "4"}
ICONS = {
    "seen": ":material/visibility:",
    "plausible": ":material/visibility_off:",
    "overlaid": ":material/layers:",
    "unclear": ":material/question_mark:",
}
MEANS = {
    "seen": "What sounds is in the picture: the dog barks, the person speaks, the engine runs.",
    "plausible": "It could be from this place, but its source is not in the picture.",
    "overlaid": "Added afterwards: music, a narrator, dubbing, the sound of something else.",
    "unclear": "Left out of every number, and counted.",
}


def start_label(clips: int) -> str:
    """`Check 120 clips by ear (about 15 min)`."""
    minutes = max(1, round(clips * SECONDS_A_CLIP / 60))
    return f"Check {words.count(clips)} by ear (about {minutes} min)"


def answer_label(answer: str) -> str:
    """An answer as a button's text: its first letter large."""
    text = ANSWERS[answer]
    return text[0].upper() + text[1:]


def progress_words(plan: Plan, answered: int, gone: int) -> str:
    """`17 of 132 · 3 skipped: their media files are not there`."""
    text = f"{answered:,} of {words.count(len(plan.items))} heard"
    if not gone:
        return text
    reason = "its media file is" if gone == 1 else "their media files are"
    return f"{text} · {gone:,} skipped: {reason} not there"


def plan_words(plan: Plan) -> str:
    """`concord · 120 clips of 3,377 candidates · 12 of them twice`."""
    clips = len(plan.first_items)
    runs = " against ".join(plan.runs)
    text = f"{words.literal(runs)} · {words.count(clips)} of {words.count(plan.candidates, 'candidates')}"
    twice = len(plan.items) - clips
    return f"{text} · {twice:,} of them twice" if twice else text


def share_words(share: Share) -> str:
    """`78 % (64–88)`, or a dash where it is unknown."""
    if not math.isfinite(share.value):
        return words.MISSING
    return f"{100 * share.value:.0f} % ({100 * share.low:.0f}–{100 * share.high:.0f})"


def group_note(group: Group) -> str:
    """What stands under a group's number."""
    if not math.isfinite(group.strict.value):
        return f"{words.count(group.heard)} heard: too few answers to say"
    unclear = f" · {group.unclear} cannot tell" if group.unclear else ""
    return (
        f"{share_words(group.lenient)} with “plausible” · {words.count(group.strict.n, 'answers')}, worth "
        f"{group.strict.effective:.0f}{unclear} · {words.count(group.clips)} in all"
    )


def agreement_words(agreed: Agreed) -> str:
    """`anna the second time: 11 of 12 the same · kappa 0.87 (0.61–0.98)`."""
    same = agreed.first == agreed.second
    whom = f"{words.literal(agreed.first)} the second time"
    whom = whom if same else f"{words.literal(agreed.first)} and {words.literal(agreed.second)}"
    found = agreed.found
    text = f"{whom}: {round(found.agree.value * found.n):,} of {found.n:,} the same"
    if not math.isfinite(found.kappa):
        return f"{text} · kappa undefined: one same answer throughout"
    return f"{text} · kappa {words.number(found.kappa)} ({words.number(found.low)} to {words.number(found.high)})"


def heard_words(found: Found) -> str:
    """How many clips were heard by whom, and how many could not be told."""
    people = ", ".join(words.literal(name) for name in found.auditors) or "nobody yet"
    text = f"{found.heard:,} of {words.count(len(found.plan.first_items))} heard by {people}"
    unclear = f" · {found.unclear:,} could not be told and count for neither side" if found.unclear else ""
    return f"{plan_words(found.plan)} · {text}{unclear}"


def groups_of(plan: Plan) -> dict[str, str]:
    """What the clips behind a number can be narrowed to."""
    chosen = {f"run{r}": f"chosen by {run}" for r, run in enumerate(plan.runs)}
    return {"all": "all clips"} | chosen | {"none": "not chosen"}


def clips_behind(plan: Plan, given: Sequence[Answer], group: str, answer: str) -> list[str]:
    """Clips of a group (`groups_of`) that somebody gave this answer to, in the order heard; repeats left out."""
    found: dict[str, None] = {}
    for one in given:
        item = plan.items[one.item]
        by = plan.strata[item.stratum].chosen_by
        inside = group == "all" or (not any(by) if group == "none" else by[int(group.removeprefix("run"))])
        if inside and one.answer == answer and item.repeat_of is None:
            found[item.clip_id] = None
    return list(found)
