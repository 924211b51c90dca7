"""The main paths in real Chromium: the demo from the first click to the export, an own folder, jobs in two tabs."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from tests.mediamaker import make_video

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

ROOT = Path(__file__).resolve().parents[2]
DEMO_LIMIT_MS = 280_000
# Elements of components live in shadow roots, which document.querySelector does not enter.
DEEP = (
    "const deep = (r) => [...r.querySelectorAll('*')].flatMap((e) => [e, ...(e.shadowRoot ? deep(e.shadowRoot) : [])]);"
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def url(serve_app, home: Path, tmp_path: Path) -> str:
    return serve_app(ROOT / "streamlit_app.py", {"CONCORD_HOME": str(home), "CONCORD_ROOTS": str(tmp_path)})


def heading(page, text: str, timeout: float | None = None) -> None:
    page.get_by_role("heading", name=text, exact=True).first.wait_for(timeout=timeout)


def no_exception(page) -> None:
    assert page.locator('[data-testid="stException"]').count() == 0, page.locator(
        '[data-testid="stException"]'
    ).first.inner_text()


def stills_loaded(page, at_least: int) -> None:
    page.wait_for_function(
        f"() => {{ {DEEP} return deep(document).filter((e) => e.tagName === 'IMG' && e.src.includes('/concord/')"
        f" && e.complete && e.naturalWidth > 0).length >= {at_least}; }}"
    )


def play_and_check_that_time_advances(page) -> None:
    times = f"() => {{ {DEEP} return deep(document).filter((e) => e.tagName === 'VIDEO').map((e) => e.currentTime); }}"
    page.locator(".player video").first.wait_for()
    for attempt in range(4):  # a click may meet the player of the clip before, which is just being replaced
        play = page.locator(".player").get_by_role("button", name=re.compile("^Play")).first
        if play.count():
            play.click()
        try:
            page.wait_for_function(f"() => Math.max(...({times})()) > 0.4", timeout=10_000)
            return
        except playwright_api.TimeoutError:
            assert attempt < 3, "no video plays"


def open_tile(page) -> str:
    """Click a still of the chosen cell; returns the address, which names the clip.

    A click may meet a still of the cell before, which is just being replaced: such a clip does not stay in the address.
    """
    for _ in range(5):
        page.locator(".tile").nth(1).click()
        page.wait_for_url("**clip=**")
        page.wait_for_timeout(1500)
        if "clip=" in page.url:
            return page.url
    raise AssertionError("no clip of the cell could be opened")


def open_page(page, name: str) -> None:
    page.locator('[data-testid="stSidebar"]').get_by_role("link", name=name, exact=True).click()
    heading(page, name)


def job_is_done(page, title: str) -> None:
    page.locator('[data-testid="stSidebar"]').get_by_text(re.compile(rf"{title} · done")).first.wait_for(
        timeout=120_000
    )


@pytest.mark.slow
def test_the_demo_from_the_first_click_to_the_export(browser_page, url: str, home: Path) -> None:
    page = browser_page
    page.goto(url)
    heading(page, "Concord")
    page.get_by_role("button", name="Make and open the demo").click()
    progress = page.get_by_text(re.compile(r"of 160 clips"))
    progress.first.wait_for()
    page.reload()  # in the middle of the job
    progress.first.wait_for()
    assert "demo=" in page.url
    other = page.context.new_page()  # a second tab sees the same job
    other.goto(f"{url}/export?ws={home / 'workspaces' / 'demo'}")
    other.locator('[data-testid="stSidebar"]').get_by_text("Demo · running").first.wait_for()
    other.close()

    page.wait_for_url("**/contingency**", timeout=DEMO_LIMIT_MS)
    heading(page, "Contingency")
    canvas = page.locator("canvas").first
    canvas.wait_for()
    stills_loaded(page, 3)
    box = canvas.evaluate("(node) => node.getRootNode().__Heatmap.box2d")
    canvas.click(position={"x": box["left"] + 1.5 * box["cw"], "y": box["top"] + 1.5 * box["ch"]})
    page.wait_for_url("**cell=**")
    no_exception(page)
    stills_loaded(page, 3)
    link = open_tile(page)

    open_page(page, "Selection")
    page.get_by_role("button", name="Run", exact=True).click()
    job_is_done(page, "Selection")
    no_exception(page)

    open_page(page, "Clips")
    page.locator(".tile").first.click()
    play_and_check_that_time_advances(page)
    no_exception(page)

    open_page(page, "Export")
    page.get_by_text(re.compile("rows as they will be written")).wait_for()
    page.get_by_role("button", name="Export", exact=True).click()
    job_is_done(page, "Export ACAV100M output.csv")
    page.get_by_text("Written so far").wait_for()
    written = list((home / "workspaces" / "demo" / "exports").iterdir())
    assert len(written) == 1 and written[0].read_text().startswith("shard-")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download", exact=True).click()
    assert Path(download.value.path()).read_bytes() == written[0].read_bytes()

    page.goto(link)  # a copied link opens the same view
    heading(page, "Contingency")
    page.wait_for_url(re.compile(r"[?&]cell=.*"))
    page.wait_for_url(re.compile(r"[?&]clip=.*"))
    no_exception(page)


def test_an_own_folder_is_seen_heard_and_run(browser_page, url: str, home: Path, tmp_path: Path) -> None:
    media = tmp_path / "my videos"
    media.mkdir()
    for i in range(6):
        make_video(media / f"clip <b>{i}.mp4", seconds=2.0, seed=i, sound="noise" if i % 2 else "sine")
    (media / "broken.mp4").write_bytes(b"nothing")
    page = browser_page
    page.goto(url)
    heading(page, "Concord")
    page.get_by_label("Folder on this machine").fill(str(media))
    started = time.monotonic()
    page.get_by_role("button", name="Look into this folder").click()
    heading(page, "Ingest")
    page.get_by_text("7 random clips").wait_for()
    stills_loaded(page, 6)
    print(f"stills after {time.monotonic() - started:.1f} s")
    page.locator(".tile").nth(2).click()
    page.wait_for_url("**preview=2**")
    page.wait_for_function(  # what came as a stream is whole soon, and the player knows its length
        f"""() => {{ {DEEP} const video = deep(document).find((e) => e.tagName === 'VIDEO' && e.closest('.player'));
        return video?.seekable.length && Math.abs(video.seekable.end(0) - 2) < 0.2; }}"""
    )
    assert page.locator(".player .time").inner_text().endswith("/ 0:02.0")
    play_and_check_that_time_advances(page)

    page.get_by_role("button", name="Clips only").click()
    job_is_done(page, "Clips only")
    page.get_by_text("6 clips").first.wait_for()
    page.get_by_text("1 not readable").wait_for()
    no_exception(page)
    assert page.locator("b", has_text=re.compile(r"[0-5]\.mp4")).count() == 0, "names of files are text, not HTML"


def test_a_job_is_cancelled(browser_page, url: str, tmp_path: Path) -> None:
    media = tmp_path / "videos"
    media.mkdir()
    make_video(media / "first.mp4", seconds=2.0)
    for i in range(60):
        (media / f"{i}.mp4").write_bytes((media / "first.mp4").read_bytes() + bytes([i]))
    page = browser_page
    page.goto(f"{url}/ingest?folder={media}")
    heading(page, "Ingest")
    page.get_by_role("button", name="Run", exact=True).click()
    sidebar = page.locator('[data-testid="stSidebar"]')
    sidebar.get_by_text("Run · running").first.wait_for()
    sidebar.locator('[class*="st-key-cancel"] button').first.click()
    sidebar.get_by_text("Run · cancelled").first.wait_for(timeout=30_000)
    sidebar.get_by_text("Finished work is kept").first.wait_for()
    no_exception(page)
