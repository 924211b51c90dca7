"""The own components in a real browser: what a person does with them reaches the script, and media really plays."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from curation.media.mp4 import copy_streams, open_live_mp4
from explorer.components.mount import ASSETS
from explorer.growing import media_type

SCRIPT = """
import numpy as np
import streamlit as st
from explorer.components.clip_grid import GridItem, clip_grid
from explorer.components.dots import dots
from explorer.components.heatmap import heatmap
from explorer.components.player import player
from explorer.views.retrieval import Dot

show, side = st.query_params["show"], int(st.query_params.get("side", "4"))
state = st.session_state
if show == "heatmap":
    rng = np.random.default_rng(0)
    count = rng.integers(0, 30, (side, side)).astype(float)
    noise = rng.normal(size=(side, side))
    keep = lambda event: state.update(cell=event.cell, box=event.box, seen=state.get("seen", 0) + 1)
    event = heatmap(
        noise, hover={"count": count, "PMI, nats": noise}, row_labels=[f"{i} <b>bark</b>" for i in range(side)],
        col_labels=[f"{i} dog" for i in range(side)], row_totals=count.sum(1), col_totals=count.sum(0),
        scale="diverging", unit="nats", selected_cell=state.get("cell"), selected_box=state.get("box"), key="h",
        height=500, on_event=keep,
    )
    st.text(f"event={event} cell={state.get('cell')} box={state.get('box')} seen={state.get('seen', 0)}")
    st.button("again")
elif show == "player":
    state.setdefault("at", 0)
    turn = lambda event: state.update(at=state.at + event.step)
    urls = ["/clips/a.mp4", "/clips/b.mp4", "/clips/missing.mp4"]
    player(urls[state.at], "/clips/strip.png", duration_s=4.0, preload=urls[state.at + 1 : state.at + 2],
           title=f"clip {state.at}", has_previous=state.at > 0, key="p", on_event=turn)
    st.text(f"at={state.at}")
elif show == "dots":
    rows = [Dot("run <b>", 95.5, 92, 97, "190 of 199"), Dot("run b", 70, 61, 79), Dot("random", 50, 49, 51, "", True)]
    choose = lambda name: state.update(name=name)
    event = dots(rows, shown=state.get("name", "run b"), random=50.0, axis="right, %", noun="right", label="Precision",
                 key="d", on_choose=choose)
    st.text(f"event={event} name={state.get('name')}")
    st.button("again")
else:
    choose = lambda event: state.update(clip=event.clip_id)
    items = [GridItem(f"c{i}", f"/clips/strip.png?{i}" if i else None, caption=f"name {i} <i>", badge=f"0.{i}",
                      selected=i < 3, media_url="/clips/a.mp4") for i in range(70)]
    event = clip_grid(items, current=state.get("clip"), key="g", on_event=choose)
    st.text(f"event={event} clip={state.get('clip')}")
"""

ENTRY = """
from pathlib import Path
import streamlit as st
from starlette.responses import FileResponse, PlainTextResponse
from starlette.routing import Route

HERE = Path(__file__).parent

async def clip(request):
    path = HERE / Path(request.path_params["name"]).name
    return FileResponse(path) if path.exists() else PlainTextResponse("gone", status_code=404)

