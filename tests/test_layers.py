"""Imports run downward only. Read from the source, so an import inside a function counts too."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# A room and the rooms it may import. Every room may import itself and `curation.errors`.
GROUND = {"atomic", "locks", "progress", "setting", "config", "setting_list", "records", "checkpoint", "sourcespec"}
GROUND |= {"feature_rows", "lines", "remembered", "sql_sandbox", "urls", "raw_file", "remote", "migrations", "strings"}
STORE = GROUND | {"workspace", "columns"}
NUMBERS = {"kernels", "checks"}
API = {"clustering", "selection", "information"}
AUDIT = {"audit", "audit_draw", "audit_report"}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "atomic": set(),
    "home": STORE | {"media"},
    "locks": {"atomic"},
    "lines": {"atomic"},
    "progress": set(),
    "setting": set(),
    "config": {"setting"},
    "setting_list": {"config", "setting"},
    "remembered": set(),
    "feature_rows": set(),
    "sql_sandbox": set(),
    "records": {"urls"},
    "urls": set(),
    "raw_file": set(),
    "strings": {"kernels"},
    "remote": {"urls", "raw_file"},
    "sourcespec": {"urls"},
    "migrations": GROUND,
    "workspace": GROUND,
    "checkpoint": {"atomic"},
    "early": {"atomic", "records"},
    "columns": GROUND | {"workspace"},
    "jobs": STORE,
    "kernels": set(),
    "checks": {"kernels"},
    "constraints": NUMBERS,
    "methods": NUMBERS,
    "controls": {"kernels", "methods"},
    "clustering": NUMBERS | {"feature_rows"},
    "layer_fit": GROUND | NUMBERS | {"clustering"},
    "information": NUMBERS,
    "selection": NUMBERS | {"constraints", "methods", "controls"},
    "media": {"atomic", "urls", "raw_file", "remote"},
    "extractors": {"media", "atomic"},
    "health": {"config", "extractors", "kernels"},
    "sources": STORE | {"media"},
    "preview": STORE | {"sources", "media", "home"},
    "stage": STORE | {"media"},
    "stages": STORE
    | API
    | {
        "stage",
        "early",
        "layer_fit",
        "sources",
        "media",
        "extractors",
        "health",
        "kernels",
        "methods",
        "checks",
        "neighbours",
        "review",
    },
    "pipeline": STORE | {"stage", "stages"},
    "sharding": GROUND | {"stage"},
    "distributed": STORE | {"stage", "pipeline"},
    "listing": STORE,
    "truth": STORE | {"export"},
    "names": STORE,
    "text_side": STORE | {"kernels", "media", "extractors", "home"},
    "proposals": STORE | {"kernels", "names", "text_side"},
    "counts": STORE,
    "counts_sample": STORE | NUMBERS | {"clustering", "stages"},
    "counts_run": STORE | NUMBERS | {"clustering", "counts", "counts_sample", "stages"},
    "counts_trial": STORE | NUMBERS | {"clustering", "counts", "counts_sample", "stages"},
    "review": STORE,
    "neighbours": STORE | {"kernels", "media", "extractors"},
    "evaluation": STORE
    | NUMBERS
    | {"clustering", "media", "extractors", "importers", "truth", "methods", "selection", "information"},
    "diversity_table": set(),
    "diversity": STORE | NUMBERS | {"diversity_table", "scope", "evaluation", "selection"},
    "retrieval": STORE | NUMBERS | {"evaluation", "methods"},
    "audit": STORE | {"media"},
    "audit_draw": STORE | {"kernels", "audit"},
    "audit_report": {"kernels", "audit"},
    "pretraining": STORE | NUMBERS | {"media", "extractors", "clustering", "selection", "information"},
    "scope": STORE,
    "exporters": STORE | {"review", "scope", "media", "kernels", "methods", "diversity", "diversity_table"},
    "export": STORE | {"exporters"},
    "bundle_check": STORE | {"pipeline", "review", "exporters"},
    "named_views": STORE,
    "importers": STORE | NUMBERS | {"stage"},
    "demo": GROUND | {"media"},
    "commands": STORE
    | API
    | AUDIT
    | {
        "jobs",
        "pipeline",
        "stage",
        "sharding",
        "distributed",
        "sources",
        "stages",
        "listing",
        "truth",
        "export",
        "importers",
        "demo",
        "bundle_check",
    }
    | {"counts", "counts_run", "counts_trial", "evaluation", "retrieval", "diversity", "diversity_table"}
    | {"pretraining", "names", "text_side", "proposals"},
    "cli": {"commands"},
    "__init__": API | {"workspace"},
    "__main__": {"cli"},
}
# What the explorer may take from the engine, by part.
EXPLORER_MAY = STORE | {
    "jobs",
    "preview",
    "stage",
    "pipeline",
    "listing",
    "export",
    "exporters",
    "truth",
    "home",
    "errors",
}
EXPLORER_MAY |= {"pretraining", "retrieval", "diversity", "diversity_table"}
EXPLORER_MAY |= AUDIT | {"named_views", "counts", "neighbours", "names", "review", "text_side", "proposals"}
VIEWS_MAY = EXPLORER_MAY | {"kernels", "information"}
ROUTES_MAY = EXPLORER_MAY | {"media"}


def modules(folder: str) -> list[Path]:
    return sorted(path for path in (ROOT / folder).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Absolute names of everything a module imports; `from x import y` counts as x.y."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the layer"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def rooms(names: set[str]) -> set[str]:
    """The engine's rooms among imported names."""
    found = set()
    for name in names:
        parts = name.split(".")
        if parts[0] == "curation":
            room = parts[1] if len(parts) > 1 else "__init__"
            found.add(room if room in MAY_IMPORT else "__init__")
    return found


