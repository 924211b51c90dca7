"""report: one HTML file about a selection, its figures and stills in it; it opens anywhere and loads nothing."""

from __future__ import annotations

import base64
import math
import os
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation.errors import InputError
from curation.exporters import report_facts as tell
from curation.exporters import report_figures as draw
from curation.exporters.base import PageExporter, Task
from curation.exporters.bundle import versions
from curation.exporters.rows import MEDIA
from curation.scope import present_clusterings, scope_of

STILLS = 12
PAIRS_SHOWN = 10
NAME_MAX = 80
_STYLE = """
:root{color-scheme:light}body{font:15px/1.5 system-ui,sans-serif;color:#1a2330;background:#fff;max-width:960px;
margin:32px auto;padding:0 24px}h1{font-size:26px;margin:0 0 4px}h2{font-size:18px;margin:32px 0 8px;border-bottom:1px
solid #d9dfe6;padding-bottom:4px}p,li{max-width:74ch}.quiet{color:#596474}svg{max-width:100%;height:auto}svg text
{font:12px system-ui,sans-serif}table{border-collapse:collapse;margin:8px 0}
th,td{text-align:right;padding:3px 12px 3px 0;border-bottom:1px solid #e9edf1;font-variant-numeric:tabular-nums}
th:first-child,td:first-child{text-align:left}th{font-weight:600;color:#596474}.figures{display:flex;flex-wrap:wrap;
gap:8px 28px;margin:16px 0}.figures div b{display:block;font-size:20px;font-weight:600}.figures span{color:#596474;
font-size:13px}.stills{display:grid;grid-template-columns:repeat(auto-fill,minmax(200px,1fr));gap:16px}figure{margin:0}
figure img,figure .none{width:100%;aspect-ratio:16/9;object-fit:contain;background:#11161d;border-radius:4px}figure
.none{display:flex;align-items:center;justify-content:center;color:#aeb6c1;font-size:12px;padding:0 8px;box-sizing:
border-box;text-align:center}figcaption{font-size:12px;color:#596474;overflow-wrap:anywhere}.pair{display:flex;
flex-wrap:wrap;gap:24px}code{background:#f3f5f8;padding:1px 4px;border-radius:3px;overflow-wrap:anywhere}
"""


class ReportExporter(PageExporter):
    """Methods with numbers and intervals, the curve with its controls, the funnel, a table of clusters before and
    after, health and diversity before and after, stills, settings."""

    name = "report"
    title = "HTML report"
    suffix = ".html"
    description = "One page with methods, figures, stills and settings; opens in any browser, without Concord."
    needs_selection = True

    def write(self, task: Task, handle: IO[bytes]) -> dict[str, Any]:
        page = _Report(task)
        task.note("drawing figures")
        parts = page.text_parts()
        task.advance(0)
        task.note("cutting stills")
        stills, missing = page.stills()
        parts.insert(-1, stills)
        body = "\n".join(parts)
        name = escape(_short(f"{task.workspace.name}: {page.name}"))
        handle.write(
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
            f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
            f"<body>{body}</body></html>\n".encode("utf-8", "backslashreplace")
        )
        task.advance(task.n_rows)
        return {"clips": task.n_rows, "stills_missing": missing}

    def preview(self, task: Task) -> str:
        return (
            f"{_methods(task, _info(task), task.n_rows)}\n\nThen: curve, funnel, clusters before and after, health, "
            "diversity, stills, settings."
        )


