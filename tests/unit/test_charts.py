"""Figures are functions of their arrays, the tokens are one set, and the heatmap's image says what the matrix says."""

from __future__ import annotations

import json
import tomllib
import zlib
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest

from explorer import charts, theme
from explorer.components import heatmap as heatmap_module
from explorer.components import packed
from explorer.components.clip_grid import GridEvent
from explorer.components.clip_grid import _event as grid_event
from explorer.components.heatmap import HeatmapEvent, indexed, value_limit
from explorer.components.player import PlayerEvent
from explorer.components.player import _event as player_event

ROOT = Path(__file__).resolve().parents[2]


def luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


# ---- tokens


@pytest.mark.parametrize("name", ["light", "dark"])
def test_config_holds_the_tokens(name):
    section = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["theme"][name]
    colours = theme.palette(name == "dark")
    assert section["primaryColor"] == colours.primary
    assert section["backgroundColor"] == colours.background
    assert section["secondaryBackgroundColor"] == colours.surface
    assert section["textColor"] == colours.text
    assert section["borderColor"] == colours.border
    for modality in ("audio", "visual"):
        bound = theme.MODALITY_COLOR_NAME[modality]
        assert section[f"{bound}Color"] == getattr(colours, f"{modality}_fill")
        assert section[f"{bound}TextColor"] == getattr(colours, f"{modality}_ink")
        assert section[f"{bound}BackgroundColor"] == getattr(colours, f"{modality}_surface")


def test_config_is_safe_and_quiet():
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert config["server"]["address"] == "127.0.0.1"
    assert config["server"]["enableCORS"] and config["server"]["enableXsrfProtection"]
    assert config["browser"]["gatherUsageStats"] is False
    assert config["client"]["showSidebarNavigation"] is False
    assert tuple(config["theme"]["chartCategoricalColors"]) == theme.OKABE_ITO


@pytest.mark.parametrize("dark", [False, True])
def test_text_colours_can_be_read(dark):
    colours = theme.palette(dark)
    for ink in (colours.text, colours.muted, colours.audio_ink, colours.visual_ink):
        assert contrast(ink, colours.background) >= 4.5
        assert contrast(ink, colours.surface) >= 4.5
    assert contrast("#FFFFFF", colours.primary) >= 4.0


@pytest.mark.parametrize("dark", [False, True])
def test_scales_move_away_from_the_page(dark):
    colours = theme.palette(dark)
    counts = [contrast(stop, colours.background) for stop in theme.scale_stops("count", dark)]
    assert counts == sorted(counts)
    ends = [contrast(stop, colours.background) for stop in theme.scale_stops("diverging", dark)]
    middle = len(ends) // 2
    assert min(ends) == ends[middle]
    assert ends[: middle + 1] == sorted(ends[: middle + 1], reverse=True)
    assert ends[middle:] == sorted(ends[middle:])


def test_an_unknown_scale_names_the_known_ones():
    with pytest.raises(ValueError, match="'count', 'diverging'"):
        theme.scale_stops("rainbow", False)  # type: ignore[arg-type]


# ---- figures


def all_figures(dark: bool) -> list[go.Figure]:
    return [
        charts.funnel([("readable", 10), ("selected", 4)], dark=dark),
        charts.empty("nothing", dark=dark),
    ]


@pytest.mark.parametrize("dark", [False, True])
def test_every_figure_has_the_house_template_and_survives_json(dark):
    for figure in all_figures(dark):
        assert figure.layout.template.layout.font.color == theme.palette(dark).text
        assert json.loads(figure.to_json())["layout"]["height"] > 0


def test_funnel_says_what_each_step_lost():
    figure = charts.funnel([("readable", 200), ("healthy", 150), ("selected", 150)])
    assert list(figure.data[0].x) == [200, 150, 150]
    first, second, third = figure.data[0].text
    assert "200" in first and "150" in second and "75 %" in second and "−50" in second and "−" not in third


@pytest.mark.parametrize(
    "figure",
    [
        charts.funnel([]),
        charts.funnel([("readable", 0)]),
    ],
)
def test_figures_without_data_say_so(figure):
    assert not figure.data
    assert figure.layout.annotations[0].text


def test_names_cannot_become_markup():
    assert charts.short("<b>a & b</b>", 40) == "&lt;b&gt;a &amp; b&lt;/b&gt;"
    assert charts.short("abcdef", 4) == "abc…"


# ---- the heatmap's message


def test_count_image_is_empty_at_zero_and_full_at_the_limit():
    image = indexed(np.array([[0.0, 25.0], [100.0, np.nan]]), "count")
    assert image.dtype == np.uint8
    assert image.tolist() == [[0, 128], [255, 0]]


def test_diverging_image_is_symmetric_about_zero():
    values = np.array([[-2.0, -1.0, 0.0, 1.0, 2.0, np.nan, -np.inf, np.inf]])
    image = indexed(values, "diverging")[0].astype(int)
    assert image[0] == 1 and image[4] == 255 and abs(image[1] + image[3] - 256) <= 1
    assert image[2] == 128
    assert image[5:].tolist() == [0, 1, 255]


