"""Fit the scores of speech and of music on one half of the sounds, report on the other half.

    python -m benchmarks.health_scores ../shared/data [--fit]

`--fit` prints the numbers that stand in curation/health/scores.py. Reported: the area under the ROC curve (AUC), the
share found and the share of false alarms at a score of 0.5.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from benchmarks.health_sounds import MUSIC_LABELS, SPEECH_LABELS, Maker, Sounds, characters, load
from curation.extractors.sound_character import CHARACTER_NAMES
from curation.health.scores import MUSIC, SPEECH, Score, score

FIT_SPEAKERS = ("nicolas", "theo")
# A single word is too short for a pulse: its absence would give the answer away.
NOT_FOR_SPEECH = ("pulse",)
Group = tuple[np.ndarray, float]  # numbers (n, 23) and the group's weight in the fit


def material(sounds: Sounds, half: int, speakers: tuple[str, ...], n_made: int = 300) -> dict[str, np.ndarray]:
    """Numbers of each kind of sound of one half."""
    maker = Maker(sounds, half, seed=10 + half)
    words = [word for speaker in speakers for word in sounds.digits[speaker]]
    esc = [sound for sound, its_half in zip(sounds.esc, sounds.esc_half) if its_half == half]
    return {
        "digits": characters(words),
        "placed digits": characters([maker.placed(word) for word in words]),
        "spoken": characters([maker.spoken(speakers[i % len(speakers)]) for i in range(n_made)]),
        "music": characters([maker.played() for _ in range(n_made)]),
        "esc": characters(esc),
        "placed esc": characters([maker.placed(sound) for sound in esc]),
    }


def fit(positive: list[Group], negative: list[Group], without: tuple[str, ...] = ()) -> Score:
    """A logistic score, groups weighted as given whatever their size."""
    used = [i for i, name in enumerate(CHARACTER_NAMES) if name not in without]
    values = np.concatenate([group for group, _ in positive + negative])[:, used]
    truth = np.repeat([1, 0], [sum(len(g) for g, _ in positive), sum(len(g) for g, _ in negative)])
    weights = np.concatenate([np.full(len(g), 300 * w / len(g)) for g, w in positive + negative])
    scaler = StandardScaler().fit(values)
    model = LogisticRegression(C=0.05, max_iter=3000).fit(scaler.transform(values), truth, weights)
    slopes = model.coef_[0] / scaler.scale_
    bias = float(model.intercept_[0] - slopes @ scaler.mean_)
    return Score(round(bias, 4), {CHARACTER_NAMES[i]: round(float(w), 4) for i, w in zip(used, slopes)})


def fit_both(data: dict[str, np.ndarray]) -> tuple[Score, Score]:
    """The scores of speech and of music from one half's numbers."""
    other = [(data["esc"], 1.2), (data["placed esc"], 1.2)]
    speech = [(data["digits"], 0.5), (data["placed digits"], 0.5), (data["spoken"], 2.0)]
    return (
        fit(speech, [*other, (data["music"], 0.6)], NOT_FOR_SPEECH),
        fit([(data["music"], 2.0)], [*other, (data["spoken"], 0.6)]),
    )


def report(model: Score, positive: np.ndarray, negative: np.ndarray) -> dict[str, float]:
    """AUC, share found, share of false alarms."""
    high, low = score(model, positive, CHARACTER_NAMES), score(model, negative, CHARACTER_NAMES)
    auc = roc_auc_score(np.repeat([1, 0], [len(high), len(low)]), np.concatenate([high, low]))
    return {"auc": float(auc), "found": float((high >= 0.5).mean()), "false": float((low >= 0.5).mean())}


def rows(sounds: Sounds) -> list[tuple[str, dict[str, float]]]:
    """What is reported: the half that took no part in the fit, every speaker left out in turn, and real videos."""
    kept = tuple(speaker for speaker in sounds.digits if speaker not in FIT_SPEAKERS)
    test = material(sounds, 1, kept)
    found = [
        (f"speech: spoken digits ({', '.join(kept)}) against esc-av", report(SPEECH, test["digits"], test["esc"])),
        ("speech: sequences of digits, placed, against esc-av", report(SPEECH, test["spoken"], test["esc"])),
        ("speech: the same against made music", report(SPEECH, test["spoken"], test["music"])),
        ("music: made music against esc-av", report(MUSIC, test["music"], test["esc"])),
        ("music: made music against sequences of digits", report(MUSIC, test["music"], test["spoken"])),
    ]
    for left_out in sounds.digits:
        others = tuple(speaker for speaker in sounds.digits if speaker != left_out)
        refitted, _ = fit_both(material(sounds, 0, others, 150))
        words = characters(sounds.digits[left_out])
        found.append(
            (f"speech, fitted without {left_out}: digits against esc-av", report(refitted, words, test["esc"]))
        )
    labels, numbers = [label for label, _ in sounds.real], characters([sound for _, sound in sounds.real])
    spoken = np.array([any(word in label for word in SPEECH_LABELS) for label in labels])
    played = np.array([any(word in label for word in MUSIC_LABELS) for label in labels])
    maybe = np.array(["speech" in label for label in labels]) & ~spoken  # by file name: may have no voice in it
    rest = ~spoken & ~played & ~maybe
    names = f"{spoken.sum()} with speech, {played.sum()} with music, {rest.sum()} others"
    return found + [
        (f"speech: real-videos ({names}), against all others", report(SPEECH, numbers[spoken], numbers[rest | played])),
        ("speech: real-videos, against those without music", report(SPEECH, numbers[spoken], numbers[rest])),
        ("music: real-videos, against all others", report(MUSIC, numbers[played], numbers[rest | spoken])),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--fit", action="store_true")
    options = parser.parse_args()
    sounds = load(options.data)
    if options.fit:
        for name, model in zip(("SPEECH", "MUSIC"), fit_both(material(sounds, 0, FIT_SPEAKERS))):
            print(f"{name} = {model!r}")
        return
    for name, row in rows(sounds):
        print(f"| {name} | {row['auc']:.3f} | {row['found']:.2f} | {row['false']:.2f} |")


if __name__ == "__main__":
    main()
