"""Which files are not used and why, gathered from every stage's table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from curation.workspace import Workspace

ROWS_MAX = 100_000


@dataclass(frozen=True)
class UnusedFiles:
    """`counts`: files (or clips, for features) by code, most first. `rows`: path, stage, code, message."""

    counts: dict[str, int]
    rows: list[dict[str, Any]]


def unused_files(workspace: Workspace) -> UnusedFiles:
    """Every file that gives no clip, and every clip without features, with the stage and the reason."""
    pieces = []
    if workspace.artefact_path("videos").is_file():
        pieces.append("SELECT path, 'scan' AS stage, code, message FROM videos WHERE status <> 'ok'")
    if workspace.artefact_path("filtered").is_file():
        pieces.append(
            "SELECT path, 'filter', f.code, f.message FROM filtered f JOIN videos v USING (video_id) "
            "WHERE f.status <> 'ok' AND v.status = 'ok'"
        )
    if workspace.artefact_path("segmented").is_file():
        pieces.append(
            "SELECT path, 'segment', s.code, s.message FROM segmented s JOIN videos v USING (video_id) "
            "WHERE s.status <> 'ok'"
        )
    tables = {}
    if workspace.artefact_path("clips").is_file():
        for i, key in enumerate(workspace.keys("features")):
            path = workspace.artefact_path(key) / "failures.parquet"
            if path.is_file():
                import pyarrow.parquet as pq

                tables[f"failures_{i}"] = pq.read_table(path, partitioning=None)
                pieces.append(
                    f"SELECT path || ' at ' || start_s || ' s', 'features', x.code, x.message "
                    f"FROM failures_{i} x JOIN clips c USING (row)"
                )
    if not pieces:
        return UnusedFiles({}, [])
    union = "SELECT DISTINCT * FROM (" + " UNION ALL ".join(pieces) + ")"
    counts = workspace.query(f"SELECT code, count(*) AS n FROM ({union}) GROUP BY code ORDER BY n DESC, code", **tables)
    rows = workspace.query(f"SELECT * FROM ({union}) ORDER BY path, stage LIMIT {ROWS_MAX}", **tables)
    return UnusedFiles({row["code"]: row["n"] for row in counts.to_pylist()}, rows.to_pylist())
