"""Review in real Chromium: two hundred clips by keys, undo, notes, a reload in the middle, two people, the playhead."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

import pytest

from curation import review
from curation.workspace import Workspace
from tests.auditmaker import add_media
from tests.mediamaker import make_video
from tests.workspacemaker import make_workspace

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

ROOT = Path(__file__).resolve().parents[2]
N_CLIPS = 230
DEEP = """
const deep = (r) => [...r.querySelectorAll('*')].flatMap((e) => [e, ...(e.shadowRoot ? deep(e.shadowRoot) : [])]);
const find = (selector) => deep(document).find((e) => e.matches(selector));
"""
SIGNS = """
window.signs = [];
const sign = find('.review .sign');
const note = () => window.signs.push(sign.lastElementChild?.textContent ?? "");
new MutationObserver(note).observe(sign, { childList: true });
"""


@pytest.fixture(scope="module")
def served(serve_app_for_module, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("review")
    return serve_app_for_module(ROOT / "streamlit_app.py", {"CONCORD_ROOTS": str(folder)}), folder


@pytest.fixture
def ws(served: tuple[str, Path], request: pytest.FixtureRequest) -> Workspace:
    folder = served[1] / request.node.name
    folder.mkdir()
    files = [make_video(folder / f"{i}.mp4", seconds=1.0, seed=i, hz=300.0 + 200 * i) for i in range(2)]
    workspace = make_workspace(folder / "ws", n_clips=N_CLIPS)
    add_media(workspace, files)
    return workspace


def opened(page, served: tuple[str, Path], ws: Workspace, **parameters: object) -> None:
    given = "".join(f"&{name}={value}" for name, value in parameters.items())
    page.goto(f"{served[0]}/clips?ws={quote(str(ws.path))}&sort=row{given}")
    page.locator(".review .where b").wait_for()
    page.wait_for_function(f"() => {{ {DEEP} return find('.review video').readyState >= 2; }}")


def ids(ws: Workspace) -> list[str]:
    return list(ws.table("clips", ["clip_id"])["clip_id"].to_pylist())


def place(page) -> str:
    return page.locator(".review .where b").inner_text()


def arrived(page, where: str) -> None:
    """Waits until the browser shows that place: at the end of what it holds, keys wait for the next clips."""
    try:
        page.locator(".review .where b").get_by_text(where, exact=True).wait_for(timeout=20_000)
    except playwright_api.TimeoutError:
        pytest.fail(f"the browser stays at {place(page)}, not {where}")


def test_two_hundred_clips_by_keys(browser_page, served, ws: Workspace) -> None:
    page = browser_page
    opened(page, served, ws)
    page.evaluate(f"() => {{ {DEEP} find('.review').marked = true; find('.review video').marked = true; }}")
    wanted: dict[str, str] = {}
    for i, clip in enumerate(ids(ws)[:200]):
        key, decision = (("k", "keep"), ("d", "drop"), ("m", "maybe"))[i % 3]
        if i % 50 == 7:  # a wrong key, taken back
            page.keyboard.press("d")
            page.keyboard.press("u")
        page.keyboard.press(key)
        wanted[clip] = decision
        if i % 20 == 19:  # a person looks up now and then; the page gets to hear of it
            page.wait_for_timeout(250)
    arrived(page, "201")
    page.locator(".review .sign.good", has_text="saved").wait_for()
    found = review.answers_of(ws, "me")
    assert {clip: one.decision for clip, one in found.items()} == wanted
    same = page.evaluate(f"() => {{ {DEEP} return [find('.review').marked, find('.review video').marked]; }}")
    assert same == [True, True], "the player was drawn anew"
    assert page.locator('[data-testid="stException"]').count() == 0
    page.get_by_text("67 kept, 67 dropped, 66 maybe").wait_for()


def test_keys_that_are_faster_than_the_page_are_all_answers(browser_page, served, ws: Workspace) -> None:
    page = browser_page
    opened(page, served, ws)
    page.evaluate(f"() => {{ {DEEP} {SIGNS} }}")
    page.keyboard.type("kdm" * 70)
    arrived(page, "211")
    page.locator(".review .sign.good", has_text="saved").wait_for()
    said = review.answers_of(ws, "me")
    assert [said[clip].decision for clip in ids(ws)[:210]] == ["keep", "drop", "maybe"] * 70
    signs = page.evaluate("() => window.signs")
    assert any(re.search(r"\d+ keys wait for the next clips", sign) for sign in signs), "said while they wait"
    assert signs[-1] == "210 saved"
    assert page.locator('[data-testid="stException"]').count() == 0


def test_notes_undo_and_the_final_choice(browser_page, served, ws: Workspace) -> None:
    page = browser_page
    opened(page, served, ws, sel="yes")
    first = str(ws.table("clips", ["clip_id"])["clip_id"][int(review.machine_rows(ws, "main")[0])])
    page.keyboard.press("n")
    page.keyboard.type("dubbed <b>'\"")
    page.keyboard.press("Enter")
    page.keyboard.press("d")
    page.keyboard.press("ArrowLeft")
    assert place(page) == "1"
    page.locator(".review .chip.out", has_text="out").wait_for()
    assert page.locator(".review .note").input_value() == "dubbed <b>'\""
    page.locator(".review .sign.good").wait_for()
    assert review.answers_of(ws, "me")[first][:2] == ("drop", "dubbed <b>'\"")
    page.keyboard.press("u")
    page.locator(".review .chip.in", has_text="in").wait_for()
    page.keyboard.press("u")
    assert page.locator(".review .note").input_value() == ""
    page.locator(".review .sign.good").wait_for()
    page.wait_for_timeout(300)
    assert review.answers_of(ws, "me") == {}
    assert len((ws.path / review.FILE).read_text("utf-8").splitlines()) == 4, "undo appends"


def test_a_reload_in_the_middle_loses_nothing(browser_page, served, ws: Workspace) -> None:
    page = browser_page
    opened(page, served, ws)
    for key in "kdkdm":
        page.keyboard.press(key)
    page.reload()
    page.locator(".review .where b").wait_for()
    page.locator(".review .sign.good", has_text="saved").wait_for()
    said = [review.answers_of(ws, "me")[clip].decision for clip in ids(ws)[:5]]
    assert said == ["keep", "drop", "keep", "drop", "maybe"]
    assert page.locator(".review .tally").inner_text() == "2 kept · 2 dropped · 1 maybe"


def test_two_people_and_the_same_clip(browser_page, chromium, served, ws: Workspace) -> None:
    other = chromium.new_context(viewport={"width": 1200, "height": 900}).new_page()
    other.set_default_timeout(60_000)
    opened(other, served, ws, reviewer="ben")
    opened(browser_page, served, ws, reviewer="anna")
    browser_page.keyboard.press("k")
    browser_page.locator(".review .sign.good", has_text="1 saved").wait_for()
    other.keyboard.press("d")
    other.locator(".review .sign.good", has_text="1 saved").wait_for()
    other.keyboard.press("ArrowLeft")
    other.locator(".review .chip", has_text="anna: kept").wait_for()
    first = ids(ws)[0]
    assert {who: one.decision for who, one in review.said_of(ws, [first])[first]} == {"anna": "keep", "ben": "drop"}
    assert review.decision_of(ws, first) == ("ben", "drop")
    other.context.close()


def test_the_playhead_follows_the_video(browser_page, served, ws: Workspace) -> None:
    page = browser_page
    opened(page, served, ws)
    box = page.locator(".review .timeline").bounding_box()
    page.mouse.click(box["x"] + 0.25 * box["width"], box["y"] + box["height"] / 2)
    page.wait_for_function(
        f"""() => {{ {DEEP} const video = find('.review video'), head = find('.review .playhead');
        return Math.abs(video.currentTime / video.duration - 0.25) < 0.03
          && Math.abs(parseFloat(head.style.left) - 25) < 3; }}"""
    )
    place_of = f"""() => {{ {DEEP} const video = find('.review video');
      video.pause(); video.currentTime = 0.6; }}"""
    page.evaluate(place_of)
    page.wait_for_function(
        f"""() => {{ {DEEP} const video = find('.review video'), head = find('.review .playhead');
        return Math.abs(parseFloat(head.style.left) / 100 - video.currentTime / video.duration) < 0.01
          && Math.abs(video.currentTime - 0.6) < 0.05; }}"""
    )
    page.keyboard.press(" ")
    page.wait_for_function(f"() => {{ {DEEP} return find('.review video').currentTime > 0.5; }}")
