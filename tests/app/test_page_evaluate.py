"""The Evaluate page: an audit is drawn, answered, taken back, gone on with, and says what it found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from curation import audit
from curation.audit_draw import draw_audit
from curation.workspace import Workspace
from tests.app.conftest import OpenPage, check_page, texts
from tests.auditmaker import add_media, add_run
from tests.workspacemaker import make_workspace


@pytest.fixture
def ws(concord_home: Path) -> Workspace:
    """60 clips with media, the run `main` with a score for every clip."""
    workspace = make_workspace(concord_home / "workspaces" / "made")
    add_run(workspace, "main", np.random.default_rng(0).normal(size=60))
    add_media(workspace)
    return workspace


def press(app: AppTest, ending: str) -> None:
    """Click the button whose key ends so."""
    check_page(next(b for b in app.main.button if str(b.key).endswith(ending)).click().run())


def test_the_first_button_draws_and_opens_an_audit(open_page: OpenPage, ws: Workspace) -> None:
    app = open_page("evaluate", ws)
    assert app.main.button[0].label == "Check 60 clips by ear (about 8 min)", "no more than there are"
    app.number_input(key="audit.clips.60").set_value(20).run()
    app.text_input(key="audit.auditor").set_value("Anna B").run()
    app.button(key="audit.start").click().run()
    check_page(app)
    assert audit.names(ws) == ["audit-1"] and app.query_params["audit"] == "audit-1"
    assert "Anna B listens" in texts(app)
    shown = " ".join([texts(app), *(str(button.label) for button in app.main.button)])
    assert "folder" not in shown and "chosen" not in shown and "video0" not in shown, "nothing says where it is from"


def test_answers_are_kept_taken_back_and_gone_on_with(open_page: OpenPage, ws: Workspace) -> None:
    draw_audit(ws, ["main"], clips=10, repeats=0.2)
    app = open_page("evaluate", ws, audit="audit-1", auditor="anna")
    press(app, ".0.seen")
    press(app, ".1.unclear")
    assert [(a.item, a.answer) for a in audit.answers(ws, "audit-1")] == [(0, "seen"), (1, "unclear")]
    press(app, "audit.undo")
    assert [a.item for a in audit.answers(ws, "audit-1")] == [0]
    again = open_page("evaluate", ws, audit="audit-1", auditor="anna")  # a reload
    assert [str(b.key) for b in again.main.button if ".seen" in str(b.key)] == ["audit.answer.1.seen"]
    other = open_page("evaluate", ws, audit="audit-1", auditor="ben")
    assert [str(b.key) for b in other.main.button if ".seen" in str(b.key)] == ["audit.answer.0.seen"]
    for item in range(1, 12):
        press(again, f".{item}.overlaid")
    assert "Every clip was heard." in texts(again)
    press(again, "audit.stop")
    assert "10 of 10 clips heard by anna" in texts(again)


def test_clips_whose_media_are_gone_are_skipped_and_said(open_page: OpenPage, ws: Workspace) -> None:
    plan = draw_audit(ws, ["main"], clips=10, repeats=0)
    ids = [item.clip_id for item in plan.items]
    for path in [audit.media_paths(ws, ids)[clip] for clip in ids[:2]]:
        Path(path).unlink()
    app = open_page("evaluate", ws, audit="audit-1")
    assert [str(b.key) for b in app.main.button if ".seen" in str(b.key)] == ["audit.answer.2.seen"]
    (progress,) = app.get("progress")
    assert "2 skipped: their media files are not there" in progress.proto.text


def test_the_result_of_two_people(open_page: OpenPage, ws: Workspace) -> None:
    plan = draw_audit(ws, ["main"], clips=40)
    for who in ("anna", "ben"):
        for item in range(len(plan.items)):
            audit.record(ws, "audit-1", item, "seen" if item % 3 else "overlaid", who)
    app = open_page("evaluate", ws, audit="audit-1", view="result")
    text = texts(app)
    assert "40 of 40 clips heard by anna, ben" in text and "anna and ben: 40 of 40 the same" in text
    assert [metric.label for metric in app.metric] == ["chosen", "rejected", "random"]
    assert "chosen and random" in text and "The clips behind the numbers" in text
    app = open_page("evaluate", ws, audit="audit-1", view="result", by="ben")
    assert "heard by ben" in texts(app) and "anna and" not in texts(app)


def test_what_cannot_be_done_is_said(open_page: OpenPage, concord_home: Path) -> None:
    silent = make_workspace(concord_home / "workspaces" / "silent")
    app = open_page("evaluate", silent)
    app.button(key="audit.start").click().run()
    check_page(app)
    assert "cannot be listened to" in app.error[0].value and not audit.names(silent)
    add_run(silent, "main", np.arange(60.0), share=1.0)
    app = open_page("evaluate", silent)
    app.button(key="audit.start").click().run()
    assert "chose every candidate" in app.error[0].value
    app.text_input(key="audit.auditor").set_value("  ").run()
    assert "1 to 40 characters" in app.error[0].value
    check_page(open_page("evaluate", silent, audit="nothing", view="result"))
