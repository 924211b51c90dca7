"""Evaluations by pre-training on their page: what was found, what it speaks of, a new one as a job, bad folders."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from curation.pretraining import results
from curation.pretraining.intervals import mean_interval
from curation.pretraining.power import SHARES, judge, set_name
from curation.workspace import Workspace
from explorer import teach_charts
from explorer.views import teach as views
from tests.app.conftest import OpenPage, check_page, texts
from tests.workspacemaker import make_workspace

PROBE = {"name": "pictures", "sees": "picture", "classes": ["a", "b"], "learnt": 40, "tested": 60, "sources": 30,
         "chance": 0.5}  # fmt: skip
CONFIG = {"steps": 30, "batch_size": 16, "network": "tiny"}
TRAIN = {"clips": 50, "last_loss": 2.0, "shared_negatives": 0.0, "clips_per_s": 900.0, "waiting_share": 0.01}


def hits(level: float, seeds: int) -> np.ndarray:
    return np.random.default_rng(round(100 * level)).random((seeds, 60)) < level


def write_power(ws: Workspace, rise: float, seeds: int = 3) -> dict[str, Any]:
    """A power check in which accuracy rises by so much."""
    source = np.arange(60) // 2
    found = judge("pictures", SHARES, np.stack([hits(0.5 + rise * share, seeds) for share in SHARES]), source)
    sets = [set_name(share) for share in SHARES]
    runs = [{"set": name, "seed": s, "facts": {"right": x, "share": x}, "train": TRAIN}
            for name, x in zip(sets, SHARES) for s in range(seeds)]  # fmt: skip
    result = {"kind": "power", "made": 1.0, "probes": [PROBE], "notes": ["2 clips are left out."], "config": CONFIG,
              "seeds": list(range(seeds)), "planned_seeds": list(range(seeds + 1)), "sets": sets, "runs": runs,
              "power": [asdict(found) | {"verdict": found.verdict}]}  # fmt: skip
    return keep(ws, "power", result)


def write_comparison(ws: Workspace, seeds: int = 3) -> dict[str, Any]:
    sets = {"curated": 0.9, "random": 0.6, "matched random": 0.88, "all": 0.5}
    source = np.arange(60) // 2
    levels, gaps = [], []
    for name, level in sets.items():
        levels.append({"probe": "pictures", "set": name, "top": 1, **asdict(mean_interval(hits(level, seeds), source))})
        if name != "curated":
            gap = mean_interval(hits(0.9, seeds).astype(float) - hits(level, seeds), source)
            gaps.append({"probe": "pictures", "first": "curated", "second": name, "top": 1, **asdict(gap)})
    runs = [{"set": name, "seed": s, "facts": {"clips": 50, "right": 0.8}, "train": TRAIN}
            for name in sets for s in range(seeds)]  # fmt: skip
    result = {"kind": "comparison", "made": 2.0, "probes": [PROBE], "notes": [], "config": CONFIG, "sets": list(sets),
              "seeds": list(range(seeds)), "planned_seeds": list(range(seeds)), "runs": runs, "levels": levels,
              "differences": gaps}  # fmt: skip
    return keep(ws, "compare", result)


def keep(ws: Workspace, name: str, result: dict[str, Any]) -> dict[str, Any]:
    folder = results.folder_of(ws, name)
    plan = {key: result[key] for key in ("kind", "made", "probes", "notes", "seeds")}
    results.write(folder / "plan.json", plan)
    results.write(folder / "result.json", result)
    found = results.read_result(ws, name)
    assert found is not None
    return found


@pytest.fixture
def ws(concord_home: Path) -> Workspace:
    return make_workspace(concord_home / "workspaces" / "made")


def test_without_an_evaluation_the_page_offers_one_and_starts_it(
    open_page: OpenPage, ws: Workspace, launched: list[list[str]]
) -> None:
    app = open_page("evaluate", ws, part="teach")
    assert "Does it teach?" in texts(app)
    app.selectbox(key="teach.seen").set_value("truth_match").run()
    app.number_input(key="teach.seeds").set_value(2).run()
    app.button(key="teach.start").click().run()
    (argv,) = launched
    assert argv[:3] == ["pretrain", str(ws.path), "power"] and argv[argv.index("--seeds") + 1] == "0,1"
    assert argv[argv.index("--picture-label") + 1] == "truth_match"


def test_a_folder_outside_what_may_be_read_is_refused(
    open_page: OpenPage, ws: Workspace, launched: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONCORD_ROOTS", str(ws.path.parent))
    app = open_page("evaluate", ws, part="teach")
    app.selectbox(key="teach.probe").set_value("esc50").run()
    app.text_input(key="teach.place").set_value("/etc").run()
    app.button(key="teach.start").click().run()
    assert not launched and "outside" in texts(app)


def test_a_power_check_says_whether_it_can_tell(open_page: OpenPage, ws: Workspace) -> None:
    write_power(ws, 0.4)
    app = open_page("evaluate", ws, part="teach")
    check_page(app)
    shown = texts(app)
    assert "This evaluation can tell" in shown and "3 of 4 seeds are done" in shown and "2 clips are left out" in shown
    write_power(ws, 0.0)
    assert "This evaluation cannot tell" in texts(open_page("evaluate", ws, part="teach"))


def test_a_comparison_says_what_it_could_and_could_not_tell_apart(open_page: OpenPage, ws: Workspace) -> None:
    write_power(ws, 0.4)
    result = write_comparison(ws)
    app: AppTest = open_page("evaluate", ws, part="teach", trained="compare")
    shown = texts(app)
    assert "teaches more than random" in shown and "cannot be told from matched random" in shown
    tells, sentence = views.verdict(result, "pictures")
    assert not tells and "teaches more than all" in sentence
    assert app.selectbox(key="choose.trained").options == ["compare", "power"]
    (ws.path / "evaluations" / "pretrain-compare" / "result.json").write_text('{"seeds": [0], "kind": "comparison"}')
    assert "compare is damaged" in texts(open_page("evaluate", ws, part="teach", trained="compare"))


def test_a_comparison_shows_whether_its_evaluation_can_tell(open_page: OpenPage, ws: Workspace) -> None:
    write_comparison(ws)
    assert "No power check was made with this probe" in texts(open_page("evaluate", ws, part="teach"))
    write_power(ws, 0.0)
    for name in ("power", "compare"):
        file = results.folder_of(ws, name) / "plan.json"
        asked = {"identity": {"questions": {"pictures": "abc"}, "config": CONFIG}}
        results.write(file, results.read_plan(ws, name) | asked)
    shown = texts(open_page("evaluate", ws, part="teach", trained="compare"))
    assert "Power check 'power', same probe and training: This evaluation cannot tell" in shown.replace("\\", "")
    assert "An earlier version wrote these numbers" in shown
    results.write(results.folder_of(ws, "compare") / "result.json",
                  dict(results.read_result(ws, "compare") or {}) | {"version": results.VERSION})  # fmt: skip
    assert "An earlier version" not in texts(open_page("evaluate", ws, part="teach", trained="compare"))


def test_one_seed_has_no_interval_and_says_so(ws: Workspace) -> None:
    result = write_comparison(ws, seeds=1)
    assert "two or more" in views.verdict(result, "pictures")[1]
    marks = views.gap_marks(result, "pictures")
    assert all(mark.low is None and mark.high is None for mark in marks)
    for dark in (False, True):
        figure = teach_charts.dots(marks, unit="points", zero=True, dark=dark)
        assert len(figure.data) == 3 and figure.data[0].error_x.array == (0,)


def test_figures_draw_what_they_are_given(ws: Workspace) -> None:
    marks = views.power_marks(write_power(ws, 0.4), "pictures")
    assert [mark.at for mark in marks] == [0, 25, 50, 75, 100]
    figure = teach_charts.rise(marks, chance=50.0)
    assert list(figure.data[0].y) == [mark.value for mark in marks]
    assert figure.layout.yaxis.range[0] < min(mark.low for mark in marks) and len(figure.layout.shapes) == 1
    reach = figure.data[0].error_y
    assert np.allclose(reach.array, [mark.high - mark.value for mark in marks])
    assert teach_charts.rise([]).layout.annotations and teach_charts.dots([], unit="%").layout.annotations
    named = teach_charts.dots([replace(marks[0], name="all")], unit="%", chance=10.0)
    assert named.layout.yaxis.ticktext == ("all",) and named.layout.annotations[0].text == "always the same class"
