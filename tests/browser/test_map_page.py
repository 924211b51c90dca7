"""The maps in real Chromium: a lasso in one marks in the other; zoom, address, and the clips of a cell."""

from __future__ import annotations

import math
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlparse

import numpy as np
import pytest

from curation import names, review
from curation.workspace import Workspace
from explorer import data, marks
from explorer.views import maps
from tests.workspacemaker import make_workspace

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "w", n_clips=120)


@pytest.fixture
def served(serve_app, tmp_path: Path, ws: Workspace) -> str:
    return serve_app(ROOT / "streamlit_app.py", {"CONCORD_ROOTS": str(tmp_path)})


def asked(page, name: str) -> str:
    return parse_qs(urlparse(page.url).query).get(name, [""])[0]


def drawn(canvas) -> str:
    """What the canvas has been given last."""
    return canvas.evaluate("c => c.closest('.root').dataset.ready ?? ''")


def lasso(page, canvas, centre: tuple[float, float], radius: float) -> None:
    """Draw a circle; centre and radius in shares of the canvas."""
    box = canvas.bounding_box()
    x, y, r = box["x"] + centre[0] * box["width"], box["y"] + centre[1] * box["height"], radius * box["width"]
    page.mouse.move(x + r, y)
    page.mouse.down()
    for i in range(1, 25):
        page.mouse.move(x + r * math.cos(i / 24 * 2 * math.pi), y + r * math.sin(i / 24 * 2 * math.pi))
    page.mouse.up()


def test_a_lasso_in_one_map_marks_in_the_other(browser_page, served: str, ws: Workspace) -> None:
    page = browser_page
    page.goto(f"{served}/map?{urlencode({'ws': str(ws.path), 'color': 'k:picture.colour'})}")
    sound, picture = page.get_by_label("Sound map;"), page.get_by_label("Picture map;")
    picture.wait_for()
    page.wait_for_function("c => c.closest('.root').dataset.ready", arg=sound.element_handle())
    before = drawn(sound)
    lasso(page, picture, (0.5, 0.5), 0.35)
    page.get_by_text("marked in the picture map").wait_for()
    page.wait_for_url("**rows=**")
    first = marks.rows(ws, asked(page, "rows"))
    assert first is not None and 0 < len(first) < 120
    page.wait_for_function(
        "([c, was]) => c.closest('.root').dataset.ready !== was", arg=[sound.element_handle(), before]
    )
    # What was marked is what lies in a circle about the middle of what the canvas shows, in the map's own units.
    xy = np.asarray(ws.array("projections/visual", "xy"), np.float64)
    x0, y0, x1, y1 = maps.home_window(xy.astype(np.float32))
    box = picture.bounding_box()
    unit = max((x1 - x0) / box["width"], (y1 - y0) / box["height"])
    away = np.linalg.norm(xy - [(x0 + x1) / 2, (y0 + y1) / 2], axis=1) / unit
    inside, outside = away < 0.35 * box["width"] - 8, away > 0.35 * box["width"] + 8
    assert set(np.flatnonzero(inside)) <= set(first) and not set(np.flatnonzero(outside)) & set(first)

    page.get_by_role("button", name=f"Answer all {len(first)}").click()
    page.get_by_role("button", name="Drop all").click()
    page.get_by_text("none of them has an answer yet").wait_for()
    page.get_by_role("button", name="Yes, all of them").click()
    page.get_by_text(f"{len(first)} clips: dropped, said by me").wait_for()
    assert review.decided_rows(ws)["drop"].tolist() == first.tolist()
    page.get_by_role("button", name="Undo all of it").click()
    page.get_by_text(f"{len(first)} clips: dropped, said by me").wait_for(state="detached")
    assert not len(review.decided_rows(ws)["drop"])

    page.keyboard.press("Escape")
    page.get_by_role("button", name="Unmark").click()
    page.get_by_text("Draw around clips in one map").wait_for()
    assert asked(page, "rows") == ""

    sound.focus()
    page.keyboard.press("Enter")  # marks what is shown: every clip
    page.get_by_text("120 clips marked").wait_for()
    page.reload()
    page.get_by_text("120 clips marked").wait_for()
    page.get_by_role("button", name="Open in Clips").click()
    page.get_by_role("heading", name="Clips", exact=True).wait_for()
    page.get_by_text("120 clips").first.wait_for()
    assert page.locator('[data-testid="stException"]').count() == 0


def test_a_zoom_stays_in_the_address_and_a_point_opens_its_clip(browser_page, served: str, ws: Workspace) -> None:
    for layer in data.clusterings(ws):
        names.record(ws, layer, 1, "rain")
    page = browser_page
    page.goto(f"{served}/map?{urlencode({'ws': str(ws.path)})}")
    picture = page.get_by_label("Picture map;")
    picture.wait_for()
    named = "c => JSON.parse(c.closest('.root').dataset.names ?? '[]').includes('1 rain')"
    page.wait_for_function(named, arg=picture.element_handle())
    page.locator(".st-key-map-names label").first.click()
    page.wait_for_function("c => c.closest('.root').dataset.names === '[]'", arg=picture.element_handle())
    assert asked(page, "names") == "no"
    picture.focus()
    page.keyboard.press("+")
    page.wait_for_url("**wv=**")
    window = [float(value) for value in asked(page, "wv").split(",")]
    # Where the clip that stands most alone is on the canvas, the map's own units along both axes being equal.
    xy = np.asarray(ws.array("projections/visual", "xy"), np.float64)
    centre = np.array([(window[0] + window[2]) / 2, (window[1] + window[3]) / 2])
    apart = np.linalg.norm(xy[:, None] - xy, axis=2)
    np.fill_diagonal(apart, np.inf)
    shown = (np.abs(xy - centre) < 0.4 * np.array([window[2] - window[0], window[3] - window[1]])).all(1)
    row = int(np.where(shown, apart.min(1), -1).argmax())
    box = picture.bounding_box()
    unit = (window[2] - window[0]) / box["width"]
    x = box["x"] + box["width"] / 2 + (xy[row, 0] - centre[0]) / unit
    y = box["y"] + box["height"] / 2 - (xy[row, 1] - centre[1]) / unit
    page.mouse.move(x, y)
    clip = ws.table("clips", ["clip_id", "path"]).slice(row, 1).to_pylist()[0]
    page.get_by_text(Path(clip["path"]).stem).wait_for()  # its name, under the pointer
    page.mouse.click(x, y)
    page.wait_for_url("**clip=**")
    assert asked(page, "clip") == clip["clip_id"]


def test_a_cell_of_the_contingency_opens_its_clips(browser_page, served: str, ws: Workspace) -> None:
    page = browser_page
    query = {"ws": str(ws.path), "a": "sound.mfcc", "v": "picture.motion", "order": "number"}
    page.goto(f"{served}/contingency?{urlencode(query)}")
    canvas = page.get_by_label("Heatmap of 4 sound clusters by 4 picture clusters")
    canvas.wait_for()
    canvas.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**cell=**")
    r, c = (int(value) for value in asked(page, "cell").split(","))
    a, b = (np.asarray(ws.array(f"clusterings/{name}", "assignments")) for name in ("sound.mfcc", "picture.motion"))
    count = int(((a == r) & (b == c)).sum())
    page.get_by_role("button", name=f"Open all {count} in Clips").click()
    page.get_by_role("heading", name="Clips", exact=True).wait_for()
    page.get_by_text(f"{count} clips").first.wait_for()
    assert page.locator('[data-testid="stException"]').count() == 0