def room_of(path: Path) -> str:
    return path.relative_to(ROOT / "curation").parts[0].removesuffix(".py")


def test_every_room_of_the_engine_is_known() -> None:
    assert {room_of(path) for path in modules("curation")} <= set(MAY_IMPORT)


@pytest.mark.parametrize("path", modules("curation"), ids=lambda p: str(p.relative_to(ROOT)))
def test_the_engine_imports_downward_only(path: Path) -> None:
    names = imports(path)
    assert not any(name.split(".")[0] in ("streamlit", "explorer", "pages", "tests") for name in names)
    room = room_of(path)
    assert rooms(names) <= MAY_IMPORT[room] | {room, "errors"}, f"{room} may import {sorted(MAY_IMPORT[room])}"


@pytest.mark.parametrize("path", modules("curation/stages"), ids=lambda p: p.name)
def test_no_stage_imports_another(path: Path) -> None:
    others = {name for name in imports(path) if name.startswith("curation.stages.")}
    assert not others


@pytest.mark.parametrize("path", modules("curation/kernels"), ids=lambda p: p.name)
def test_kernels_touch_no_files_and_no_settings(path: Path) -> None:
    standard = (
        "collections concurrent contextlib dataclasses enum functools math os threading time types typing warnings"
    )
    numerical = "faiss llvmlite numba numpy scipy threadpoolctl torch umap"
    allowed = {"__future__", "curation", *standard.split(), *numerical.split()}
    if path.name == "compiled.py":  # keeps compiled machine code on disk, which is how kernels start, not what they do
        allowed |= {"hashlib", "pathlib"}
    assert {name.split(".")[0] for name in imports(path)} <= allowed


@pytest.mark.parametrize("path", modules("explorer"), ids=lambda p: str(p.relative_to(ROOT)))
def test_the_explorer_takes_only_what_it_may(path: Path) -> None:
    names = imports(path)
    assert not any(name.split(".")[0] == "pages" for name in names)
    relative = path.relative_to(ROOT / "explorer")
    if relative.parts[0] == "views":
        assert not any(name.split(".")[0] == "streamlit" for name in names), "views are plain functions"
        assert not any(name.startswith("explorer.") and not name.startswith(("explorer.views",)) for name in names)
        allowed = VIEWS_MAY
    else:
        allowed = (
            ROUTES_MAY
            if relative.name in ("routes.py", "cutter.py", "media_cache.py", "state.py", "forms.py")
            else EXPLORER_MAY
        )
    assert rooms(names) <= allowed


@pytest.mark.parametrize("path", [ROOT / "streamlit_app.py", *modules("pages")], ids=lambda p: p.name)
def test_pages_are_thin(path: Path) -> None:
    names = imports(path)
    assert rooms(names) <= EXPLORER_MAY
    assert len(path.read_text("utf-8").splitlines()) <= 120, "move drawing and arithmetic to explorer/"


def test_test_files_have_names_of_their_own() -> None:
    """Folders of tests are no packages: two files of one name cannot be collected together."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []
