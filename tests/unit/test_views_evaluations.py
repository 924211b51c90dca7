"""What figures and tables of evaluations show: results go in by hand; dots, curves, rows and clips come out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curation.diversity_table import DiversityTable, Row, Value
from curation.retrieval import Result
from explorer import evaluate_charts
from explorer.views import diversity, retrieval, teach

NONE = Value(None)


def result() -> Result:
    names = {"ratio": 0.8, "random": 0.5}
    rows = [
        {"method": name, "precision": p, "low": p - 0.1, "high": p + 0.1, "spread": 0.02, "above": p - 0.5,
         "above_low": p - 0.6, "above_high": p - 0.4, "recall": p, "f1": p, "average_precision": p,
         "objective": None, "took_s": 0.1, "seeds": 2}
        for name, p in names.items()
    ]  # fmt: skip
    curve = [
        {"method": name, "seed": seed, "clips": clips, "precision": p + seed / 10, "recall": clips / 20, "f1": 0.5}
        for name, p in names.items() for seed in (0, 1) for clips in (10, 20)
    ]  # fmt: skip
    facts = {"kind": "workspace", "interval": "sources", "sources": 20, "known": 20, "candidates": 20, "right": 10}
    return Result("r", "f", facts, {"seeds": [0, 1]}, rows, [], pa.table({}), pa.Table.from_pylist(curve), Path())


def test_dots_and_lines_are_percent() -> None:
    ratio, random = retrieval.dots(result())
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((80, 70, 90)) and random.is_control
    assert retrieval.random_percent(result()) == 50
    (line,) = retrieval.lines(result(), ["ratio", "gone"])
    assert line.size.tolist() == [50, 100] and line.precision == pytest.approx([85, 85])
    assert retrieval.table(result())["Above random, points"].tolist()[1] == "–"


def test_the_clips_behind_a_number() -> None:
    picks = np.array([4, 0, 2], np.int32)
    right, known = np.array([1, 1, 0, 1, 0], bool), np.array([1, 1, 1, 1, 0], bool)
    assert retrieval.behind(picks, right, known, "right").tolist() == [0]
    assert retrieval.behind(picks, right, known, "wrong").tolist() == [2], "what is not known is neither"
    assert retrieval.behind(picks, right, known, "missed").tolist() == [1, 3]


def table(value: float = 0.3) -> DiversityTable:
    share = Row("silent", "silent", "share", "", Value(value, 0.2, 0.4), Value(0.1), Value(0.1, 0.05, 0.15), NONE,
                Value(value - 0.1, value - 0.15, value - 0.05), NONE)  # fmt: skip
    number = Row("effective_audio", "effective sound clusters", "number", "", Value(6, 5, 7), Value(8), Value(7, 6, 8),
                 NONE, Value(-1, -2, 0.5), NONE)  # fmt: skip
    return DiversityTable("main", 16, 80, 16, "layers", True, 3, (number, share))


def test_numbers_are_percent_of_the_candidates() -> None:
    number, share = diversity.beside(table(), ("effective_audio", "gone", "silent"))
    assert number.subset == pytest.approx((75, 62.5, 87.5)) and number.matched is None
    assert share.subset == pytest.approx((30, 20, 40)) and share.whole == pytest.approx(10)


def test_what_stands_out_is_said() -> None:
    assert diversity.stands_out(table()) == ["silent: 30.0 % (20.0 to 40.0), more than random's 10.0 % (5.0 to 15.0)"]
    assert diversity.stands_out(table(0.12)) == []
    edge = Row("static", "static", "share", "", Value(0.2, 0.1, 0.3), Value(0.1), Value(0.1, 0.05, 0.15), NONE,
               Value(0.1, 0.01, 0.19), NONE)  # fmt: skip
    alone, many = (replace(table(0.12), rows=(edge,) * n) for n in (1, 14))
    assert len(diversity.stands_out(alone)) == 1 and diversity.stands_out(many) == [], "one of 14 is chance"
    frame = diversity.compared([table(), table(0.5)])
    assert frame.shape == (2, 2), "two runs of one name are one column"


def test_figures_hold_the_numbers_and_say_when_there_are_none() -> None:
    curves = evaluate_charts.precision_recall(retrieval.lines(result(), ["ratio", "random"]), shown="ratio", dark=True)
    assert [trace.name for trace in curves.data] == ["random", "ratio"]
    rows = diversity.beside(table(), diversity.BREADTH)
    assert [len(trace.x) for trace in evaluate_charts.beside(rows, "%").data] == [1, 1, 0]
    for figure in (evaluate_charts.precision_recall([]), evaluate_charts.beside([], "%")):
        assert not figure.data and figure.layout.annotations[0].text


def test_test_clips_of_one_source_compare_nothing() -> None:
    gap = {"probe": "pictures", "top": 1, "first": "curated", "second": "random", "value": 0.1, "low": None,
           "high": None, "seed_error": 0.01}  # fmt: skip
    found = {"sets": ["curated", "random"], "differences": [gap], "probes": [{"name": "pictures", "sources": 1}]}
    assert teach.verdict(found, "pictures") == (
        False,
        "All test clips are of one source, which says nothing about others.",
    )
    found["probes"][0]["sources"] = 9
    assert "One seed" in teach.verdict(found, "pictures")[1]
