"""The documents are true: every command, setting and page is described, the README's commands exist and run."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from curation.cli import build_parser
from curation.commands.settings import settings_table
from tests.mediamaker import make_video

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def command_names() -> list[str]:
    action = next(a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    return list(action.choices)


@pytest.mark.parametrize("name", command_names())
def test_every_command_is_documented_and_helps(name: str) -> None:
    text = (ROOT / "docs/commands.md").read_text("utf-8")
    assert re.search(rf"^## {re.escape(name)}$", text, re.MULTILINE), f"docs/commands.md has no section {name}"
    done = subprocess.run([sys.executable, "-m", "curation", name, "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "usage" in done.stdout


def test_every_option_is_documented() -> None:
    text = (ROOT / "docs/commands.md").read_text("utf-8")
    action = next(a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    for name, parser in action.choices.items():
        section = text.split(f"\n## {name}\n")[1].split("\n## ")[0]
        for option in parser._actions:
            if option.help == argparse.SUPPRESS or option.dest == "help":
                continue
            for spelled in option.option_strings[:1]:
                assert f"`{spelled}" in section, f"{spelled} of {name} is not described"


def test_the_table_of_settings_is_the_one_of_the_program() -> None:
    assert (ROOT / "docs/settings.md").read_text("utf-8").strip() == settings_table().strip()


@pytest.mark.parametrize("page", sorted(path.stem for path in (ROOT / "pages").glob("*.py")))
def test_every_page_is_described(page: str) -> None:
    text = (ROOT / "docs/pages.md").read_text("utf-8")
    assert re.search(rf"^## {page}$", text, re.MULTILINE | re.IGNORECASE), f"docs/pages.md has no section {page}"


def test_the_commands_of_the_readme_exist() -> None:
    used = re.findall(r"python -m curation ([a-z-]+)", README)
    assert {"run", "export"} <= set(used) <= set(command_names())
    for option in re.findall(r"--set ([\w.]+)=", "\n".join(path.read_text("utf-8") for path in DOCUMENTS)):
        assert option.lower() == "stage.setting" or f"`{option}`" in settings_table(), option


def test_the_python_of_the_readme_runs() -> None:
    names: dict[str, object] = {}
    exec(re.search(r"```python\n(.*?)```", README, re.DOTALL)[1], names)
    assert len(names["chosen"].order) == 400


def test_the_commands_of_the_readme_run(tmp_path: Path) -> None:
    block = next(b for b in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) if "python -m curation run" in b)
    media = tmp_path / "media"
    media.mkdir()
    for i in range(6):
        make_video(media / f"{i}.mp4", seconds=1.0, seed=i, hz=200.0 + 100 * i, size=(64, 48))
    for line in block.strip().splitlines():
        filled = line.replace("WORKSPACE", str(tmp_path / "ws")).replace("FOLDER", str(media))
        filled = filled.replace("curated.csv", str(tmp_path / "curated.csv"))
        command = [sys.executable, *shlex.split(filled)[1:]]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}: {done.stderr}"
    assert (tmp_path / "curated.csv").read_text().startswith("shard-000000,")


def test_the_two_start_commands_name_files_that_exist() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    start = next(block for block in blocks if "streamlit run" in block)
    test = next(block for block in blocks if "pytest" in block)
    for block in (start, test):
        for name in re.findall(r"-r (\S+)|streamlit run (\S+)", block):
            assert (ROOT / (name[0] or name[1])).is_file()
        assert block.strip().count("\n") == 0, "one command line each"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text("utf-8")):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_the_bounds_of_every_requirement_are_stated() -> None:
    for line in (ROOT / "requirements.txt").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            assert ">=" in line and "<" in line.split(";")[0], f"{line} has no upper bound"
