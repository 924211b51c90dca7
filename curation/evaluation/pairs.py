"""Pairs with known mismatch: labels of pictures and of sounds in, which picture gets which sound and who is right out.

The protocols are those of ACAV100M's correspondence retrieval (arXiv 2101.10803, section 4.1), with one defect left
out: the reference shuffles the mismatched rows of each *layer* on its own, so layers of one modality disagree about
them, and pairs of layers within one modality give them away. Here a whole modality is shuffled together; `leaky_rows`
is the reference's way, kept to show the leak.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

PROTOCOLS = ("class", "sample", "half", "independent")


@dataclass(frozen=True)
class Pairs:
    """Clips as pairs of a picture and a sound. All (N,): `image`, `sound` rows of the labelled sets, `matched` bool
    (both are from the matched part), `same_class` bool, `source` int.
    """

    image: np.ndarray
    sound: np.ndarray
    matched: np.ndarray
    same_class: np.ndarray
    source: np.ndarray

    @property
    def limit(self) -> float:
        """Precision of the best choice of as many pairs as are matched by somebody who knows every class: mismatched
        pairs that share their class by chance cannot be told from matched ones.
        """
        return float(self.matched.sum() / max(1, (self.matched | self.same_class).sum()))


def correspondences(image_label: np.ndarray, sound_label: np.ndarray, rng: np.random.Generator,
                    rows: np.ndarray | None = None) -> Pairs:  # fmt: skip
    """Every picture (or those of `rows`) with a sound of its class, each used once; all matched, each a source."""
    image = rng.permutation(len(image_label)) if rows is None else rows
    sound = np.full(len(image), -1)
    for c in np.unique(image_label):
        mine = np.flatnonzero(image_label[image] == c)
        theirs = rng.permutation(np.flatnonzero(sound_label == c))
        n = min(len(mine), len(theirs))
        sound[mine[:n]] = theirs[:n]
    image, sound = image[sound >= 0], sound[sound >= 0]
    n = len(image)
    return Pairs(image, sound, np.ones(n, bool), np.ones(n, bool), np.arange(n))


def mismatch(pairs: Pairs, label: np.ndarray, sound_label: np.ndarray, protocol: str, share: float,
             rng: np.random.Generator) -> Pairs:  # fmt: skip
    """Shuffle the sounds, whole clips together, of all but about `share` of the clips: of whole classes ("class"), of
    single clips ("sample"), or of whole classes for one half of the mismatch and single clips for the other ("half").

    `label` of pictures and `sound_label` of sounds, by row of the sets. About a tenth of single mismatched clips
    of ten classes still get a sound of their class.
    """
    if protocol not in PROTOCOLS[:3]:
        raise ValueError(f"protocol={protocol!r}; allowed: {', '.join(PROTOCOLS[:3])}")
    n = len(pairs.image)
    kind = label[pairs.image]
    classes = rng.permutation(np.unique(kind))
    wrong = np.zeros(n, bool)
    by_class = {"class": 1 - share, "sample": 0.0, "half": (1 - share) / 2}[protocol]
    for c in classes:  # whole classes, as long as they bring the share nearer
        size = (kind == c).mean()
        if wrong.mean() + size / 2 <= by_class + 1e-9:
            wrong |= kind == c
    if protocol != "class":
        left = np.flatnonzero(~wrong)
        more = max(0, round(n * (1 - share)) - int(wrong.sum()))
        wrong[rng.permutation(left)[:more]] = True
    where = np.flatnonzero(wrong)
    sound = pairs.sound.copy()
    sound[where] = sound[rng.permutation(where)]
    return Pairs(pairs.image, sound, ~wrong, label[pairs.image] == sound_label[sound], pairs.source)


def make_pairs(image_label: np.ndarray, sound_label: np.ndarray, protocol: str, share: float, seed: int) -> Pairs:
    """The pairs of one seed: `protocol` is one of `PROTOCOLS`, `share` the matched part.

    "independent": every sound is shuffled and the pairs called matched are drawn by lot, so that `share` is the only
    right precision of every method.
    """
    named = "sample" if protocol == "independent" else protocol
    kept = 0.0 if protocol == "independent" else share
    rng = np.random.default_rng([seed, PROTOCOLS.index(named), round(100 * kept)])
    pairs = mismatch(
        correspondences(image_label, sound_label, rng), image_label, sound_label, named, kept, rng
    )  # fmt: skip
    if protocol != "independent":
        return pairs
    n = len(pairs.matched)
    lot = np.random.default_rng([seed, 99]).permutation(n) < round(share * n)
    return replace(pairs, matched=lot, same_class=np.zeros(n, bool))


def leaky_rows(pairs: Pairs, n_layers: int, seed: int) -> list[np.ndarray]:
    """The sound of each pair as each of `n_layers` layers has it, (N,) each: mismatched rows shuffled layer by layer.

    This is the reference's defect: what it finds is the shuffle, not correspondence. For showing the leak only.
    """
    where = np.flatnonzero(~pairs.matched)
    found = []
    for layer in range(n_layers):
        rng = np.random.default_rng([seed, 77, layer])
        sound = pairs.sound.copy()
        sound[where] = sound[rng.permutation(where)]
        found.append(sound)
    return found
