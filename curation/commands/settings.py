"""The command `settings`: every setting, its default, what it means and what is allowed."""

from __future__ import annotations

import argparse

from curation.commands.base import Commands
from curation.setting_list import describe_settings


def register(commands: Commands) -> None:
    """settings."""
    command = commands.add(
        "settings", "list every setting with its default and what is allowed", _settings, workspace=False
    )
    command.add_argument("--markdown", action="store_true", help="as the table in docs/settings.md")


def _settings(options: argparse.Namespace) -> None:
    if options.markdown:
        print(settings_table())
        return
    for info in describe_settings():
        print(f"{info.key} = {info.default!r}\n    {info.help}\n    allowed: {info.allowed}")


def settings_table() -> str:
    """docs/settings.md as text."""
    lines = [
        "# Settings",
        "",
        "Change one with `--set stage.setting=value` on any command that takes a workspace, or on its page.",
        "It is kept in the workspace. This page is made by `python -m curation settings --markdown`.",
        "",
        "| setting | default | meaning | allowed |",
        "| --- | --- | --- | --- |",
    ]
    for info in describe_settings():
        shown = str(info.default).lower() if isinstance(info.default, bool) else str(info.default) or "(empty)"
        cells = [f"`{info.key}`", f"`{shown}`", info.help, info.allowed]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)
