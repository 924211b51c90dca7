"""The cluster page in real Chromium: a reel plays its pieces in turn with sound, and a cluster gets its name."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

import pytest

from curation import names
from explorer import data
from tests.auditmaker import add_media
from tests.mediamaker import make_video
from tests.workspacemaker import make_workspace

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

ROOT = Path(__file__).resolve().parents[2]
# Which pieces were heard, in their order, and how many sounded at once at most.
WATCH = """() => {
  const deep = (r) => [...r.querySelectorAll('*')].flatMap((e) => [e, ...(e.shadowRoot ? deep(e.shadowRoot) : [])]);
  const seen = (window.__seen = { pieces: [], most: 0 });
  setInterval(() => {
    const on = deep(document).filter((e) => e.tagName === 'VIDEO' && !e.paused && e.currentTime > 0 && !e.muted);
    seen.most = Math.max(seen.most, on.length);
    for (const video of on) {
      const clip = new URL(video.src).searchParams.get('clip');
      if (clip !== seen.pieces.at(-1)) seen.pieces.push(clip);
    }
  }, 30);
}"""


def test_a_reel_by_keys_and_a_name(browser_page, serve_app, tmp_path: Path) -> None:
    files = [make_video(tmp_path / f"{i}.mp4", seconds=2.5, seed=i, hz=300.0 + 200 * i) for i in range(2)]
    workspace = make_workspace(tmp_path / "ws", n_clips=40, n_kinds=2)
    add_media(workspace, files)
    sizes = data.sizes(workspace, "sound.logmel")
    largest = int(sizes.argmax())
    url = serve_app(ROOT / "streamlit_app.py", {"CONCORD_ROOTS": str(tmp_path)})
    page = browser_page
    page.goto(f"{url}/cluster?ws={quote(str(workspace.path))}&on=sound.logmel")
    reels = page.get_by_role("button", name=re.compile("^Reel of "))
    reels.nth(1).wait_for()
    page.evaluate(WATCH)

    page.keyboard.press("g")
    card = page.get_by_role("region", name=f"Reel of sound {largest}", exact=True)
    card.get_by_text(f"10 of {sizes[largest]} clips, random").wait_for()
    page.wait_for_function("window.__seen.pieces.length >= 3")
    first = page.evaluate("window.__seen.pieces")[:3]
    assert len(set(first)) == 3  # one after another, none twice
    page.keyboard.press("h")  # others
    page.wait_for_function(f"!{first!r}.includes(window.__seen.pieces.at(-1))")
    card.get_by_text(re.compile("^[0-9]+ of [0-9]+ ·")).wait_for()
    page.keyboard.press("Shift+G")  # the next cluster's reel; the first one falls silent
    page.get_by_role("region", name=f"Reel of sound {1 - largest}", exact=True).get_by_text(
        re.compile("^[0-9]+ of [0-9]+ ·")
    ).wait_for()
    assert card.is_hidden()
    page.wait_for_timeout(300)
    assert page.evaluate("window.__seen.most") == 1
    page.keyboard.press("Escape")
    assert page.get_by_role("region", name=re.compile("^Reel of")).count() == 0

    page.get_by_role("button", name="Name").first.click()
    page.get_by_role("textbox", name="Name", exact=True).fill('<b>dogs</b> "g" [x](y)')
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text(f'sound {largest} <b>dogs</b> "g" [x](y)').first.wait_for()
    assert names.names(workspace, "sound.logmel")[largest].name == '<b>dogs</b> "g" [x](y)'

    reels.first.click()
    card = page.get_by_role("region", name=re.compile("dogs"))
    card.get_by_role("button", name=re.compile("^[0-9]+ of 10 ")).click()  # opens the clip that plays
    page.get_by_role("dialog").wait_for()
    assert "clip=" in page.url
    assert page.locator('[data-testid="stException"]').count() == 0
