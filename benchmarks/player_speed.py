"""How long a person waits for a clip to move: from the click on its still in real Chromium, cut anew and kept.

    python benchmarks/player_speed.py FOLDER [--clips 7] [--name player_speed]

FOLDER: videos (`made_videos.py` joins some of 1080p from recorded ones); every tenth second begins a clip. Needs
playwright and Chromium. Play is pressed by the page's own button as soon as the clicked clip is in the player; the
clock runs in the browser, from the pointer going down on the still until the video shows a second picture. Clips are
opened in steps of four, beyond those that are fetched ahead: at rest, once those behind the clip before are there, and
in a hurry, 1.5 s after the clip before, while they are still being cut. Beside it, in one process: PyAV decoding from
the keyframe to the first picture of the clip, which nobody gets around, and the whole cut.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.end_to_end import RESULTS, machine  # noqa: E402
from benchmarks.explorer_speed import serving  # noqa: E402
from curation import pipeline  # noqa: E402
from curation.media.container import open_media  # noqa: E402
from curation.media.proxy import write_proxy  # noqa: E402
from curation.media.reader import VideoEvent, read_span  # noqa: E402
from curation.progress import Progress  # noqa: E402
from curation.workspace import Workspace  # noqa: E402
from tests.browser.conftest import CHROMIUM, CHROMIUM_ARGS  # noqa: E402

STAGES = ("scan", "filter", "segment")
CLIP_S = 10.0
# Waits for the clicked clip, presses play, and says when a second picture was shown, in ms since the pointer went down.
WATCH = """
() => {
  const all = (r) => [...r.querySelectorAll('*')].flatMap((e) => [e, ...(e.shadowRoot ? all(e.shadowRoot) : [])]);
  const video = () => all(document).find((e) => e.tagName === 'VIDEO' && e.closest('.player'));
  window.moved = null;
  window.addEventListener('pointerdown', () => {
    const started = performance.now(), before = video()?.src;
    const look = () => {
      const now = video();
      if (!now || !now.src || now.src === before) return requestAnimationFrame(look);
      if (now.paused) now.play();
      let pictures = 0;
      const seen = () => {
        if (++pictures === 2) window.moved = performance.now() - started;
        else now.requestVideoFrameCallback(seen);
      };
      now.requestVideoFrameCallback(seen);
    };
    look();
  }, { capture: true, once: true });
}
"""
STILLS = """
() => {
  const all = (r) => [...r.querySelectorAll('*')].flatMap((e) => [e, ...(e.shadowRoot ? all(e.shadowRoot) : [])]);
  const inView = (e) => e.getBoundingClientRect().top < innerHeight;
  const stills = all(document).filter((e) => e.tagName === 'IMG' && e.closest('.tile') && inView(e));
  return stills.every((e) => e.naturalWidth > 0);
}
"""
# Resolves when no resource has come for four seconds.
QUIET = """
() => new Promise((resolve) => {
  let last = performance.now();
  const watch = new PerformanceObserver(() => { last = performance.now(); });
  watch.observe({ type: 'resource' });
  const look = setInterval(() => {
    if (performance.now() - last < 4000) return;
    watch.disconnect();
    clearInterval(look);
    resolve();
  }, 100);
})
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=7)
    parser.add_argument("--name", default="player_speed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        path = Path(temporary) / "ws"
        workspace = Workspace.create(path, roots=[str(options.folder.resolve())])
        workspace.configure({"segment.mode": "windows", "segment.max_clips": "0", "segment.clip_s": str(CLIP_S)})
        for stage in STAGES:
            pipeline.run(workspace, Progress(), only=[stage])
        floors, cuts = floor_of(path, options.clips)
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=CHROMIUM_ARGS)
        roots = Path(f"{temporary}:{options.folder.resolve()}")
        with serving("streamlit_app.py", Path(temporary) / "home", roots) as (url, _):
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(f"{url}/clips?ws={path}")
            page.locator(".tile").nth(3).wait_for(timeout=60_000)
            page.wait_for_function(STILLS, timeout=120_000)  # they are cut as well
            rest(page)
            n = options.clips
            cut = [opened(page, 4 * k + 3, rest) for k in range(n)]
            hurried = [opened(page, 4 * (n + k) + 3, hurry) for k in range(n)]
            rest(page)
            kept = [opened(page, 4 * k + 3, rest) for k in range(n)]
        browser.close()
    lines = [
        "# From the click to the first moving picture",
        "",
        machine(),
        "",
        "| what | median, ms | 95th percentile, ms |",
    ]
    lines += ["| --- | ---: | ---: |"]
    for what, taken in (
        ("decoding from the keyframe to the clip's first picture, one process", floors),
        ("the whole cut, one process", cuts),
        ("a clip that must be cut, at rest", cut),
        ("a clip that must be cut, in a hurry", hurried),
        ("a clip that was cut before, at rest", kept),
    ):
        lines.append(f"| {what} | {np.median(taken):,.0f} | {np.percentile(taken, 95):,.0f} |")
    text = "\n".join(lines) + f"\n\n{options.clips} clips of {CLIP_S:.0f} s.\n"
    print(text)
    (RESULTS / f"{options.name}.md").write_text(text, "utf-8")


def opened(page: Page, tile: int, after: Callable[[Page], None]) -> float:
    """Milliseconds from the click on a still to the second picture of its clip; then `after` passes."""
    page.evaluate(WATCH)
    page.locator(".tile").nth(tile).click()
    page.wait_for_function("() => window.moved !== null", timeout=60_000)
    after(page)
    return float(page.evaluate("() => window.moved"))


def hurry(page: Page) -> None:
    page.wait_for_timeout(1500)


def rest(page: Page) -> None:
    """Until nothing has come for four seconds."""
    page.wait_for_timeout(500)
    page.evaluate(QUIET)


def floor_of(path: Path, n: int) -> tuple[list[float], list[float]]:
    """Milliseconds of plain decoding to the first picture, and of the whole cut, for some clips."""
    workspace, floors, cuts = Workspace.open(path), [], []
    rows = workspace.query(
        "SELECT v.path, c.start_s, c.end_s FROM clips c JOIN videos v USING (video_id) ORDER BY c.row"
    ).to_pylist()
    for row in rows[3::4][:n]:
        file = Path(workspace.roots[0]) / row["path"]
        started = time.perf_counter()
        with open_media(file) as media:
            for event in read_span(media, row["start_s"], row["end_s"], None):
                if isinstance(event, VideoEvent) and event.time_s >= row["start_s"]:
                    break
        floors.append(1000 * (time.perf_counter() - started))
        started = time.perf_counter()
        write_proxy(file, row["start_s"], row["end_s"], path / "proxy.mp4")
        cuts.append(1000 * (time.perf_counter() - started))
    return floors, cuts


if __name__ == "__main__":
    main()