def test_limit_is_positive_whatever_the_data():
    assert value_limit(np.zeros((2, 2))) == 1.0
    assert value_limit(np.full((2, 2), np.nan)) == 1.0
    assert value_limit(np.array([[3.0, -7.0]])) == 7.0
    sparse = np.zeros((200, 200))
    sparse[0, 0] = 5.0
    assert value_limit(sparse) == 5.0
    with pytest.raises(ValueError, match="above 0"):
        value_limit(np.ones((1, 1)), limit=0.0)


def decoded(message: bytes) -> tuple[dict, list[np.ndarray]]:
    length = int.from_bytes(message[:4], "little")
    header, rest = json.loads(message[4 : 4 + length]), message[4 + length :]
    raw, arrays, offset = zlib.decompress(rest) if rest else b"", [], 0
    for spec in header["arrays"] if rest else []:
        count = spec["shape"][0] * spec["shape"][1]
        array = np.frombuffer(raw, "<" + spec["type"], count, offset)
        arrays.append(array.reshape(spec["shape"]))
        offset += array.nbytes
    return header, arrays


def test_message_carries_the_numbers():
    rng = np.random.default_rng(3)
    values = rng.normal(size=(5, 7))
    hover = {"count": rng.integers(0, 900, (5, 7)), "expected": rng.random((5, 7)) * 5000}
    arrays, raw, digest = heatmap_module._encoded(values, hover, "diverging", None)
    header, sent = decoded(packed.message({"arrays": arrays, "digest": digest}, raw))
    described = [(spec["name"], spec["type"]) for spec in header["arrays"]]
    assert described == [("", "u1"), ("count", "u2"), ("expected", "f4")]
    np.testing.assert_array_equal(sent[0], indexed(values, "diverging"))
    np.testing.assert_array_equal(sent[1], hover["count"])
    np.testing.assert_allclose(sent[2], hover["expected"], rtol=1e-6)
    assert decoded(packed.message({"arrays": arrays}, None))[1] == []


def test_arrays_without_a_value_are_not_taken_for_arrays_that_the_browser_holds():
    empty = packed.pack([("rows", np.zeros(0, np.uint32)), ("places", np.zeros((0, 2), np.int16))])
    sent = packed.message({"arrays": empty.specs}, empty.raw)
    assert len(sent) > len(packed.message({"arrays": empty.specs}, None))


def test_digest_follows_the_content():
    values, count = np.array([[1.0, 2.0]]), np.array([[1, 2]])
    same = heatmap_module._encoded(values, {"count": count}, "count", None)[2]
    assert heatmap_module._encoded(values.copy(), {"count": count.copy()}, "count", None)[2] == same
    assert heatmap_module._encoded(values, {"count": count[:, ::-1]}, "count", None)[2] != same
    assert heatmap_module._encoded(values, {"total": count}, "count", None)[2] != same


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"row_labels": ["a"]}, "row_labels has 1 entries"),
        ({"col_totals": np.ones(3)}, "col_totals has 3 entries"),
        ({"hover": {"count": np.ones((3, 2))}}, "hover 'count' has shape"),
        ({"values": np.ones(4)}, "1 to 1024 rows and columns"),
        ({"values": np.ones((0, 2))}, "1 to 1024 rows and columns"),
    ],
)
def test_shapes_that_do_not_fit_are_named(change, words):
    given = {
        "values": np.ones((2, 2)), "hover": {}, "row_labels": "ab", "col_labels": "ab",
        "row_totals": None, "col_totals": None, **change,
    }  # fmt: skip
    with pytest.raises(ValueError, match=words):
        heatmap_module._checked(**given)


def test_messages_from_the_browser_become_events_or_nothing():
    assert heatmap_module._event("cell", {"row": 1, "col": 2, "seq": 5}) == HeatmapEvent(cell=(1, 2))
    assert heatmap_module._event("box", {"r0": 0, "c0": 1, "r1": 2, "c1": 3}) == HeatmapEvent(box=(0, 1, 2, 3))
    for bad in (None, {}, {"row": "x", "col": 1}, [1, 2], "text"):
        assert heatmap_module._event("cell", bad) is None
    assert player_event({"by": -1}) == PlayerEvent(-1)
    assert player_event({"by": 0}) is None and player_event({"by": "1"}) is None and player_event(None) is None
    assert grid_event({"clip_id": "abc"}) == GridEvent("abc")
    assert grid_event({"clip_id": 3}) is None and grid_event(None) is None


def test_components_draw_without_a_browser():
    def script() -> None:
        import numpy as np

        from explorer.components.clip_grid import GridItem, clip_grid
        from explorer.components.heatmap import heatmap
        from explorer.components.player import player

        sent = [
            heatmap(np.ones((1, 1)), row_labels=["a"], col_labels=["b"], key="h"),
            heatmap(np.full((2, 3), np.nan), row_labels="ab", col_labels="abc", scale="diverging", key="n"),
            player(None, key="p"),
            clip_grid([GridItem("c", None)], key="g"),
            clip_grid([], key="e"),
        ]
        assert sent == [None] * 5

    for _ in range(2):  # a second run time finds the components too, though their modules are imported already
        app = AppTest.from_function(script, default_timeout=20).run()
        assert not app.exception
