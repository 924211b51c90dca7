"""What counts as one source of clips: a workspace and `segment.source` in, the source of each video out.

A video is its own source unless the setting names its title or a column that came with the media (a channel, a film).
Selections bound what one source gives, people hear one clip of each, and sounds are compared with other sources'.
"""

from __future__ import annotations

import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.columns import is_answer
from curation.errors import SettingError
from curation.workspace import Workspace

SETTING = "segment.source"
COLUMN = "column:"


def source_columns(workspace: Workspace) -> list[str]:
    """Columns that came with the media and may say what one source is: all but answers."""
    if workspace.artefact("listed") is None:
        return []
    names = pq.read_schema(workspace.artefact_path("listed")).names
    return [name for name in names if name != "video_id" and not is_answer(name)]


def check_source(workspace: Workspace, setting: str) -> None:
    """Raise `SettingError` for a column that is not there, or that is an answer; it names those that are there."""
    name = setting.removeprefix(COLUMN)
    if not setting.startswith(COLUMN) or name in (there := source_columns(workspace)):
        return
    why = (
        "an answer: it judges a choice and must not make it" if is_answer(name) else "which did not come with the media"
    )
    columns = f"Columns that came with the media: {', '.join(there)}." if there else "No columns came with the media."
    raise SettingError(f"{SETTING} names the column {name!r}, {why}.", hint=f"{columns} Otherwise: video, title.")


def sources_of_videos(workspace: Workspace, setting: str) -> dict[str, str]:
    """Source by video_id, for the videos that have another than themselves: an empty value is none.

    setting: `video`, `title` or `column:<name>`. Raises `SettingError` as `check_source` does.
    """
    check_source(workspace, setting)
    if setting == "title":
        table = workspace.table("videos", ["video_id", "title"]).rename_columns(["video_id", "source"])
    elif setting.startswith(COLUMN):
        column = setting.removeprefix(COLUMN)
        table = workspace.table("listed", ["video_id", column]).rename_columns(["video_id", "source"])
    else:
        return {}
    texts = pc.utf8_trim_whitespace(pc.fill_null(table["source"].cast("string"), ""))
    return {video: text for video, text in zip(table["video_id"].to_pylist(), texts.to_pylist()) if text}
