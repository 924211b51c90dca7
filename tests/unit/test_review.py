"""What people say of clips: the last line wins, undo appends, and the machine's choice stays apart."""

from __future__ import annotations

import contextlib
import json
import threading
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from curation import review
from curation.errors import InputError, MissingArtefactError, SettingError
from curation.pipeline import stage_named
from curation.progress import Progress
from curation.stage import StageContext, run_stage
from curation.workspace import Workspace
from tests.workspacemaker import make_workspace


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "w")


def ids(ws: Workspace) -> list[str]:
    return list(ws.table("clips", ["clip_id"])["clip_id"].to_pylist())


def say(clip: str, decision: str | None, note: str = "") -> dict[str, str | None]:
    return {"clip_id": clip, "decision": decision, "note": note}


def test_the_last_line_wins_and_nothing_is_lost(ws: Workspace) -> None:
    a, b, c = ids(ws)[:3]
    assert review.record(ws, [say(a, "keep"), say(b, "drop", "dubbed")], "anna", "1") == 2
    review.record(ws, [say(a, "maybe"), say(c, None, "listen again")], "anna", "2")
    found = review.decisions(ws).to_pylist()
    assert [(one["clip_id"], one["decision"], one["note"]) for one in found] == [
        (b, "drop", "dubbed"), (a, "maybe", ""), (c, None, "listen again"),
    ]  # fmt: skip
    assert len((ws.path / review.FILE).read_text("utf-8").splitlines()) == 4


def test_an_empty_answer_takes_back(ws: Workspace) -> None:
    a = ids(ws)[0]
    review.record(ws, [say(a, "keep", "good")], "anna")
    review.record(ws, [say(a, None)], "anna")
    assert review.decisions(ws).num_rows == 0 and review.reviewers(ws) == {}


def test_of_two_reviewers_the_later_decides_and_the_other_stays(ws: Workspace) -> None:
    a = ids(ws)[0]
    review.record(ws, [say(a, "keep")], "anna")
    review.record(ws, [say(a, "drop")], "ben")
    assert review.decisions(ws)["decision"].to_pylist() == ["drop"]
    assert review.answers_of(ws, "anna")[a].decision == "keep"
    review.record(ws, [say(a, None)], "ben")
    assert review.decisions(ws)["reviewer"].to_pylist() == ["anna"]


def test_a_note_alone_leaves_anothers_decision(ws: Workspace) -> None:
    a, b = ids(ws)[:2]
    review.record(ws, [say(a, "keep")], "anna")
    review.record(ws, [say(a, None, "hm"), say(b, None, "dark")], "ben")
    assert review.decisions(ws).select(["decision", "note"]).to_pylist() == [
        {"decision": "keep", "note": ""}, {"decision": None, "note": "dark"},
    ]  # fmt: skip
    spoken = review.said_of(ws, [a, b, "gone"])
    assert [(who, one.decision, one.note) for who, one in spoken[a]] == [("anna", "keep", ""), ("ben", None, "hm")]
    assert review.decision_of(ws, a) == ("anna", "keep") and review.decision_of(ws, b) is None


def test_a_batch_sent_twice_is_written_once(ws: Workspace) -> None:
    a = ids(ws)[0]
    for _ in range(2):
        assert review.record(ws, [say(a, "keep")], "anna", "b1") == 1
    review.record(ws, [say(a, "drop")], "ben", "b1")
    assert len((ws.path / review.FILE).read_text("utf-8").splitlines()) == 2


def test_undo_of_a_batch_brings_back_what_was_said_before(ws: Workspace) -> None:
    a, b, c = ids(ws)[:3]
    review.record(ws, [say(a, "keep", "first")], "anna", "1")
    review.record(ws, [say(a, "drop"), say(b, "drop"), say(c, "drop")], "anna", "2")
    review.record(ws, [say(c, "maybe")], "anna", "3")
    assert review.undo(ws, "2", "anna") == 2
    assert {clip: (one.decision, one.note) for clip, one in review.answers_of(ws, "anna").items()} == {
        a: ("keep", "first"), c: ("maybe", ""),
    }  # fmt: skip
    assert review.undo(ws, "2", "anna") == 0 and review.undo(ws, "nothing", "anna") == 0


