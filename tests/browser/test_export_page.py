"""Export in a real browser: clips are cut and read back, another tab sees it, a named view brings the page back."""

from __future__ import annotations

import json
import re
import tarfile
from pathlib import Path

import pytest

from tests.browser.conftest import ROOT, ServeApp
from tests.mediaworkspace import make_media_workspace

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


def test_export_and_read_back(serve_app: ServeApp, browser_page: playwright_api.Page, tmp_path: Path) -> None:
    workspace = make_media_workspace(tmp_path / "concord-home" / "workspaces" / "ws", missing=2)
    url = serve_app(ROOT / "streamlit_app.py", {"CONCORD_ROOTS": str(tmp_path)})
    expect = playwright_api.expect
    idle = browser_page.context.new_page()
    idle.goto(f"{url}/export?ws={workspace.path}&what=all")
    expect(idle.get_by_role("button", name="Export", exact=True)).to_be_enabled(timeout=60_000)
    page = browser_page
    page.goto(f"{url}/export?ws={workspace.path}&what=all&format=webdataset")
    expect(page.get_by_text("10 in all, about")).to_be_visible(timeout=60_000)

    page.get_by_test_id("stSidebar").get_by_test_id("stPopover").get_by_role("button").first.click()
    page.get_by_role("textbox", name="Keep this view as").fill("tars of all")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Keep", exact=True).click()
    link = page.get_by_test_id("stSidebar").get_by_role("link", name="tars of all")
    expect(link).to_be_visible()
    page.keyboard.press("Escape")

    page.get_by_test_id("stMain").get_by_role("button", name="Export", exact=True).click()
    expect(page.get_by_text("8 clips")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("2 clips missing (2 missing)")).to_be_visible()
    expect(idle.get_by_text("2 clips missing (2 missing)")).to_be_visible(timeout=30_000)
    (shard,) = (workspace.path / "exports").glob("*/shard-000000.tar")
    with tarfile.open(shard) as tar:
        names = tar.getnames()
        first = json.load(tar.extractfile(names[1]))  # type: ignore[arg-type]
    assert len(names) == 16 and first["clip_id"] in names[1]

    page.goto(f"{url}/?ws={workspace.path}")
    page.get_by_test_id("stSidebar").get_by_role("link", name="tars of all").click()
    expect(page.get_by_text("10 in all, about")).to_be_visible(timeout=60_000)
    expect(page).to_have_url(re.compile("format=webdataset"))
