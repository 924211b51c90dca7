"""import_arrays: several feature files at once, `modality:NAME=FILE` each, all of the same clips -> features/<name>."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation.errors import InputError, SettingError
from curation.importers.assignments import MODALITIES
from curation.importers.features import check_free, import_features
from curation.importers.readers import load_npy, refuse_pickle
from curation.progress import Progress
from curation.workspace import Workspace

FILES_MAX = 1_000
_FORM = "modality:NAME=FILE or modality:NAME/LAYER=FILE"


@dataclass(frozen=True)
class FeatureFile:
    """One file of features: where it goes. `layer` is empty where it is the only one, or the file names its layers."""

    modality: str
    name: str
    layer: str
    file: Path


def parse_feature_file(text: str, modality: str = "") -> FeatureFile:
    """`audio:clap=clap.npy`, `visual:slowfast/stage4=s4.npy`; without `audio:` the given `modality` counts.

    Raises `SettingError` for another form.
    """
    target, equals, file = text.partition("=")
    before, colon, after = target.strip().partition(":")
    said, name = (before, after) if colon else (modality, before)
    name, slash, layer = name.partition("/")
    if not equals or not file or said not in MODALITIES or not name or (slash and not layer):
        raise SettingError(f"{text[:200]!r} is not of the form {_FORM}.", hint="Modalities: audio, visual.")
    return FeatureFile(said, name, layer, Path(file).expanduser())


def import_arrays(
    workspace: Workspace,
    files: Sequence[FeatureFile],
    clips_file: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    *,
    add: bool = False,
) -> list[dict[str, Any]]:
    """Bring in feature files; those of one name become the layers of one features/<name>.

    All are looked at before the first is written: kinds, shapes, and equal numbers of rows of .npy files. `clips_file`:
    see `curation.importers.clips.place_rows`. `add`: see `import_features`. Returns its report for each name.

    Raises `InputError`, `SettingError` before any work for what cannot be used.
    """
    if len(files) > FILES_MAX:
        raise InputError(f"{len(files)} files of features were named; at most {FILES_MAX} are read at once.")
    groups: dict[str, list[FeatureFile]] = {}
    for item in files:
        groups.setdefault(item.name, []).append(item)
    rows: dict[Path, int] = {}
    for name, members in groups.items():
        if len({item.modality for item in members}) > 1:
            raise SettingError(f"The layers of {name} are of both modalities.", hint="Give them two names.")
        if len({item.layer for item in members}) < len(members):
            raise SettingError(
                f"Two files are named {name} without layers of their own.", hint=f"Name each as {_FORM.split()[-1]}."
            )
        check_free(workspace, name, members[0].modality)
        for item in members:
            refuse_pickle(item.file)
            if item.file.suffix.lower() == ".npy":
                rows[item.file] = len(load_npy(item.file, n_dims=2, what="features (clips, dim)"))
    if len(set(rows.values())) > 1:
        shown = ", ".join(f"{file.name} {count}" for file, count in list(rows.items())[:10])
        raise InputError(f"The files have different numbers of rows: {shown}.", hint="All must be of the same clips.")
    reports = []
    for name, members in groups.items():
        source = (
            {item.layer: item.file for item in members} if members[0].layer or len(members) > 1 else members[0].file
        )
        reports.append(import_features(workspace, name, source, members[0].modality, clips_file, progress, add=add))
    return reports