def test_two_undos_at_once_take_a_batch_back_once(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = ids(ws)[:2]
    review.record(ws, [say(a, "keep", "first")], "anna", "1")
    review.record(ws, [say(a, "drop"), say(b, "drop")], "anna", "2")
    both, read = threading.Barrier(2), review.lines.read

    def read_together(path: Path) -> list[dict[str, object]]:
        found = list(read(path))
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(timeout=0.3)  # whoever is alone behind a lock waits in vain
        return found

    monkeypatch.setattr(review.lines, "read", read_together)
    taken = list[int]()
    undos = [threading.Thread(target=lambda: taken.append(review.undo(ws, "2", "anna"))) for _ in range(2)]
    for one in undos:
        one.start()
    for one in undos:
        one.join()
    assert sorted(taken) == [0, 2]
    assert len((ws.path / review.FILE).read_text("utf-8").splitlines()) == 3 + 2


def test_lines_of_another_process_and_torn_lines(ws: Workspace) -> None:
    a, b = ids(ws)[:2]
    review.record(ws, [say(a, "keep")], "anna")
    assert review.decisions(ws).num_rows == 1
    with (ws.path / review.FILE).open("a", encoding="utf-8") as file:
        file.write('[1]\n"x"\n{"clip_id": 3}\n')
        file.write(json.dumps({"clip_id": b, "decision": "burn", "reviewer": "anna", "time": ""}) + "\n")
        file.write('{"clip_id": "torn", "decis')
    assert review.decisions(ws)["clip_id"].to_pylist() == [a]
    review.record(ws, [say(b, "drop")], "ben")
    assert review.decisions(ws)["clip_id"].to_pylist() == [a, b]


def test_a_file_that_was_replaced_is_read_anew(ws: Workspace) -> None:
    a, b = ids(ws)[:2]
    review.record(ws, [say(a, "keep"), say(b, "keep")], "anna")
    before = review.stamp(ws)
    assert review.decisions(ws).num_rows == 2
    text = (ws.path / review.FILE).read_text("utf-8").splitlines(keepends=True)[0]
    (ws.path / review.FILE).unlink()
    assert review.decisions(ws).num_rows == 0 and review.stamp(ws) == ""
    (ws.path / review.FILE).write_text(text, "utf-8")
    assert review.decisions(ws)["clip_id"].to_pylist() == [a] and review.stamp(ws) != before


def test_final_is_the_machines_choice_with_keeps_without_drops(ws: Workspace) -> None:
    machine = review.machine_rows(ws, "main")
    outside = np.setdiff1d(np.arange(60), machine)
    names = ids(ws)
    review.record(
        ws,
        [say(names[machine[0]], "drop"), say(names[machine[1]], "keep"), say(names[outside[0]], "keep"),
         say(names[outside[1]], "drop"), say(names[outside[2]], "maybe"), say("gone", "keep")],
        "anna",
    )  # fmt: skip
    expected = sorted({*machine[1:].tolist(), int(outside[0])})
    final = review.final_rows(ws, "main")
    assert final.tolist() == expected and final.dtype == np.int64
    found = review.masks(ws)
    assert {name: np.flatnonzero(mask).tolist() for name, mask in found.items()} == {
        "keep": sorted([int(machine[1]), int(outside[0])]), "drop": sorted([int(machine[0]), int(outside[1])]),
        "maybe": [int(outside[2])],
    }  # fmt: skip


def test_without_a_word_final_is_the_machines_choice(ws: Workspace) -> None:
    assert review.final_rows(ws, "main").tolist() == review.machine_rows(ws, "main").tolist()
    with pytest.raises(MissingArtefactError, match="main") as caught:
        review.final_rows(ws, "other")
    assert "main" in caught.value.hint


@pytest.mark.parametrize(
    "answer",
    [say("x", "burn"), {"decision": "keep"}, say("", "keep"), say("x" * 501, "keep"), say("x", "keep", "n" * 2001)],
)  # fmt: skip
def test_what_is_no_answer_is_refused_whole(ws: Workspace, answer: dict[str, str | None]) -> None:
    with pytest.raises(InputError):
        review.record(ws, [say(ids(ws)[0], "keep"), answer], "anna")
    assert review.stamp(ws) == ""


@pytest.mark.parametrize("name", ["", "  ", "x" * 41, "a\x00b"])
def test_reviewers_have_names(ws: Workspace, name: str) -> None:
    with pytest.raises(InputError, match="1 to 40"):
        review.record(ws, [say(ids(ws)[0], "keep")], name)


def test_too_many_at_once(ws: Workspace) -> None:
    with pytest.raises(InputError, match="100,001 answers"):
        review.record(ws, [say("x", "keep")] * (review.ANSWERS_MAX + 1), "anna")


def test_two_sessions_write_at_the_same_time(ws: Workspace) -> None:
    names = ids(ws)

    def speak(reviewer: str) -> None:
        for k, clip in enumerate(names[:8]):
            review.record(ws, [say(clip, "keep" if reviewer == "anna" else "drop")], reviewer, f"{reviewer}{k}")

    threads = [threading.Thread(target=speak, args=(name,)) for name in ("anna", "ben")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert review.reviewers(ws) == {"anna": 8, "ben": 8}


# -- the next selection ------------------------------------------------------------------------------------------------


def select(ws: Workspace, **settings: str) -> tuple[dict, list[str]]:
    ws.configure({f"select.{name}": value for name, value in settings.items()})
    run_stage(stage_named("select"), StageContext(ws, ws.config, Progress()))
    target = stage_named("select").targets(ws, ws.config)[0]
    picks = ws.artefact_path(target.key) / "picks.parquet"
    return ws.require(target.key, "select").info, pq.read_table(picks)["clip_id"].to_pylist()


def test_a_selection_honours_what_people_said(ws: Workspace) -> None:
    _, plain = select(ws, name="plain", budget="15")
    names = ids(ws)
    kept = [clip for clip in names if clip not in plain][:3]
    review.record(ws, [say(clip, "keep") for clip in kept] + [say(clip, "drop") for clip in plain[:2]], "anna")
    info, found = select(ws, name="said", review="honour")
    assert found[:3] == kept or set(found[:3]) == set(kept)
    assert len(found) == 15 and not set(found) & set(plain[:2])
    assert info["report"]["review"] == {"keep": 3, "drop": 2}


def test_a_persons_word_stands_above_a_condition(ws: Workspace) -> None:
    names = ids(ws)
    review.record(ws, [say(names[0], "drop"), say(names[1], "keep")], "anna")
    _, found = select(ws, budget="15", include="row = 0", exclude="row = 1", review="honour")
    assert names[0] not in found and names[1] in found


def test_only_an_honoured_review_is_part_of_the_fingerprint(ws: Workspace) -> None:
    def prints() -> list[str]:
        stage = stage_named("select")
        return [
            stage.targets(ws, ws.config.replace({"select.name": "x", "select.review": how}))[0].fingerprint
            for how in ("none", "honour")
        ]

    before = prints()
    review.record(ws, [say(ids(ws)[0], "maybe")], "anna")
    assert prints() == before
    review.record(ws, [say(ids(ws)[0], "keep")], "anna")
    assert prints()[0] == before[0] and prints()[1] != before[1]


def test_more_kept_than_the_budget_says_so(ws: Workspace) -> None:
    review.record(ws, [say(clip, "keep") for clip in ids(ws)[:20]], "anna")
    with pytest.raises(SettingError, match="20"):
        select(ws, budget="10", review="honour")