class _Report:
    """The parts of the page."""

    def __init__(self, task: Task) -> None:
        assert task.selection is not None
        self.task, self.workspace, self.name = task, task.workspace, task.selection
        self.info = _info(task)
        self.scope = scope_of(self.workspace, self.info)
        self.usable = self.scope.candidates
        self.rows = np.concatenate([batch["row"].to_numpy() for batch in task.rows()])

    def text_parts(self) -> list[str]:
        """All but the stills, in order; the last is the foot."""
        return [
            self._head(), self._figures(), _section("Methods", f"<p>{escape(self._methods())}</p>"), self._curve(),
            self._funnel(), self._tables(), self._health(), self._diversity(), self._foot(),
        ]  # fmt: skip

    def stills(self) -> tuple[str, int]:
        """Pictures of clips evenly spread over the picking order, and how many could not be cut."""
        step = max(1, len(self.rows) // STILLS)
        wanted = list(range(0, len(self.rows), step))[:STILLS]
        shown, missing = [], 0
        for row, picture, why in _cut_stills(self.task, wanted):
            missing += picture is None
            name = escape(_short(row["path"] or row["clip_id"]))
            rank = f"picked {row['rank']:,} · " if row["rank"] is not None else "kept by people · "
            span = _span(row)
            image = (
                f'<img alt="" src="data:image/jpeg;base64,{picture}">'
                if picture
                else f'<div class="none">{escape(why)}</div>'
            )
            shown.append(f"<figure>{image}<figcaption>{rank}<bdi>{name}</bdi>{span}</figcaption></figure>")
        note = '<p class="quiet">Evenly spread over the picking order, the middle of each clip; not chosen by hand.</p>'
        return _section("Examples", f'{note}<div class="stills">{"".join(shown)}</div>'), missing

    def _head(self) -> str:
        made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        kind = "as reviewed by people" if self.task.reviewed else "as the machine chose"
        return (
            f"<h1><bdi>{escape(_short(self.workspace.name))}</bdi></h1>"
            f'<p class="quiet">Selection <bdi>{escape(self.name)}</bdi>, {kind} · written {made} by Concord</p>'
        )

    def _figures(self) -> str:
        report = self.info.get("report", {})
        hours = self.workspace.query(
            "SELECT sum(end_s - start_s) / 3600 AS h FROM clips SEMI JOIN wanted USING (row)",
            wanted=_row_table(self.rows),
        )["h"][0].as_py()
        cells = [(f"{len(self.rows):,}", f"clips{_of(self.rows, self.usable)}")]
        if hours:
            cells.append((f"{hours:,.1f} h" if hours >= 1 else f"{hours * 60:.0f} min", "of media"))
        cells.append((_nats(self.info.get("objective")), "mutual information"))
        cells.append((_nats(report.get("objective_permuted")), "on permuted sounds, same method"))
        cells.append((_nats(report.get("objective_random")), "random, same size"))
        if report.get("corresponding_share") is not None:
            cells.append((_interval(report, "corresponding_share"), "of candidates correspond, estimated"))
            cells.append((_interval(report, "false_share"), "of these clips do not, estimated"))
        figures = "".join(f"<div><b>{a}</b><span>{b}</span></div>" for a, b in cells)
        return f'<div class="figures">{figures}</div>{self._changed_since()}'

    def _changed_since(self) -> str:
        """Where the candidates of the run are not those that its scope has now: what percentages refer to."""
        then, now = self.info.get("candidates"), int(self.usable.sum())
        said = f"{self.scope.notice}. " if self.scope.notice else ""
        if then is not None and int(then) != now:
            said += f"The run had {int(then):,} candidates. Shares and tables here refer to {now:,}, those of today."
        return f'<p class="quiet">{escape(said.strip())}</p>' if said else ""

    def _methods(self) -> str:
        return _methods(self.task, self.info, int(self.usable.sum()))

    def _curve(self) -> str:
        path = self.workspace.artefact_path(f"selections/{self.name}") / "curve.parquet"
        if not path.is_file():
            return ""
        held = pq.read_table(path, partitioning=None).to_pydict()
        lines = [
            (str(self.info.get("method", "selection")), "objective", draw.CHOSEN, ""),
            ("permuted sounds", "permuted", draw.MUTED, "6 4"), ("random", "random", draw.MUTED, "2 4"),
        ]  # fmt: skip
        drawn = [(name, np.asarray(held[key], float), colour, dash) for name, key, colour, dash in lines if key in held]
        note = (
            '<p class="quiet">The distance to permuted sounds is the finding: the same method, searching where sound '
            "and picture have nothing to do with each other, reaches the dashed line. The distance to random is "
            "not.</p>"
        )
        return _section("Mutual information against size", draw.curve(np.asarray(held["size"], float), drawn) + note)

    def _funnel(self) -> str:
        picked = int(self.info.get("clips", len(self.rows)))
        steps = tell.funnel(self.workspace, self.scope, picked, len(self.rows) if self.task.reviewed else None)
        return _section("From files to clips", draw.bars([(s.name, s.count, f"{s.count:,} {s.unit}") for s in steps]))

    def _tables(self) -> str:
        there = present_clusterings(self.workspace, self.info)
        pairs = tell.pairs(self.info)
        usable = [pair for pair in pairs if pair.sound in there and pair.picture in there]
        parts = []
        if usable:
            best = usable[0]
            table = tell.table(self.workspace, best.sound, best.picture, self.usable, self.rows)
            before, after = tell.pmi(table.before), tell.pmi(table.after)
            limit = max(1.0, math.ceil(float(np.nanmax(np.abs(np.concatenate([before, after])), initial=0.0))))
            note = (
                "Colour is how much more (orange) or less (blue) often than by chance a sound cluster and a picture "
                "cluster meet; white: no clip. The orders of rows and columns are those of the candidates in both."
            )
            if table.left_out:
                note += f" {table.left_out:,} clips of smaller clusters are not drawn."
            drawn = [
                f"<div><p>{name}</p>{draw.heatmap(values, limit, name, best.sound, best.picture)}</div>"
                for name, values in (("candidates", before), ("selected", after))
            ]
            bar = f'{draw.scale_bar(limit)}<p class="quiet">{escape(note)}</p>'
            parts.append(f'<div class="pair">{"".join(drawn)}</div>{bar}')
        rows = [
            [f"{p.sound} × {p.picture}", f"{p.information:.3f}", "–" if p.permuted is None else f"{p.permuted:.3f}"]
            for p in pairs[:PAIRS_SHOWN]
        ]
        more = (
            f'<p class="quiet">{len(pairs) - PAIRS_SHOWN} more pairs are not listed.</p>'
            if len(pairs) > PAIRS_SHOWN
            else ""
        )
        parts.append(_table(["pair", "mutual information, nats", "permuted sounds, nats"], rows) + more if rows else "")
        return _section("Sound clusters and picture clusters", "".join(parts)) if any(parts) else ""

    def _health(self) -> str:
        shares = tell.flags(self.workspace, self.usable, self.rows)
        if not shares:
            return ""
        rows = [[s.name, f"{s.before:.1f} %", f"{s.after:.1f} %"] for s in shares]
        return _section("Health, candidates and selected", _table(["", "candidates", "selected"], rows))

    def _diversity(self) -> str:
        names = present_clusterings(self.workspace, self.info)
        spreads = tell.spreads(self.workspace, names, self.usable, self.rows)
        rows = [[s.name, f"{s.n_clusters:,}", f"{s.before:.1f}", f"{s.after:.1f}"] for s in spreads]
        of_sources = tell.sources(self.workspace, self.usable, self.rows)
        said = (
            f"{of_sources[0]:,} sources before, {of_sources[1]:,} after; the most clips of one source: "
            f"{of_sources[2]:,} before, {of_sources[3]:,} after."
        )
        heads = ["clustering", "clusters", "effective, candidates", "effective, selected"]
        note = (
            '<p class="quiet">Effective clusters: as many as would be, were they of one size (e to the entropy). '
            "Counted in the clusterings that the choice was made by, and of sets of different sizes.</p>"
        )
        beside = self._diversity_beside_controls()
        return _section("Diversity", _table(heads, rows) + note + f"<p>{escape(said)}</p>" + beside)

    def _diversity_beside_controls(self) -> str:
        """What was measured beside random choices of the same size, if it was."""
        from curation import diversity
        from curation.diversity_table import shown

        try:
            found = diversity.kept(self.workspace, self.name)
        except InputError:  # the list of clips has changed since, which the page says
            found = None
        if found is None:
            return (
                '<p class="quiet">Not yet measured beside random choices of the same size: '
                "<code>python -m curation diversity</code> does, and this page shows it when it is made again.</p>"
            )
        heads = ["", "selected", "candidates", "random", "content-matched", "minus random", "minus content-matched"]
        rows = [
            [row.title, *(shown(value, row.unit) for value in (row.subset, row.whole, row.random, row.matched))]
            + [shown(value, row.unit, signed=True) for value in (row.above_random, row.above_matched)]
            for row in found.rows
        ]
        said = (
            f"Clusters counted in: {found.judged_on}. Random and content-matched random: mean of {found.draws}; 95 % "
            f"intervals from {found.sources:,} resampled sources."
        )
        notices = "".join(f'<p class="quiet">{escape(notice)}</p>' for notice in found.notices)
        return _table(heads, rows) + f'<p class="quiet">{escape(said)}</p>' + notices

    def _foot(self) -> str:
        settings = self.info.get("settings") or {
            key: self.info.get(key) for key in ("method", "budget", "pairing", "seed", "batch_size", "where")
        }
        rows = [[key, str(value)] for key, value in sorted(settings.items()) if value not in ("", None)]
        libraries = ", ".join(f"{name} {version}" for name, version in versions().items())
        fingerprint = self.workspace.fingerprint(f"selections/{self.name}") or ""
        return _section(
            "Settings",
            _table(["setting", "value"], rows)
            + f'<p class="quiet">Fingerprint of the selection <code>{escape(fingerprint)}</code>. {escape(libraries)}. '
            "A bundle (<code>export --format bundle</code>) makes the selection again.</p>",
        )


# -- inside ------------------------------------------------------------------------------------------------------------


def _info(task: Task) -> dict[str, Any]:
    return task.workspace.require(f"selections/{task.selection}", "select").info


def _methods(task: Task, info: dict[str, Any], n_candidates: int) -> str:
    """A paragraph that could stand in a paper: what was done, with its numbers and their intervals."""
    report, method = info.get("report", {}), info.get("method", "?")
    n_candidates = int(info.get("candidates") or n_candidates)
    of_sound = [name for name, kind in info.get("modalities", {}).items() if kind == "audio"]
    of_picture = [name for name, kind in info.get("modalities", {}).items() if kind == "visual"]
    text = (
        f"From {n_candidates:,} candidate clips, each with a cluster in {len(of_sound)} clusterings of sound "
        f"({', '.join(of_sound)}) and {len(of_picture)} of picture ({', '.join(of_picture)}), {info.get('clips', 0):,} "
        f"were selected by the method {method} (budget {info.get('budget', '?')}, pairs {info.get('pairing', '?')}, "
        f"seed {info.get('seed', '?')})."
    )
    if info.get("where"):
        text += f" Candidates met the condition {info['where']}."
    if info.get("objective") is not None:
        text += f" Their mean mutual information over the pairs is {info['objective']:.3f} nats"
        controls = [
            f"{report[key]:.3f} {words}"
            for key, words in (
                ("objective_permuted", "for as many clips chosen by the same method after the sounds were permuted"),
                ("objective_random", "for as many random ones"),
            )
            if report.get(key) is not None
        ]
        text += f", against {' and '.join(controls)}." if controls else "."
    if report.get("corresponding_share") is not None:
        text += (
            f" Judged against decoys, {_interval(report, 'corresponding_share')} of the candidates correspond in sound "
            f"and picture, and {_interval(report, 'false_share')} of the selected clips do not; these are estimates, "
            "not heard answers."
        )
    if task.reviewed:
        text += f" People then kept and dropped single clips; {task.n_rows:,} clips are left."
    notices = " ".join(str(notice) for notice in report.get("notices", []))
    return f"{text} {notices}".strip()


def _cut_stills(task: Task, wanted: Sequence[int]) -> list[tuple[dict[str, Any], str | None, str]]:
    """Rows at the places `wanted`, with a JPEG (base64) or the reason why there is none."""
    from curation.media.sandbox import Sandbox

    rows, at = [], 0
    places = set(wanted)
    for batch in task.rows((MEDIA,)):
        here = [k for k in range(batch.num_rows) if at + k in places]
        rows += batch.take(here).to_pylist()
        at += batch.num_rows
    found: list[tuple[dict[str, Any], str | None, str]] = [(row, None, "no known media file") for row in rows]
    with tempfile.TemporaryDirectory(prefix="stills-") as scratch:
        payloads = [
            {
                "path": os.fsdecode(row[MEDIA]),
                "time_s": ((row["start_s"] or 0.0) + (row["end_s"] or row["start_s"] or 0.0)) / 2,
                "out": f"{scratch}/{k}.jpg",
                "height": 180,
                "_at": k,
            }
            for k, row in enumerate(rows)
            if row[MEDIA] is not None
        ]
        with Sandbox(workers=task.settings.workers, time_limit_s=30.0) as sandbox:
            for outcome in sandbox.imap("still", payloads):
                k = outcome.payload["_at"]
                if task.progress is not None:
                    task.progress.check_cancelled()
                if outcome.error is not None:
                    found[k] = (rows[k], None, outcome.error.message)
                else:
                    picture = base64.b64encode(Path(outcome.payload["out"]).read_bytes()).decode("ascii")
                    found[k] = (rows[k], picture, "")
    return found


def _row_table(rows: np.ndarray) -> pa.Table:
    return pa.table({"row": rows})


def _section(title: str, body: str) -> str:
    return f"<h2>{escape(title)}</h2>{body}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _nats(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} nats"


def _of(rows: np.ndarray, candidates: np.ndarray) -> str:
    """The share of the candidates that the chosen clips among them are; people may have kept others."""
    total, inside = int(candidates.sum()), int(candidates[rows].sum())
    share = f" · {100 * inside / total:.1f} % of {total:,} candidates" if total else ""
    return f"{share} and {len(rows) - inside:,} from elsewhere" if inside < len(rows) else share


def _interval(report: dict[str, Any], key: str) -> str:
    low, high = report.get(f"{key}_low"), report.get(f"{key}_high")
    value = report.get(key)
    if value is None:
        return "–"
    between = f" ({100 * low:.0f}–{100 * high:.0f})" if low is not None and high is not None else ""
    return f"{100 * value:.0f} %{between}"


def _short(text: str) -> str:
    half = (NAME_MAX - 1) // 2
    return text if len(text) <= NAME_MAX else f"{text[:half]}…{text[-half:]}"


def _span(row: dict[str, Any]) -> str:
    if row["start_s"] is None or row["end_s"] is None:
        return ""
    return f" · {row['start_s']:.1f}–{row['end_s']:.1f} s"
