"""Clips: conditions on columns and in SQL, marked sets, reviews of many at once, media that moved, what is alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curation import review
from curation.pipeline import stage_named
from curation.progress import Progress
from curation.stage import StageContext, run_stage
from curation.workspace import Workspace
from explorer import data, marks, media_moved
from tests.app.conftest import OpenPage, check_page, texts
from tests.auditmaker import add_media
from tests.workspacemaker import make_workspace


@pytest.fixture(autouse=True)
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCORD_ROOTS", str(tmp_path))


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    workspace = make_workspace(tmp_path / "w")
    ids = workspace.table("clips", ["clip_id"])["clip_id"]
    level = pa.array([None if i == 0 else float(i) for i in range(60)])
    workspace.commit_table("columns/level", pa.table({"clip_id": ids, "level": level}), "l", {})
    workspace.commit_table(
        "columns/kind", pa.table({"clip_id": ids, "kind": ["Dog" if i < 7 else "cat" for i in range(60)]}), "k", {}
    )
    add_media(workspace)
    return workspace


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"col": "level:in:10..19"}, 10),
        ({"col": "level:in:..4"}, 4),
        ({"col": "kind:has:dog"}, 7),
        ({"col": "kind:has:dog;level:in:3.."}, 4),
        ({"sql": "level BETWEEN 10 AND 19 OR kind = 'Dog'"}, 17),
        ({"sql": "truth_match AND row < 0"}, 0),
        ({"said": "none"}, 60),
        ({"col": "score:in:0.3.."}, 6),
    ],
)
def test_conditions_count_what_they_leave(
    open_page: OpenPage, ws: Workspace, parameters: dict[str, str], expected: int
) -> None:
    text = texts(open_page("clips", ws, **parameters))
    assert (f"**{expected} clip" in text) if expected else ("No clip meets all of these conditions" in text)


@pytest.mark.parametrize(
    ("values", "condition", "expected"),
    [
        (["high"] * 10 + ["low"] * 50, "score:has:high", 10),
        ([float(i) for i in range(60)], "score:in:50..", 10),
        ([float(i) for i in range(60)], "%20selection%20score:in:0.3..", 6),
        (["high"] * 60, "%20selection%20score:in:0.3..", 6),
    ],
)
def test_a_column_called_score_is_not_the_selections(
    open_page: OpenPage, ws: Workspace, values: list[object], condition: str, expected: int
) -> None:
    ids = ws.table("clips", ["video_id"])["video_id"]
    ws.commit_table("listed", pa.table({"video_id": ids, "score": values}), "listed", {})
    assert f"**{expected} clip" in texts(open_page("clips", ws, col=condition))


@pytest.mark.parametrize("column", ["gone:is:yes", "level:is:yes", "kind:in:1..2", "level:in:10..19;gone:has:x"])
def test_conditions_on_columns_that_are_not_there_leave_the_address(
    open_page: OpenPage, ws: Workspace, column: str
) -> None:
    page = open_page("clips", ws, col=column)
    assert "not in this workspace: a column." in texts(page)
    assert page.query_params.get("col") in (None, ["level:in:10..19"], "level:in:10..19")


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("level <", "cannot be read"),
        ("nosuch > 3", "nosuch"),
        ("1=1) UNION SELECT 99 WHERE (1=1", "cannot be read"),
        ("true) , (true", "more than one condition"),
        ("row IN (SELECT row FROM read_csv('/etc/passwd'))", "/etc/passwd"),
        ("COPY clips TO 'x.csv'", "cannot be read"),
        ("true; DROP TABLE clips", "cannot be read"),
    ],
)
def test_sql_that_is_wrong_or_writes_is_refused_in_words(
    open_page: OpenPage, ws: Workspace, sql: str, said: str
) -> None:
    page = open_page("clips", ws, sql=sql)
    assert len(page.error) == 1 and said in page.error[0].value.replace("\\", "")
    assert "**60 clips**" not in texts(page), "a condition that cannot be met is not left out silently"


def test_sql_that_is_slow_is_stopped(open_page: OpenPage, ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("explorer.clip_columns.SQL_TIME_LIMIT_S", 0.3)
    page = open_page("clips", ws, sql="row IN (SELECT count(*) FROM range(100000000000))")
    assert "took longer than 0.3 s" in page.error[0].value.replace("\\", "")


def test_a_marked_set_is_shown_and_another_sessions_link_too(open_page: OpenPage, ws: Workspace) -> None:
    token = marks.save(ws, np.array([3, 5, 8]))
    page = open_page("clips", ws, rows=token)
    assert "**3 clips**" in texts(page) and "3 clips marked" in page.button(key="filter.0").label
    check_page(page.button(key="filter.0").click().run())
    assert "**60 clips**" in texts(page) and "rows" not in page.query_params


def test_orders_by_score_and_by_columns(open_page: OpenPage, ws: Workspace) -> None:
    for sort in ("score", "col:level", "col:kind", "col:gone", "timing"):
        page = open_page("clips", ws, sort=sort)
        assert "**60 clips**" in texts(page)
    assert "sort" not in page.query_params, "an order that is not there leaves the address"


def test_many_are_answered_at_once_and_taken_back(open_page: OpenPage, ws: Workspace) -> None:
    page = open_page("clips", ws, col="level:in:10..19", reviewer="anna")
    check_page(page.button(key="clips.all.drop").click().run())
    assert review.stamp(ws) == "", "nothing is said before the question is answered"
    check_page(page.button(key="clips.all.sure").click().run())
    assert review.reviewers(ws) == {"anna": 10} and "0 kept, 10 dropped, 0 maybe" in texts(page)
    check_page(page.button(key="review.all.undo").click().run())
    assert review.reviewers(ws) == {} and "0 kept, 0 dropped, 0 maybe" in texts(page)


def test_review_against_the_machine(open_page: OpenPage, ws: Workspace) -> None:
    ids = ws.table("clips", ["clip_id"])["clip_id"].to_pylist()
    machine = review.machine_rows(ws, "main")
    outside = np.setdiff1d(np.arange(60), machine)
    review.record(
        ws,
        [{"clip_id": ids[machine[0]], "decision": "drop"}, {"clip_id": ids[machine[1]], "decision": "keep"},
         {"clip_id": ids[outside[0]], "decision": "keep"}],
        "anna",
    )  # fmt: skip
    assert "**2 clips**" in texts(open_page("clips", ws, said="against"))
    text = texts(open_page("clips", ws, said="final"))
    assert "**12 clips**" in text and "machine 12 · people 2 kept, 1 dropped, 0 maybe · final 12 clips (+1 −1)" in text


def test_a_reviewer_who_cannot_be_is_me(open_page: OpenPage, ws: Workspace) -> None:
    check_page(open_page("clips", ws, reviewer="x" * 90, said="nonsense"))


def test_media_that_moved_say_where_they_were_and_come_back(open_page: OpenPage, ws: Workspace, tmp_path: Path) -> None:
    assert "not there any more" not in texts(open_page("clips", ws))
    (tmp_path / "media").rename(tmp_path / "elsewhere")
    page = open_page("clips", ws)
    assert "The file of this clip is not there any more" in texts(page)
    assert f"It was at {tmp_path}/media/folder" in texts(page)
    page.text_input(key="media.new").set_value(str(tmp_path / "w")).run()
    assert any("There is no folder" in error.value for error in page.error)
    page.text_input(key="media.new").set_value(str(tmp_path / "elsewhere")).run()
    check_page(page.button(key="media.use").click().run())
    assert Workspace.open(ws.path).roots == [str(tmp_path / "elsewhere")]
    assert "not there any more" not in texts(page)


def test_sources_of_other_kinds_keep_what_they_are(ws: Workspace, tmp_path: Path) -> None:
    from curation import sourcespec

    given = [sourcespec.file_list(tmp_path / "a.txt", tmp_path / "m"), sourcespec.tars(tmp_path / "t" / "0.tar")]
    ws.configure(sources=given)
    media_moved.moved_to(ws, 0, str(tmp_path / "new"))
    media_moved.moved_to(ws, 1, str(tmp_path / "n2"))
    assert [(one.kind, one.path, one.root) for one in ws.sources] == [
        ("list", str(tmp_path / "a.txt"), str(tmp_path / "new")),
        ("tars", str(tmp_path / "n2" / "0.tar"), str(tmp_path / "n2")),
    ]


def test_clips_that_are_alike(open_page: OpenPage, ws: Workspace) -> None:
    assert "once neighbours are made" in texts(open_page("clips", ws))
    run_stage(stage_named("neighbours"), StageContext(ws, ws.config, Progress()))
    clip = data.clip_at(ws, 4).clip_id
    page = open_page("clips", ws, like=clip, by="audio")
    text = texts(page)
    assert "**59 clips**" in text and "nearest in sound to video" in page.button(key="filter.0").label
    assert "of 6 that sound like it" in text or "all 6 that sound like it" in text
    check_page(page.button(key="why.more.visual").click().run())
    assert page.query_params["by"] in ("visual", ["visual"])
    for like in ("gone", "file:" + "0" * 24, "file:../x"):
        page = open_page("clips", ws, like=like, by="audio")
        assert "a clip or file to resemble" in texts(page) and "like" not in page.query_params
