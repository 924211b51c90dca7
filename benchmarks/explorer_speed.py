"""How long a person waits: pages and interactions in real Chromium on made workspaces of several sizes.

    python benchmarks/explorer_speed.py [--clips 10000,1000000] [--repeats 20] [--folder FOLDER] [--name explorer_speed]

Needs playwright and Chromium. For each size a workspace is made (`made_workspace.py`, with features; kept in `--folder`
for the next time) and selected from. Measured, in milliseconds:

- *cold tab*: from opening the address in a new browser context to the page's last change, and the same for an empty
  Streamlit app in the same run, so that the difference is the page's own;
- *page*: from clicking its name in an open session to the last change of the page;
- *interaction*: from the input to the last change of the page that it caused (one animation frame added);
- *floor*: the same on a plain Streamlit page that holds a slider and its number.

Two times are given: to the last change that is *painted in the window* (1440 x 900 pixels), which is what a person
waits for, and to the last change of the *whole page*, also below the window's edge. A change is any mutation of the
document or of a shadow root below it, or a stroke on a canvas; not painted are Streamlit's marks that a script runs,
and the copies of a table's cells that stand inside its canvas for screen readers. Waiting ends when the script has
ended and nothing has changed for a quarter of a second, which is not counted.

Beside each the bytes that came to the browser for it, and at the end the server's memory before and after rounds of all
interactions by two sessions at once, half-way and at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.end_to_end import RESULTS, machine  # noqa: E402
from benchmarks.made_workspace import make  # noqa: E402
from tests.browser.conftest import CHROMIUM, CHROMIUM_ARGS  # noqa: E402

PAGES = ("Cluster", "Selection", "Contingency", "Map", "Clips", "Evaluate", "Export", "Home")
QUIET_MS = 250
FRAME_MS = 17  # until what was changed stands on the screen
LIMIT_S = 60
HEAD = "| what | in the window, ms | 95 % | whole page, ms | 95 % | most sent, KiB |"

WATCH = """
{
  const watch = (window.__watch = { last: 0, seen: 0, roots: new Set() });
  const options = { childList: true, subtree: true, attributes: true, characterData: true };
  const FLAGGED = '[data-testid="stElementContainer"], [data-testid="stApp"]';
  const place = (node) => {
    const element = node.nodeType === 1 ? node : node.parentElement ?? node.getRootNode().host ?? document.body;
    if (!element || element.closest('canvas')) return null;
    return element.closest('[data-testid="stElementContainer"]') ?? element.getRootNode().host ?? element;
  };
  const inView = (element) => {
    const { top, bottom, left, right } = element.getBoundingClientRect();
    return bottom > 0 && top < innerHeight && right > 0 && left < innerWidth;
  };
  const note = (records) => {
    watch.last = performance.now();
    const places = new Set();
    for (const { type, target, addedNodes } of records) {
      if (type === 'attributes' && target.matches(FLAGGED)) continue;
      for (const node of addedNodes.length ? addedNodes : [target]) places.add(place(node));
    }
    places.delete(null);
    if ([...places].some(inView)) watch.seen = watch.last;
  };
  const enter = (root) => {
    if (watch.roots.has(root)) return;
    watch.roots.add(root);
    new MutationObserver((records) => { note(records); look(root); }).observe(root, options);
    look(root);
  };
  const look = (root) => { for (const e of root.querySelectorAll('*')) if (e.shadowRoot) enter(e.shadowRoot); };
  enter(document);
  const draw = CanvasRenderingContext2D.prototype;
  for (const name of ['drawImage', 'putImageData', 'fillRect', 'stroke']) {
    const plain = draw[name];
    draw[name] = function (...args) {
      watch.last = performance.now();
      if (this.canvas.isConnected && inView(this.canvas)) watch.seen = watch.last;
      return plain.apply(this, args);
    };
  }
}
"""
SETTLED = f"""
() => {{
  const app = document.querySelector('[data-testid="stApp"]');
  const idle = app && app.getAttribute('data-test-script-state') !== 'running';
  return idle && !document.querySelector('[data-testid="stSkeleton"]')
    && performance.now() - window.__watch.last > {QUIET_MS};
}}
"""


@dataclass
class Taken:
    """Milliseconds (to the last painted change in the window, and to the last of the page) and bytes of the repeats."""

    ms: list[float] = field(default_factory=list)
    whole_ms: list[float] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)

    def add(self, ms: tuple[float, float], sent: int) -> None:
        self.ms.append(ms[0])
        self.whole_ms.append(ms[1])
        self.sent.append(sent)

    def row(self) -> str:
        if not self.ms:
            return "- | - | - | - | -"
        numbers = [*np.percentile(self.ms, [50, 95]), *np.percentile(self.whole_ms, [50, 95]), max(self.sent) / 1024]
        return " | ".join(f"{number:,.0f}" for number in numbers)


class Session:
    """One browser context with one tab; counts what comes to it."""

    def __init__(self, browser: Browser, url: str) -> None:
        self._context = browser.new_context(viewport={"width": 1440, "height": 900})
        self.page: Page = self._context.new_page()
        self.page.add_init_script(WATCH)
        self.page.set_default_timeout(LIMIT_S * 1000)
        self.bytes = 0
        client = self._context.new_cdp_session(self.page)
        client.send("Network.enable")
        client.on("Network.dataReceived", lambda event: self._add(event["dataLength"]))
        client.on("Network.webSocketFrameReceived", lambda event: self._add(_length(event["response"])))
        self.url = url

    def _add(self, n: int) -> None:
        self.bytes += int(n)

    def open(self, address: str) -> tuple[float, float]:
        """Milliseconds from asking for an address to the last change in the window, and of the page."""
        started = time.perf_counter()
        self.page.goto(address)
        self.page.wait_for_selector('[data-testid="stApp"]')
        self.page.wait_for_selector("h1, [data-testid='stMarkdown']")
        self._settle()
        ms = (time.perf_counter() - started) * 1000
        seen, last = self.page.evaluate("() => [__watch.seen, __watch.last].map((at) => performance.now() - at)")
        return ms - min(seen, ms), ms - last

    def act(self, action: Callable[[Page], None], taken: Taken) -> None:
        """One interaction, timed inside the browser."""
        before = self.bytes
        self.page.evaluate(
            "() => { window.__t0 = 0; for (const kind of ['pointerdown', 'pointerup', 'keydown'])"
            " window.addEventListener(kind, () => { window.__t0 = performance.now(); }, { capture: true }); }"
        )
        action(self.page)
        self.page.wait_for_timeout(60)
        self._settle()
        seen, last = self.page.evaluate("() => [__watch.seen, __watch.last].map((at) => at - __t0)")
        taken.add((max(0.0, seen) + FRAME_MS, max(0.0, last) + FRAME_MS), self.bytes - before)

    def _settle(self) -> None:
        self.page.wait_for_function(SETTLED, polling=30)

    def close(self) -> None:
        self._context.close()


def _length(response: dict[str, Any]) -> int:
    data = response.get("payloadData", "")
    return len(data) * 3 // 4 if response.get("opcode") == 2 else len(data)


# -- interactions: the page they are on, and what a person does --------------------------------------------------------


def _cell(page: Page) -> None:
    canvas = page.locator(".heatmap canvas").first
    box = canvas.evaluate("(node) => node.getRootNode().__Heatmap.box2d")
    at = next(_PLACES)
    x, y = box["left"] + (at % 8 + 0.5) * box["cw"], box["top"] + (at // 8 % 8 + 0.5) * box["ch"]
    canvas.click(position={"x": x, "y": y})


def _lasso(page: Page) -> None:
    canvas = page.locator("canvas").nth(next(_PLACES) % 2)
    box = canvas.bounding_box()
    assert box is not None
    r = np.random.default_rng(next(_PLACES))
    x, y = box["x"] + box["width"] * r.uniform(0.3, 0.7), box["y"] + box["height"] * r.uniform(0.3, 0.7)
    page.mouse.move(x, y)
    page.mouse.down()
    for dx, dy in ((60, 0), (60, 60), (0, 60), (0, 0)):
        page.mouse.move(x + dx, y + dy, steps=3)
    page.mouse.up()
    page.mouse.move(box["x"] + 4, box["y"] - 12)  # off the map: resting on a point asks for its still, another wait


def _slide(page: Page) -> None:
    knob = page.get_by_role("slider").last
    knob.focus()
    page.keyboard.press("ArrowLeft" if next(_PLACES) % 2 else "ArrowRight")


def _next_clip(page: Page) -> None:
    page.locator(".player").get_by_role("button", name=re.compile("^Next")).first.click()


def _sort(page: Page) -> None:
    page.get_by_role("button", name=re.compile("^Others")).first.click()


def _tile(page: Page) -> None:
    page.locator(".tile").nth(next(_PLACES) % 12).click()


def _places() -> Iterator[int]:
    at = 0
    while True:
        at += 7
        yield at


_PLACES = _places()
INTERACTIONS: dict[str, tuple[str, str, Callable[[Page], None]]] = {
    "contingency: another cell": ("contingency", "", _cell),
    "map: a lasso": ("map", "", _lasso),
    "selection: the budget slider": ("selection", "", _slide),
    "clips: a still": ("clips", "", _tile),
    "clips: the next clip": ("clips", "", _next_clip),
    "clips: another random order": ("clips", "&sort=random", _sort),
}


# -- measuring ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def serving(script: str, home: Path, roots: Path) -> Iterator[tuple[str, psutil.Process]]:
    """A server of an entry script; its address and its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        script,
        "--server.headless",
        "true",
        "--server.port",
        str(port),
    ]
    env = {**os.environ, "CONCORD_HOME": str(home), "CONCORD_ROOTS": str(roots), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        url = f"http://localhost:{port}"
        for _ in range(300):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/_stcore/health", timeout=2):
                break
            time.sleep(0.2)
        yield url, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(timeout=20)


def workspace_of(folder: Path, n: int) -> Path:
    """A made workspace of `n` clips with a selection; taken as it is where it was made before."""
    path = folder / f"made-{n}"
    if not (path / "selections").is_dir():
        make(path, n, 32, 3, True, 0)
        subprocess.run([sys.executable, "-m", "curation", "select", str(path)], cwd=ROOT, check=True)
    return path


def measure(browser: Browser, path: Path, home: Path, repeats: int) -> list[str]:
    """Lines of the table for one workspace."""
    lines = []
    empty = home / "empty.py"
    empty.write_text("import streamlit as st\nst.title('Empty')\n", "utf-8")
    cold: dict[str, Taken] = {name: Taken() for name in ("empty", *PAGES)}
    with (
        serving(str(empty), home, path.parent) as (plain, _),
        serving("streamlit_app.py", home, path.parent) as (url, server),
    ):
        warm = Session(browser, url)
        for name in PAGES:  # the first of a server imports the engine and fills its caches
            warm.open(f"{url}/{'' if name == 'Home' else name.lower()}?ws={path}")
        for _ in range(3):
            for name in cold:
                session = Session(browser, url)
                place = "" if name == "Home" else name.lower()
                address = plain if name == "empty" else f"{url}/{place}?ws={path}"
                cold[name].add(session.open(address), session.bytes)
                session.close()
        base = float(np.median(cold["empty"].ms))
        lines.append(f"| cold tab: an empty Streamlit page | {cold['empty'].row()} |")
        for name in PAGES:
            extra = float(np.median(cold[name].ms)) - base
            lines.append(f"| cold tab: {name} (+{extra:,.0f}) | {cold[name].row()} |")
        opened: dict[str, Taken] = {name: Taken() for name in PAGES}
        for _ in range(max(3, repeats // 4)):
            for name in PAGES:
                link = warm.page.locator('[data-testid="stSidebar"]').get_by_role("link", name=name, exact=True)
                warm.act(lambda _, link=link: link.click(), opened[name])
        lines += [f"| page: {name} | {taken.row()} |" for name, taken in opened.items()]
        lines.append(f"| floor: a page of a slider and its number | {floor_of(browser, home, repeats).row()} |")
        first_gb = _memory(server)
        for what, (name, more, action) in INTERACTIONS.items():
            taken, failed = Taken(), ""
            warm.open(f"{url}/{name}?ws={path}{more}")
            for _ in range(repeats):
                try:
                    warm.act(action, taken)
                except Exception as error:  # (the table says what could not be done)
                    failed = f" ({type(error).__name__})"
                    break
            lines.append(f"| {what}{failed} | {taken.row()} |")
            print(lines[-1], flush=True)
        lines += _two_sessions(browser, url, path, warm, repeats, first_gb, server)
    return lines


def floor_of(browser: Browser, home: Path, repeats: int) -> Taken:
    """What Streamlit and the browser take by themselves for an interaction."""
    script, taken = home / "floor.py", Taken()
    script.write_text("import streamlit as st\nst.title('Floor')\nst.text(st.slider('n', 0, 1000, 500))\n", "utf-8")
    with serving(str(script), home, home) as (url, _):
        session = Session(browser, url)
        session.open(url)
        for _ in range(repeats):
            session.act(_slide, taken)
        session.close()
    return taken


def _two_sessions(
    browser: Browser, url: str, path: Path, one: Session, repeats: int, first_gb: float, server: psutil.Process
) -> list[str]:
    """Server memory before, half-way and after rounds of all interactions by two sessions, in turn."""
    sessions, done, held_gb = [one, Session(browser, url)], 0, [first_gb]
    for _ in range(2):
        for name, more, action in INTERACTIONS.values():
            for session in sessions:
                session.open(f"{url}/{name}?ws={path}{more}")
            for _ in range(-(-repeats // 2)):
                for session in sessions:
                    with contextlib.suppress(Exception):
                        session.act(action, Taken())
                        done += 1
        held_gb.append(_memory(server))
    amounts = " | ".join(f"{gb:.2f}" for gb in held_gb)
    return [f"| server memory, GB: every page opened once, after {done // 2} and {done} interactions of two sessions "
            f"| {amounts} | | |"]  # fmt: skip


def _memory(server: psutil.Process) -> float:
    """Unique memory of the server and its children, GB: mapped files that other processes may drop are not counted."""
    return sum(process.memory_full_info().uss for process in [server, *server.children(recursive=True)]) / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", default="10000,1000000")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--folder", type=Path, default=None, help="where made workspaces are kept")
    parser.add_argument("--name", default="explorer_speed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=CHROMIUM_ARGS)
        out = [machine(), ""]
        for n in map(int, options.clips.split(",")):
            path = workspace_of(folder, n)
            home = Path(temporary) / f"home-{n}"
            home.mkdir()
            lines = measure(browser, path, home, options.repeats)
            out += [f"## {n:,} clips", "", HEAD, "| --- | ---: | ---: | ---: | ---: | ---: |", *lines, ""]
            print("\n".join(out[-len(lines) - 4 :]), flush=True)
        browser.close()
    (RESULTS / f"{options.name}.md").write_text("# Explorer speed\n\n" + "\n".join(out), "utf-8")


if __name__ == "__main__":
    main()
