"""Checking a bundle: a folder or a zip in; whether its files are whole and its selection comes out again, out.

The bundle is never written to, and its names are not trusted: what would lie outside it is refused.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from curation import pipeline, review
from curation.atomic import read_json
from curation.errors import InputError
from curation.exporters.bundle import FACTS, FORMAT, INSIDE, file_sha256, ids_sha256, picked_ids, versions
from curation.progress import Progress
from curation.workspace import Workspace

FILES_MAX = 100_000
BYTES_MAX = 1 << 40
_REBUILT = ("selections", "locks", "jobs")  # of the bundle's workspace: made anew, not taken over


@dataclass(frozen=True)
class Verdict:
    """What was found. `reproduced`: the same clips in the same order came out of the same inputs.

    `lines` say what was compared, `differences` what is not as it should be, `notes` what may explain it.
    """

    reproduced: bool
    lines: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def verify_bundle(bundle: Path, workspace: Workspace | None = None, progress: Progress | None = None) -> Verdict:
    """Check the files of a bundle, make its selection again, compare; with `workspace` also with what lies there.

    Raises `InputError` for what is no bundle, and what the stage `select` raises.
    """
    with _opened(bundle) as folder:
        facts = _facts(folder)
        verdict = Verdict(False)
        _check_files(folder, facts, verdict)
        if verdict.differences:
            verdict.lines.append("the selection was not made again: the files are not those of the bundle")
            return verdict
        verdict.lines.append(f"{len(facts['files'])} files are as they were written")
        _compare_versions(facts, verdict)
        with tempfile.TemporaryDirectory(prefix="bundle-") as scratch:
            again = _made_again(folder, Path(scratch) / "workspace", progress or Progress())
            _compare(folder, facts, again, verdict)
            if facts.get("final_sha256"):
                _compare_final(folder, facts, again, verdict)
        if workspace is not None:
            _compare_workspace(workspace, facts, verdict)
    return Verdict(not verdict.differences, verdict.lines, verdict.differences, verdict.notes)


# -- inside ------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _opened(bundle: Path) -> Iterator[Path]:
    """The folder of a bundle; a zip is unpacked into a temporary one."""
    if bundle.is_dir():
        yield bundle
        return
    if not zipfile.is_zipfile(bundle):
        raise InputError(f"{bundle} is neither a folder nor a zip.", hint="Give what `export --format bundle` wrote.")
    with tempfile.TemporaryDirectory(prefix="bundle-") as scratch:
        try:
            with zipfile.ZipFile(bundle) as archive:
                _unpack(archive, Path(scratch))
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
            raise InputError(f"{bundle} cannot be unpacked ({error}).", hint="Copy it again.") from error
        tops = [path for path in Path(scratch).iterdir() if (path / FACTS).is_file()]
        yield tops[0] if len(tops) == 1 else Path(scratch)


def _unpack(archive: zipfile.ZipFile, target: Path) -> None:
    members = [member for member in archive.infolist() if not member.is_dir()]
    total = sum(member.file_size for member in members)
    if len(members) > FILES_MAX or total > min(BYTES_MAX, shutil.disk_usage(target).free):
        raise InputError(
            f"The zip holds {len(members):,} files and {total / 1e9:,.1f} GB: there is no room to unpack it.",
            hint="Unpack it on a larger disk and give the folder.",
        )
    for member in members:
        if stat.S_ISLNK(member.external_attr >> 16):
            raise InputError(f"The zip holds a link ({_shown(member.filename)}).", hint="This is no bundle of ours.")
        place = target / _inside(member.filename)
        place.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(member) as source, place.open("xb") as handle:
            shutil.copyfileobj(source, handle, 1 << 20)


def _inside(name: str) -> PurePosixPath:
    """A relative name that stays inside. Raises `InputError` for one that leads out."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or not path.parts:
        raise InputError(f"{_shown(name)} would lie outside the bundle.", hint="This is no bundle of ours.")
    return path


def _shown(name: str) -> str:
    return repr(name[:200])


def _facts(folder: Path) -> dict[str, Any]:
    if not (folder / FACTS).is_file():
        raise InputError(f"{folder} holds no {FACTS}.", hint="Give what `export --format bundle` wrote.")
    facts = read_json(folder / FACTS)
    if not isinstance(facts, dict) or not _is_described(facts):
        raise InputError(f"{folder / FACTS} does not describe a bundle.", hint="Copy the bundle again.")
    if facts.get("format", 0) > FORMAT:
        raise InputError("The bundle was made by a newer version of Concord.", hint="Update Concord to check it.")
    missing = {"selection", "fingerprint", "order_sha256", "clips", "versions"} - set(facts)
    if missing:
        raise InputError(f"{folder / FACTS} lacks {', '.join(sorted(missing))}.", hint="Copy the bundle again.")
    return facts


def _is_described(facts: dict[str, Any]) -> bool:
    """Whether what is said of a bundle is of the kind that is compared; what is missing of it is named elsewhere."""
    kinds = {"selection": str, "fingerprint": str, "order_sha256": str, "versions": dict, "clusterings": dict}
    right = all(isinstance(facts.get(name, kind()), kind) for name, kind in kinds.items())
    counted = all(isinstance(facts.get(name, 1), int) for name in ("format", "clips"))
    final = not facts.get("final_sha256") or isinstance(facts.get("final_clips"), int)
    files = facts.get("files")
    return right and counted and final and isinstance(files, dict) and all(isinstance(f, dict) for f in files.values())