app = st.App(str(HERE / "main.py"), routes=[Route("/clips/{name}", clip)])
"""

LIFE = """async ([common]) => {
  const code = common + `class Kept {
    constructor(parent) { this.told = []; this.ended = 0; parent.append(this.root = make("p")); }
    update({ data }) { this.told.push(data); }
    destroy() { this.ended += 1; this.root.remove(); }
  }
  export default (component) => mounted(component, Kept);`;
  const { default: draw } = await import(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  const place = document.body.appendChild(document.createElement("div"));
  const overtaken = draw({ data: 1, parentElement: place });
  const kept = place.__Kept;
  overtaken();
  const last = draw({ data: 2, parentElement: place });
  await wait(1300);
  const stands = place.__Kept === kept && kept.ended === 0 && place.childElementCount === 1;
  place.remove();
  last();
  const gone = { ended: kept.ended, place: place.__Kept === undefined };
  const other = document.body.appendChild(document.createElement("div"));
  draw({ data: 3, parentElement: other })();
  await wait(1300);
  return { stands, told: kept.told, gone, left: other.childElementCount };
}"""

VIDEO_TIMES = """() => {
  const found = [];
  const walk = (root) => root.querySelectorAll("*").forEach((node) => {
    if (node.tagName === "VIDEO") found.push({ time: node.currentTime, paused: node.paused, muted: node.muted });
    if (node.shadowRoot) walk(node.shadowRoot);
  });
  walk(document);
  return found;
}"""


def write_clip(path: Path, seconds: float = 4.0) -> None:
    """A small H.264/AAC file with a moving bar and a tone."""
    rate, fps = 16_000, 10
    with av.open(str(path), "w", options={"movflags": "faststart"}) as out:
        video = out.add_stream("libx264", rate=fps, width=96, height=64, pix_fmt="yuv420p")
        audio = out.add_stream("aac", rate=rate, layout="mono")
        for i in range(int(seconds * fps)):
            picture = np.zeros((64, 96, 3), np.uint8)
            picture[:, (2 * i) % 90 : (2 * i) % 90 + 6] = 255
            out.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        tone = (0.2 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)).astype(np.float32)
        for start in range(0, len(tone) - 1024, 1024):
            frame = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            out.mux(audio.encode(frame))
        out.mux(video.encode(None))
        out.mux(audio.encode(None))


def write_strip(path: Path) -> None:
    with av.open(str(path), "w", format="image2") as out:
        stream = out.add_stream("png", rate=1, width=320, height=160, pix_fmt="rgb24")
        shade = np.tile(np.linspace(0, 255, 320, dtype=np.uint8)[None, :, None], (160, 1, 3))
        out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(shade), format="rgb24")))
        out.mux(stream.encode(None))


@pytest.fixture(scope="module")
def url(chromium, serve_app_for_module, tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("harness")
    (folder / "main.py").write_text(SCRIPT)
    (folder / "entry.py").write_text(ENTRY)
    for name in ("a.mp4", "b.mp4"):
        write_clip(folder / name)
    write_strip(folder / "strip.png")
    return serve_app_for_module(folder / "entry.py")


@pytest.fixture(scope="module")
def fragments(tmp_path_factory) -> Path:
    """The first clip as the server writes it while it cuts."""
    folder = tmp_path_factory.mktemp("fragments")
    write_clip(folder / "whole.mp4")
    with open_live_mp4(folder / "live.mp4") as target:
        copy_streams(folder / "whole.mp4", target)
    return folder / "live.mp4"


def opened(page, url: str, query: str, selector: str):
    page.goto(f"{url}/?{query}")
    node = page.locator(selector).first
    node.wait_for()
    page.wait_for_timeout(300)
    return node


def cells(canvas) -> tuple[float, float, float, float]:
    """Left, top, cell width and cell height of a drawn heatmap, in the canvas's pixels."""
    box = canvas.evaluate("(node) => node.getRootNode().__Heatmap?.box2d ?? null")
    return box["left"], box["top"], box["cw"], box["ch"]


def middle(canvas, row: int, col: int) -> dict[str, float]:
    left, top, width, height = cells(canvas)
    return {"x": left + (col + 0.5) * width, "y": top + (row + 0.5) * height}


def test_a_message_that_another_one_overtook_does_not_end_the_component(browser_page) -> None:
    browser_page.goto("about:blank")
    found = browser_page.evaluate(LIFE, [(ASSETS / "common.js").read_text("utf-8")])
    assert found == {"stands": True, "told": [1, 2], "gone": {"ended": 1, "place": True}, "left": 0}


def test_heatmap_click_drag_keys_and_names(browser_page, url):
    canvas = opened(browser_page, url, "show=heatmap", "canvas")
    canvas.click(position=middle(canvas, 2, 1))
    browser_page.get_by_text("event=HeatmapEvent(cell=(2, 1), box=None) cell=(2, 1) box=None seen=1").wait_for()

    browser_page.keyboard.press("ArrowDown")
    browser_page.keyboard.press("ArrowRight")
    browser_page.get_by_text("cell=(3, 2) box=None seen=2").wait_for()

    box = canvas.bounding_box()
    start, end = middle(canvas, 3, 3), middle(canvas, 1, 2)
    browser_page.mouse.move(box["x"] + start["x"], box["y"] + start["y"])
    browser_page.mouse.down()
    browser_page.mouse.move(box["x"] + end["x"], box["y"] + end["y"], steps=5)
    browser_page.mouse.up()
    browser_page.get_by_text("cell=None box=(1, 2, 3, 3) seen=3").wait_for()

    canvas.click(position={"x": cells(canvas)[0] - 20, "y": middle(canvas, 1, 0)["y"]})
    browser_page.get_by_text("box=(1, 0, 1, 3) seen=4").wait_for()

    browser_page.get_by_role("button", name="again").click()
    browser_page.get_by_text("event=None cell=None box=(1, 0, 1, 3) seen=4").wait_for()


def test_heatmap_hover_shows_numbers_and_names_as_text(browser_page, url):
    canvas = opened(browser_page, url, "show=heatmap", "canvas")
    canvas.hover(position=middle(canvas, 1, 2))
    tip = browser_page.locator(".tip")
    tip.wait_for()
    rng = np.random.default_rng(0)
    count = rng.integers(0, 30, (4, 4))
    noise = rng.normal(size=(4, 4))
    words = tip.inner_text().split("\n")
    assert words[0] == "sound 1 <b>bark</b>"
    assert words[1] == "picture 2 dog"
    assert f"count\t{count[1, 2]}" in words
    shown = float(next(word for word in words if word.startswith("PMI")).split("\t")[1].replace("−", "-"))
    assert shown == pytest.approx(noise[1, 2], rel=0.01)


def test_dots_stand_where_their_numbers_say_and_answer_clicks_and_keys(browser_page, url):
    area = opened(browser_page, url, "show=dots", ".dots .area")
    lines = browser_page.locator(".dots .line")
    box, dot = area.bounding_box(), lines.first.locator("b").bounding_box()
    assert (dot["x"] + dot["width"] / 2 - box["x"]) / box["width"] == pytest.approx(0.955, abs=0.01)
    reach = lines.first.locator(".reach").bounding_box()
    assert reach["width"] / box["width"] == pytest.approx(0.05, abs=0.01)
    name = browser_page.get_by_role("button", name="run <b>")  # a name is text
    assert name.get_attribute("title") == "run <b>\n95.5 % right, 95 % interval 92.0–97.0 %\n190 of 199"
    assert abs(name.bounding_box()["y"] - lines.first.bounding_box()["y"]) < 1, "a name stands beside its dot"
    lines.first.click()
    browser_page.get_by_text("event=run <b> name=run <b>").wait_for()
    assert name.get_attribute("aria-pressed") == "true"
    name.focus()
    browser_page.keyboard.press("Tab")
    browser_page.keyboard.press("Enter")
    browser_page.get_by_text("event=run b name=run b").wait_for()
    browser_page.get_by_role("button", name="again").click()
    browser_page.get_by_text("event=None name=run b").wait_for()


def test_heatmap_sends_a_large_matrix_once(browser_page, url):
    received: list[int] = []
    browser_page.on("websocket", lambda socket: socket.on("framereceived", lambda data: received.append(len(data))))
    canvas = opened(browser_page, url, "show=heatmap&side=300", "canvas")
    first = max(received)
    received.clear()
    canvas.click(position=middle(canvas, 150, 20))
    browser_page.get_by_text("seen=1").wait_for()
    assert 200_000 < first < 1_000_000
    assert sum(received) < 100_000

    # A reload is a new session: the matrix comes again, and clicks still work.
    canvas = opened(browser_page, url, "show=heatmap&side=300", "canvas")
    canvas.click(position=middle(canvas, 20, 150))
    browser_page.get_by_text("seen=1").wait_for()


def test_heatmap_zooms_where_cells_are_small(browser_page, url):
    canvas = opened(browser_page, url, "show=heatmap&side=300", "canvas")
    before = cells(canvas)[2]
    canvas.hover(position=middle(canvas, 100, 100))
    for _ in range(5):
        browser_page.mouse.wheel(0, -300)
    browser_page.wait_for_timeout(300)
    assert cells(canvas)[2] > 4 * before
    canvas.dblclick(position={"x": 5, "y": 5})
    browser_page.wait_for_timeout(200)
    assert cells(canvas)[2] == pytest.approx(before)


def video(page, index: int = 0) -> dict:
    return page.evaluate(VIDEO_TIMES)[index]


def test_player_plays_seeks_and_goes_on(browser_page, url):
    opened(browser_page, url, "show=player", ".player video")
    assert video(browser_page)["paused"], "nothing may start by itself"
    browser_page.keyboard.press("Space")
    browser_page.wait_for_function(f"() => ({VIDEO_TIMES})()[0].time > 0.4")
    strip = browser_page.locator(".timeline")
    width = strip.bounding_box()["width"]
    assert strip.locator(".playhead").evaluate("(node) => parseFloat(node.style.left)") > 5
    strip.click(position={"x": 0.75 * width, "y": 40})
    assert 2.9 < video(browser_page)["time"] < 3.9

    browser_page.keyboard.press("ArrowRight")
    browser_page.get_by_text("at=1").wait_for()
    browser_page.wait_for_function(f"() => {{ const v = ({VIDEO_TIMES})()[0]; return !v.paused && v.time > 0.1; }}")
    browser_page.keyboard.press("Space")
    assert video(browser_page)["paused"]
    browser_page.keyboard.press("ArrowLeft")
    browser_page.get_by_text("at=0").wait_for()
    browser_page.wait_for_timeout(400)
    assert video(browser_page)["paused"], "a step while paused must not start the next clip"


def test_player_hides_picture_or_sound_until_asked(browser_page, url):
    opened(browser_page, url, "show=player", ".player video")
    browser_page.get_by_role("button", name="Ear first").click()
    cover = browser_page.get_by_text("Picture hidden")
    cover.wait_for()
    browser_page.keyboard.press("r")
    cover.wait_for(state="hidden")
    browser_page.get_by_role("button", name="Eye first").click()
    assert video(browser_page)["muted"]
    browser_page.keyboard.press("r")
    assert not video(browser_page)["muted"]


def test_player_says_when_a_clip_is_missing(browser_page, url):
    opened(browser_page, url, "show=player", ".player video")
    for at in (1, 2):
        browser_page.get_by_role("button", name="Next clip").click()
        browser_page.get_by_text(f"at={at}").wait_for()
    browser_page.get_by_text("This clip could not be played").wait_for()
    browser_page.get_by_text("gone", exact=True).wait_for()  # the server's own sentence


# Of all copies, of those too that are fetched from now on: the component may be drawn anew before the click.
LET_GO = """() => {
  const make = URL.createObjectURL.bind(URL);
  URL.createObjectURL = (data) => {
    const made = make(data);
    URL.revokeObjectURL(made);
    return made;
  };
  window.__concord.blobs.forEach((blob) => URL.revokeObjectURL(blob));
}"""


def test_player_asks_again_for_a_clip_that_another_one_let_go_of(browser_page, url):
    opened(browser_page, url, "show=player", ".player video")
    browser_page.wait_for_function("() => [...window.__concord.blobs.keys()].some((key) => key.endsWith('/b.mp4'))")
    browser_page.evaluate(LET_GO)
    browser_page.get_by_role("button", name="Next clip").click()
    browser_page.get_by_text("at=1").wait_for()
    browser_page.wait_for_function(
        "() => [...document.querySelectorAll('*')].some((e) => [...(e.shadowRoot?.querySelectorAll('video') ?? [])]"
        ".some((v) => v.src.endsWith('/b.mp4') && v.readyState >= 2))"
    )
    assert browser_page.get_by_text("This clip could not be played").count() == 0


SOUGHT = """
const make = document.createElement.bind(document);
document.createElement = (tag, ...rest) => {
  const node = make(tag, ...rest);
  if (tag === "video") node.addEventListener("loadeddata", () => { node.currentTime = 2; }, { once: true });
  return node;
};
"""


def test_player_fetches_the_next_clip_also_after_a_seek_as_this_one_arrives(browser_page, url):
    browser_page.add_init_script(SOUGHT)
    opened(browser_page, url, "show=player", ".player video")
    browser_page.wait_for_function("() => [...window.__concord.blobs.keys()].some((key) => key.endsWith('/b.mp4'))")
    assert video(browser_page)["time"] == 2


def as_stream(page, file: Path, size: int | None = None) -> None:
    """Answers for a.mp4 as the server does while it cuts it: in fragments, without a length; `size`: bytes of it."""
    body = file.read_bytes()[:size]
    headers = {"content-type": media_type(body), "x-duration-s": "4.0", "transfer-encoding": "chunked"}
    page.route("**/clips/a.mp4?live=1", lambda route: route.fulfill(status=200, headers=headers, body=body))


def test_player_seeks_and_loops_in_a_clip_that_comes_as_a_stream(browser_page, url, fragments):
    as_stream(browser_page, fragments)
    asked: list[str] = []
    browser_page.on("request", lambda request: asked.append(request.url.rsplit("/", 1)[-1]))
    opened(browser_page, url, "show=player", ".player video")
    browser_page.wait_for_function("() => [...window.__concord.blobs.keys()].some((key) => key.endsWith('/b.mp4'))")
    browser_page.get_by_text("0:04.0").wait_for()
    browser_page.keyboard.press("l")
    width = browser_page.locator(".timeline").bounding_box()["width"]
    browser_page.locator(".timeline").click(position={"x": 0.9 * width, "y": 40})
    assert 3.4 < video(browser_page)["time"] < 3.9
    browser_page.keyboard.press("Space")
    browser_page.wait_for_function(f"() => {{ const v = ({VIDEO_TIMES})()[0]; return !v.paused && v.time < 2; }}")
    assert "a.mp4?live=1" in asked and "a.mp4" not in asked


def test_player_loads_the_file_where_its_stream_breaks_off(browser_page, url, fragments):
    as_stream(browser_page, fragments, fragments.stat().st_size // 2)
    opened(browser_page, url, "show=player", ".player video")
    browser_page.wait_for_function(
        "() => [...document.querySelectorAll('*')].some((e) => [...(e.shadowRoot?.querySelectorAll('video') ?? [])]"
        ".some((v) => v.src.endsWith('/a.mp4') && v.readyState >= 2 && Math.abs(v.duration - 4) < 0.2))"
    )


def test_player_keeps_its_controls_in_one_row(browser_page, url):
    for width in (360, 400, 480, 700, 1000):
        browser_page.set_viewport_size({"width": width, "height": 800})
        opened(browser_page, url, "show=player", ".player video")
        bar = browser_page.locator(".controls")
        assert bar.evaluate("(node) => node.clientHeight < 50 && node.scrollWidth <= node.clientWidth"), width


def test_player_without_a_strip_hides_the_names_of_its_bands(browser_page, url):
    browser_page.route("**/strip.png", lambda route: route.fulfill(status=403, content_type="text/plain", body="No."))
    opened(browser_page, url, "show=player", ".timeline.plain")
    assert browser_page.locator(".band:visible").count() == 0
    browser_page.get_by_role("button", name="Next clip").click()
    browser_page.get_by_text("at=1").wait_for()
    assert browser_page.locator(".band:visible").count() == 0, "not after the next run either"


def test_grid_fetches_few_stills_at_a_time_and_those_in_view_alone(browser_page, url):
    held = []
    browser_page.route("**/strip.png?*", lambda route: held.append(route))
    tile = opened(browser_page, url, "show=grid", ".tile")
    browser_page.wait_for_timeout(500)
    assert len(held) == 3, "the other connections are for what is clicked"
    done = 0
    while done < len(held):
        held[done].continue_()
        done += 1
        browser_page.wait_for_timeout(40)
        assert len(held) - done <= 3
    assert 6 < done < 59, "stills far below are not asked for"
    pictures = "(node) => [...node.getRootNode().querySelectorAll('.tile img')].filter((e) => e.naturalWidth).length"
    browser_page.wait_for_function(f"([node, n]) => ({pictures})(node) === n", arg=[tile.element_handle(), done])
    browser_page.locator(".tile").nth(59).scroll_into_view_if_needed()
    browser_page.wait_for_timeout(500)
    assert len(held) == done + 3
    browser_page.unroute("**/strip.png?*")


def test_grid_chooses_moves_and_listens(browser_page, url):
    tile = opened(browser_page, url, "show=grid", ".tile")
    tiles = browser_page.locator(".tile")
    assert tiles.count() == 60
    assert browser_page.locator(".tile.out").count() == 57
    browser_page.get_by_text("not selected").wait_for()
    tiles.nth(4).click()
    browser_page.get_by_text("event=GridEvent(clip_id='c4') clip=c4").wait_for()
    browser_page.keyboard.press("ArrowRight")
    browser_page.get_by_text("clip=c5").wait_for()
    assert tiles.nth(5).get_attribute("aria-selected") == "true"
    assert tile.locator(".caption").text_content() == "name 0 <i>"

    tiles.nth(1).get_by_role("button").click()
    browser_page.locator(".tile.sounding").wait_for()
    tiles.nth(2).get_by_role("button").click()
    sounding = browser_page.locator(".tile.sounding")
    browser_page.wait_for_timeout(400)
    assert sounding.count() == 1
    assert sounding.get_attribute("data-id") == "c2"
    assert browser_page.get_by_text("clip=c5").count() == 1, "listening must not choose"
