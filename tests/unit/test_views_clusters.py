"""Cluster and wording views against answers worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from explorer.views import clusters, words


def test_balance_is_one_for_equal_clusters_and_small_for_one_giant() -> None:
    assert clusters.effective_share(np.array([5, 5, 5])) == pytest.approx(1)
    assert clusters.effective_share(np.array([9, 0, 0, 0])) == pytest.approx(0.25)
    assert clusters.effective_share(np.array([])) == 0


def test_clustering_rows() -> None:
    infos = [
        {"name": "s", "modality": "audio", "inertia": 2.5, "report": {"notices": ["one", "two"]}},
        {"name": "imported", "modality": "visual"},
    ]
    table = clusters.clustering_rows(infos, {"s": np.array([1, 3]), "imported": np.array([4])})
    first = table.iloc[0]
    assert (first.clusters, first.clips, first.smallest, first.largest, first.notices) == (2, 4, 1, 3, "one; two")
    assert first.inertia == 2.5 / 4, "a clip"
    assert np.isnan(table.iloc[1].inertia)
    assert list(clusters.clustering_rows([], {}).columns) == list(table.columns)


def test_clusters_largest_first_with_their_selected_share() -> None:
    labels = np.array([1, 1, 0, -1, 1])
    rows = clusters.cluster_rows(labels, 3, np.array([True, False, False, True, False]))
    assert [(row.cluster, row.size, row.selected) for row in rows] == [(1, 3, 1), (0, 1, 0), (2, 0, 0)]
    assert rows[0].selected_share == pytest.approx(1 / 3) and rows[2].selected_share is None
    assert clusters.cluster_rows(labels, 3, None)[0].selected is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (words.count(1), "1 clip"), (words.count(12400), "12,400 clips"), (words.nats(1.614), "1.61 nats"),
        (words.nats(float("nan")), "–"), (words.signed(-0.104), "−0.10"), (words.signed(0.5), "+0.50"),
        (words.signed(-0.001), "+0.00"),
        (words.number(-1204.5), "−1,204.50"), (words.number(-0.0), "0.00"), (words.number(None), "–"),
        (words.percent(0.2), "20 %"),
        (words.percent(0.041), "4.1 %"), (words.percent(0), "0 %"), (words.hours(34.42), "34.4 h"),
        (words.hours(0.44), "26 min"), (words.clock(123.5), "2:03.5"), (words.clock(3723), "1:02:03"),
        (words.ordinal(37), "37th"), (words.ordinal(101), "101st"), (words.ordinal(12), "12th"),
        (words.layer("sound.logmel"), "sound · logmel"), (words.cluster(-1, "sound"), "sound other"),
        (
            words.information_line(1.61, "permuted sounds", 1.22, 0.012, 1.05),
            "MI 1.61 nats · permuted sounds 1.22 ± 0.01 · random 1.05 (same size)",
        ),
    ],
)  # fmt: skip
def test_wording(text: str, shown: str) -> None:
    assert text == shown


def test_only_the_same_method_on_permuted_sounds_is_a_control_of_a_selection() -> None:
    shuffled = (0.22, 0.01, 5)
    line, note, explained = words.information_words(1.61, shuffled, None, 1.05, of_selection=True)
    assert line == "MI 1.61 nats · shuffled within the selection 0.22 ± 0.01 · random 1.05 (same size)"
    assert "beyond" not in note and "permuted" not in line + note and "no control" in explained
    line, note, explained = words.information_words(1.61, shuffled, 1.4, 1.05, of_selection=True)
    assert line == "MI 1.61 nats · permuted sounds (same method) 1.40 · random 1.05 (same size)"
    assert note == "+0.21 nats beyond permuted sounds (same method)" and "same method chooses" in explained
    line, note, _ = words.information_words(1.61, shuffled, None, None, of_selection=False)
    assert line == "MI 1.61 nats · permuted sounds 0.22 ± 0.01"
    assert note == "+1.39 nats beyond permuted sounds, mean ± deviation of 5 permutations"


def test_names_from_data_stay_plain_in_markdown() -> None:
    shown = words.literal("<img src=x onerror=alert(1)> **b** [x](http://y) `z` $a$ :red[x]\nnew")
    assert "<" not in shown.replace("&lt;", "") and "\n" not in shown
    assert r"\*\*b\*\*" in shown and r"\[x\]" in shown and r"\`z\`" in shown and r"\$a\$" in shown
    assert words.literal("x" * 200).count("x") < 82