def _check_files(folder: Path, facts: dict[str, Any], verdict: Verdict) -> None:
    for name, known in sorted(facts["files"].items()):
        path = folder / _inside(name)
        if path.is_symlink() or not path.is_file():
            verdict.differences.append(f"{name} is missing")
        elif path.stat().st_size != known.get("bytes") or file_sha256(path) != known.get("sha256"):
            verdict.differences.append(f"{name} was changed")
    there = {file.relative_to(folder).as_posix() for file in (folder / INSIDE).rglob("*") if file.is_file()}
    verdict.differences.extend(f"{name} is not of the bundle" for name in sorted(there - set(facts["files"])))


def _compare_versions(facts: dict[str, Any], verdict: Verdict) -> None:
    present = versions()
    for name in sorted(set(facts["versions"]) | set(present)):
        was, now = facts["versions"].get(name, "none"), present.get(name, "none")
        if was != now:
            verdict.notes.append(f"{name} was {was}, here it is {now}")


def _made_again(folder: Path, place: Path, progress: Progress) -> Workspace:
    """A workspace of links to the bundle's files, with the selection made in it."""
    source = folder / INSIDE

    def left_out(path: str, names: list[str]) -> list[str]:
        return [name for name in names if name in _REBUILT] if Path(path) == source else []

    written = ("workspace.json", "manifest.json")
    for name in written:
        if not (source / name).is_file():
            raise InputError(f"{folder} holds no {INSIDE}/{name}.", hint="Copy the bundle again.")
    shutil.copytree(source, place, ignore=left_out, copy_function=_link)
    for name in written:
        (place / name).unlink()
        shutil.copyfile(source / name, place / name)
    workspace = Workspace.open(place)
    like = workspace.config.select.like
    if like:
        shutil.copytree(source / "selections" / like, place / "selections" / like)
    pipeline.run(workspace, progress, only=("select",))
    return workspace


def _link(source: str, target: str) -> None:
    os.symlink(os.path.abspath(source), target)  # noqa: PTH100, PTH211  (large arrays are read where they are)


def _compare(folder: Path, facts: dict[str, Any], again: Workspace, verdict: Verdict) -> None:
    name = again.current_selection
    assert name is not None
    if again.fingerprint(f"selections/{name}") != facts["fingerprint"]:
        verdict.differences.append(
            "settings and inputs do not give the selection's fingerprint: the settings in the bundle are not those it "
            "was made with, or this version of Concord selects differently"
        )
    ids, was = picked_ids(again, name), picked_ids(Workspace.open(folder / INSIDE), facts["selection"])
    verdict.lines.append(f"{len(was):,} clips were selected; made again: {len(ids):,}")
    if ids_sha256(was) != facts["order_sha256"]:
        verdict.differences.append(f"the selection's own list is not the one {FACTS} tells of")
    if ids == was:
        verdict.lines.append("the same clips in the same order")
    else:
        common = len(set(ids) & set(was))
        first = next((k for k, (a, b) in enumerate(zip(ids, was)) if a != b), min(len(ids), len(was)))
        verdict.differences.append(
            f"{common:,} of {len(was):,} clips are the same; the order differs from pick {first + 1:,} on"
        )
    scores = again.array(f"selections/{name}", "scores")
    before = Workspace.open(folder / INSIDE).array(f"selections/{facts['selection']}", "scores")
    if len(scores) == len(before):
        gap = np.nanmax(np.abs(np.asarray(scores) - np.asarray(before)), initial=0.0)
        verdict.lines.append(f"largest difference of a score: {gap:.3g}")


def _compare_final(folder: Path, facts: dict[str, Any], again: Workspace, verdict: Verdict) -> None:
    """The list as people left it, from the selection made again and their decisions."""
    name = again.current_selection
    assert name is not None
    ids = again.table("clips", ["clip_id"])["clip_id"]
    final = set(review.final_rows(again, name).tolist())
    rank = {row: k for k, row in enumerate(_picked_rows(again, name))}
    order = sorted(final, key=lambda row: (rank.get(row, len(rank)), row))
    if ids_sha256(ids[row].as_py() for row in order) == facts["final_sha256"]:
        verdict.lines.append(f"as reviewed: the same {len(order):,} clips in the same order")
    else:
        verdict.differences.append(f"as reviewed: {len(order):,} clips, not the {facts['final_clips']:,} of the bundle")


def _picked_rows(workspace: Workspace, name: str) -> list[int]:
    row_of = {clip: row for row, clip in enumerate(workspace.table("clips", ["clip_id"])["clip_id"].to_pylist())}
    return [row_of[clip] for clip in picked_ids(workspace, name)]


def _compare_workspace(workspace: Workspace, facts: dict[str, Any], verdict: Verdict) -> None:
    """Whether a workspace holds the same clips, clusters and selection."""
    there = workspace.fingerprint("clips") == facts.get("clips_fingerprint")
    (verdict.lines if there else verdict.differences).append(
        f"{workspace.name} has {'the same' if there else 'another'} table of clips"
    )
    for name, fingerprint in facts.get("clusterings", {}).items():
        if workspace.fingerprint(f"clusterings/{name}") != fingerprint:
            verdict.differences.append(f"{workspace.name} has other clusters of {name}, or none")
    for key in workspace.keys("selections"):
        if workspace.fingerprint(key) == facts["fingerprint"]:
            name = key.partition("/")[2]
            same = ids_sha256(picked_ids(workspace, name)) == facts["order_sha256"]
            (verdict.lines if same else verdict.differences).append(
                f"{workspace.name}: {name} holds {'the same' if same else 'other'} clips"
            )
            return
    verdict.differences.append(f"{workspace.name} holds no selection made of these inputs with these settings")
