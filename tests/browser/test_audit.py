"""The blind audit in real Chromium: clips play by themselves, keys answer, a reload goes on."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest

from curation import audit
from tests.auditmaker import add_media, add_run
from tests.mediamaker import make_video
from tests.workspacemaker import make_workspace

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

ROOT = Path(__file__).resolve().parents[2]
PLAYED = """() => {
  const deep = (r) => [...r.querySelectorAll('*')].flatMap((e) => [e, ...(e.shadowRoot ? deep(e.shadowRoot) : [])]);
  const video = deep(document).find((e) => e.tagName === 'VIDEO');
  return Boolean(video) && video.currentTime > 0.2 && !video.muted;
}"""


def test_an_audit_by_keys(browser_page, serve_app, tmp_path: Path) -> None:
    files = [make_video(tmp_path / f"{i}.mp4", seconds=1.0, seed=i, hz=300.0 + 200 * i) for i in range(2)]
    workspace = make_workspace(tmp_path / "ws")
    add_run(workspace, "main", np.random.default_rng(0).normal(size=60))
    add_media(workspace, files)
    url = serve_app(ROOT / "streamlit_app.py", {"CONCORD_ROOTS": str(tmp_path)})
    page = browser_page
    page.goto(f"{url}/evaluate?ws={quote(str(workspace.path))}&auditor=anna")
    page.get_by_role("button", name="Check 60 clips by ear (about 8 min)").click()
    page.get_by_text("0 of 66 clips heard").wait_for()
    page.wait_for_function(PLAYED)  # by itself, with sound
    page.keyboard.press("1")
    page.get_by_text("1 of 66 clips heard").wait_for()
    page.wait_for_function(PLAYED)
    page.keyboard.press("3")
    page.get_by_text("2 of 66 clips heard").wait_for()
    page.keyboard.press("u")
    page.get_by_text("1 of 66 clips heard").wait_for()
    page.reload()
    page.get_by_text("1 of 66 clips heard").wait_for()
    page.wait_for_function(PLAYED)  # a key before the clip is shown answers nothing
    page.keyboard.press("2")
    page.get_by_text("2 of 66 clips heard").wait_for()
    given = [(one.item, one.answer, one.auditor) for one in audit.answers(workspace, "audit-1")]
    assert given == [(0, "seen", "anna"), (1, "plausible", "anna")]
    page.get_by_role("button", name="Stop and see the result").click()
    page.get_by_text(re.compile("2 of 60 clips heard by anna")).wait_for()
    assert page.locator('[data-testid="stException"]').count() == 0
