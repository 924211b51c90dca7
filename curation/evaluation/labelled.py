"""Labelled sets of files: a folder with a folder a class, or a folder and a table of labels in; files, labels, features
out. Pictures, videos and sounds.
"""

from __future__ import annotations

import hashlib
import os
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from curation.atomic import replacing
from curation.errors import InputError
from curation.evaluation import layers
from curation.extractors import registry
from curation.media.decode import DECODING_VERSION
from curation.media.sandbox import Sandbox

KINDS = {
    "picture": {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm"},
    "sound": {".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".wma", ".aif", ".aiff"},
    "video": {".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".mpg", ".mpeg", ".ogv", ".3gp", ".flv", ".wmv"},
}
FILES_MAX = 200_000
PLAIN_SIDE_PX = 32  # pictures of other sizes than small equal ones are scaled to this
CACHED = 8
CLIP_S = 10.0  # of a video or a sound measured by an extractor: its first seconds
FEATURES = ("auto", "plain", "extractors")
_EXTRACTOR = {"audio": "sound", "visual": "picture"}  # those that are measured with no setting
_MODALITY = {"picture": "visual", "video": "visual", "sound": "audio"}


@dataclass(frozen=True)
class Labelled:
    """Files of one kind ("picture", "sound" or "video") in the order of their paths, and the class of each (n,)."""

    folder: Path
    kind: str
    files: tuple[str, ...]  # below the folder
    classes: tuple[str, ...]

    @property
    def modality(self) -> str:
        """ "audio" or "visual"."""
        return _MODALITY[self.kind]

    def digest(self) -> str:
        """Identity of the files by names, sizes and times of change, and of their classes."""
        found = hashlib.blake2b(digest_size=12)
        for name, label in zip(self.files, self.classes, strict=True):
            stat = (self.folder / name).stat()
            found.update(f"{name}\0{label}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode("utf-8", "backslashreplace"))
        return found.hexdigest()


def read_labelled(
    folder: str | os.PathLike[str], modality: str, table: str | os.PathLike[str] | None = None
) -> Labelled:
    """The files of a folder that show ("visual") or sound ("audio"), with their classes.

    Without `table` the first folder below `folder` names a file's class. `table`: csv, tsv, jsonl or parquet with the
    columns `file` (below `folder`, or below the table's data set) and `label`. Where there are pictures and videos the
    kind of which there are more is taken. Raises `InputError` for what is not there or has fewer than two classes.
    """
    place = Path(folder)
    if not place.is_dir():
        raise InputError(f"There is no folder {place}.", hint="Name a folder with one folder a class.")
    wanted = [kind for kind, of in _MODALITY.items() if of == modality]
    found = _from_table(place, Path(table)) if table else _from_folders(place)
    by_kind = {kind: [(n, c) for n, c in found if Path(n).suffix.lower() in KINDS[kind]] for kind in wanted}
    kind = max(by_kind, key=lambda kind: len(by_kind[kind]))
    chosen = sorted(by_kind[kind])
    what = " or ".join(f"{kind}s" for kind in wanted)
    if not chosen:
        hint = "One folder a class, with files in it; or give a table with the columns file and label."
        raise InputError(f"{place} holds no labelled {what}.", hint=hint)
    if len(chosen) > FILES_MAX:
        raise InputError(f"{place} holds {len(chosen)} labelled {what}; at most {FILES_MAX} are read.")
    if len({label for _, label in chosen}) < 2:
        raise InputError(
            f"All {len(chosen)} {kind}s of {place} are of one class, {chosen[0][1]!r}: there is nothing to mismatch.",
            hint="Give a folder with one folder a class, at least two of them.",
        )
    return Labelled(place.resolve(), kind, tuple(n for n, _ in chosen), tuple(c for _, c in chosen))


def _from_folders(place: Path) -> list[tuple[str, str]]:
    found = []
    for path in place.rglob("*"):
        parts = path.relative_to(place).parts
        if len(parts) > 1 and not any(part.startswith(".") for part in parts) and path.is_file():
            found.append((str(Path(*parts)), parts[0]))
    return found


def _from_table(place: Path, table: Path) -> list[tuple[str, str]]:
    from curation.importers.readers import as_text, read_table

    rows = read_table(table, ["file", "label"])
    names, labels = (as_text(rows[column]).to_pylist() for column in ("file", "label"))
    found = []
    for name, label in zip(names, labels, strict=True):
        if name is None or label in (None, ""):
            continue
        # Names may begin with the folder's own: `images/0.png` of the folder images
        own = name.removeprefix(f"{place.name}/")
        path = (place / own).resolve()
        if path.is_relative_to(place.resolve()) and path.is_file():
            found.append((own, str(label)))
    if not found:
        raise InputError(f"No file of {table} is in {place}.", hint="Its column `file` gives paths below that folder.")
    return found


def shared_classes(pictures: Labelled, sounds: Labelled) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Numbers of the classes that both sets have, int (n,) each, -1 for the others; and what is left out, in words.

    Raises `InputError` where fewer than two classes are in both.
    """
    shown, heard = set(pictures.classes), set(sounds.classes)
    both = sorted(shown & heard)
    if len(both) < 2:
        some = [", ".join(sorted(names)[:6]) for names in (shown, heard)]
        raise InputError(
            f"The labels do not match: {len(both)} classes are in both sets. {pictures.folder.name} has {some[0]}; "
            f"{sounds.folder.name} has {some[1]}.",
            hint="Name the folders of the classes alike in both sets; at least two classes are needed.",
        )
    number = {name: k for k, name in enumerate(both)}
    codes = [np.array([number.get(c, -1) for c in one.classes]) for one in (pictures, sounds)]
    notices = []
    for one, other, names in ((pictures, sounds, shown - heard), (sounds, pictures, heard - shown)):
        if names:
            listed = ", ".join(sorted(names)[:6]) + (", ..." if len(names) > 6 else "")
            n = "1 class" if len(names) == 1 else f"{len(names)} classes"
            notices.append(f"{n} of {one.folder.name} left out, not in {other.folder.name}: {listed}")
    return codes[0], codes[1], notices


def measured_by(one: Labelled, features: str = "auto") -> str:
    """What `layers_of` measures a set with, and its version: `plain-3`, or `extractors-<name>-<version>-<decoding>`.

    Other numbers have another name, so nothing kept is mistaken for them.
    """
    plain = one.kind == "picture" or (one.kind == "sound" and all(name.lower().endswith(".wav") for name in one.files))
    if plain and features != "extractors":
        return f"plain-{layers.VERSION}"
    name = _EXTRACTOR[one.modality]
    return f"extractors-{name}-{registry.get(name).version}-{DECODING_VERSION}-{CLIP_S:g}s"


def layers_of(
    one: Labelled, cache: Path, *, features: str = "auto", workers: int = 2, progress: Any = None
) -> tuple[dict[str, np.ndarray], np.ndarray, list[str]]:
    """Features of every file, layer -> float32 (n, dim); which files have some, bool (n,); and notices.

    "plain": `evaluation.layers` of pictures and 16-bit wav; "extractors": the built-in `sound` and `picture` on the
    first seconds; "auto": plain where it can be. Kept in the folder `cache`, the newest few.
    """
    plain = one.kind == "picture" or (one.kind == "sound" and all(name.lower().endswith(".wav") for name in one.files))
    if features == "plain" and not plain:
        raise InputError(f"Plain features are for pictures and wav files; {one.folder} holds {one.kind}s.",
                         hint="Choose the features `extractors`.")  # fmt: skip
    if features == "extractors" and one.kind == "picture":
        raise InputError(f"The extractors measure videos; {one.folder} holds pictures.", hint="Choose `plain`.")
    how = measured_by(one, features)
    kept = cache / f"{one.kind}-{how}-{one.digest()}.npz"
    if not kept.is_file():
        made = _plain(one, progress) if how.startswith("plain") else _extracted(one, workers, progress)
        with replacing(kept) as temporary, temporary.open("wb") as file:
            np.savez(file, **made)  # type: ignore[arg-type]
        for old in sorted(cache.glob("*.npz"), key=lambda path: path.stat().st_mtime)[:-CACHED]:
            old.unlink(missing_ok=True)
    elif progress is not None:
        progress.advance(len(one.files), finished_before=True)
    with np.load(kept, allow_pickle=False) as stored:
        found = {name: stored[name] for name in stored.files}
    valid = found.pop("valid")
    notices = [] if valid.all() else [f"{int((~valid).sum())} of {len(valid)} {one.kind}s cannot be read: left out"]
    if valid.sum() < 2:
        raise InputError(f"No {one.kind} of {one.folder} can be read.")
    return {f"{'sound' if one.modality == 'audio' else 'image'}.{k}": v for k, v in found.items()}, valid, notices


def _plain(one: Labelled, progress: Any) -> dict[str, np.ndarray]:
    read: Callable[[Path], np.ndarray] = _read_picture if one.kind == "picture" else _read_wav
    items: list[np.ndarray | None] = []
    for name in one.files:
        try:
            items.append(read(one.folder / name))
        except (OSError, ValueError, EOFError, SyntaxError, wave.Error):  # Pillow says SyntaxError of broken files
            items.append(None)
        if progress is not None:
            progress.check_cancelled()
            progress.advance()
    valid = np.array([item is not None for item in items])
    there = [item for item in items if item is not None]
    if not there:
        return {"valid": valid}
    made = layers.image_layers(_equal(there)) if one.kind == "picture" else layers.sound_layers(there)
    found: dict[str, np.ndarray] = {"valid": valid}
    for layer, values in made.items():
        found[layer] = np.zeros((len(valid), values.shape[1]), np.float32)
        found[layer][valid] = values
    return found


def _read_picture(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as opened:
        picture = opened.convert("L")
        if max(picture.size) > 2 * PLAIN_SIDE_PX or min(picture.size) < 16:
            picture = picture.resize((PLAIN_SIDE_PX, PLAIN_SIDE_PX))
        return np.asarray(picture, dtype=np.float32) / 255


def _equal(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures as one array (n, H, W): as they are where all are of one size, else scaled."""
    if len({picture.shape for picture in pictures}) == 1:
        return np.stack(pictures)
    from PIL import Image

    side = (PLAIN_SIDE_PX, PLAIN_SIDE_PX)
    return np.stack([np.asarray(Image.fromarray(picture).resize(side), np.float32) for picture in pictures])


def _read_wav(path: Path) -> np.ndarray:
    """Mono float32 at `layers.SOUND_RATE_HZ`, at most a minute."""
    with wave.open(str(path)) as file:
        rate, channels = file.getframerate(), file.getnchannels()
        if file.getsampwidth() != 2 or not 1000 <= rate <= 400_000 or not file.getnframes():
            raise ValueError(f"{path} is no 16-bit sound")
        data = np.frombuffer(file.readframes(min(file.getnframes(), 60 * rate)), dtype="<i2")
    samples = data[: len(data) // channels * channels].reshape(-1, channels).astype(np.float32).mean(1) / 32768
    if rate != layers.SOUND_RATE_HZ:
        from scipy.signal import resample_poly

        common = int(np.gcd(rate, layers.SOUND_RATE_HZ))
        samples = resample_poly(samples, layers.SOUND_RATE_HZ // common, rate // common).astype(np.float32)
    return samples


def _extracted(one: Labelled, workers: int, progress: Any) -> dict[str, np.ndarray]:
    extractor = _EXTRACTOR[one.modality]
    payloads = [
        {"path": str(one.folder / name), "segments": [[0.0, CLIP_S]], "extractors": [extractor]} for name in one.files
    ]
    valid = np.zeros(len(payloads), bool)
    found: dict[str, np.ndarray] = {}
    with Sandbox(workers=workers) as sandbox:
        for outcome in sandbox.imap("features", payloads):
            if progress is not None:
                progress.check_cancelled()
                progress.advance()
            if outcome.value is None or not outcome.value[f"valid/{extractor}"][0]:
                continue
            valid[outcome.index] = True
            for name, values in outcome.value.items():
                if name.startswith(f"{extractor}/"):
                    layer = found.setdefault(
                        name.partition("/")[2], np.zeros((len(payloads), values.shape[1]), np.float32)
                    )
                    layer[outcome.index] = values[0]
    return {"valid": valid, **found}
