"""The cockpit in real Chromium: the budget slides at once, a step's clips open, the address brings the view back."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.workspacemaker import make_workspace

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def url(serve_app, tmp_path: Path) -> str:
    workspace = make_workspace(tmp_path / "w", n_clips=120)
    served = serve_app(ROOT / "streamlit_app.py", {"CONCORD_ROOTS": str(tmp_path)})
    return f"{served}/selection?{urlencode({'ws': str(workspace.path)})}"


def metric(page, label: str):
    return page.locator('[data-testid="stMetric"]').filter(has_text=label)


def no_exception(page) -> None:
    assert page.locator('[data-testid="stException"]').count() == 0


def test_the_budget_slides_at_once_and_stays_in_the_address(browser_page, url: str) -> None:
    page = browser_page
    page.goto(url)
    page.get_by_role("heading", name="Runs", exact=True).wait_for()
    metric(page, "Clips").get_by_text("24", exact=True).wait_for()
    thumb = page.locator(".st-key-run-top").get_by_role("slider")
    thumb.press("ArrowLeft")
    thumb.press("ArrowLeft")
    metric(page, "Clips").get_by_text("22", exact=True).wait_for()
    page.wait_for_url("**n=22**")
    page.get_by_role("button", name="Take as budget").click()
    page.wait_for_function("() => document.querySelector('.st-key-set-budget-clips input')?.value === '22'")
    page.reload()
    metric(page, "Clips").get_by_text("22", exact=True).wait_for()
    no_exception(page)


SLOW = """
import time
import streamlit as st
from explorer import before_after, run_panel
from explorer.routes import ROUTES

def slowly(module, name):
    plain = getattr(module, name)
    setattr(module, name, lambda *a, **k: (time.sleep(0.3), plain(*a, **k))[1])

for module, name in ((run_panel, "_numbers"), (run_panel, "_curve"), (before_after, "draw")):
    slowly(module, name)
app = st.App({main!r}, routes=ROUTES)
"""


def test_a_hand_faster_than_the_server_loses_no_step(browser_page, serve_app, tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "w", n_clips=120)
    (tmp_path / "slow.py").write_text(SLOW.format(main=str(ROOT / "explorer" / "main.py")))
    served = serve_app(tmp_path / "slow.py", {"CONCORD_ROOTS": str(tmp_path)})
    page = browser_page
    page.goto(f"{served}/selection?{urlencode({'ws': str(workspace.path)})}")
    page.get_by_role("heading", name="Runs", exact=True).wait_for()
    metric(page, "Clips").get_by_text("24", exact=True).wait_for()
    thumb = page.locator(".st-key-run-top").get_by_role("slider")
    for _ in range(8):  # each step is sent on its own, and the answer to it comes while a later one is on its way
        thumb.press("ArrowLeft")
        page.wait_for_timeout(260)
    page.wait_for_url("**n=16**")
    metric(page, "Clips").get_by_text("16", exact=True).wait_for()
    no_exception(page)


def test_a_step_of_the_funnel_opens_its_clips(browser_page, url: str) -> None:
    page = browser_page
    page.goto(url)
    page.get_by_text("Constraints", exact=True).click()
    condition = page.get_by_role("textbox", name="Scope: choose only")
    condition.fill("row < 70")
    condition.press("Enter")
    page.get_by_text(re.compile(r"^−50 · ")).wait_for()
    page.get_by_text(re.compile("20 % of 70 candidates")).wait_for()
    page.locator(".st-key-funnel-scope button").first.click()
    page.get_by_role("heading", name="Clips", exact=True).wait_for()
    page.get_by_text(re.compile("50 clips")).first.wait_for()
    page.get_by_role("button", name="not in scope").wait_for()
    assert "lost=scope" in page.url
    no_exception(page)
