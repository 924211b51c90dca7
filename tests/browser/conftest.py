"""Fixtures for tests in a real browser: a running server of any entry script, and a page to look at it with."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = Path(os.environ.get("CONCORD_CHROMIUM", "/usr/bin/chromium"))
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--autoplay-policy=no-user-gesture-required",
]
START_LIMIT_S = 60.0

ServeApp = Callable[..., str]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_healthy(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Returns when the server answers; fails with its log when it ends or takes longer than the limit."""
    end = time.monotonic() + START_LIMIT_S
    while time.monotonic() < end:
        if process.poll() is not None:
            pytest.fail(f"the server ended with code {process.returncode}:\n{log.read_text(errors='replace')[-4000:]}")
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    pytest.fail(f"the server did not answer in {START_LIMIT_S:.0f} s:\n{log.read_text(errors='replace')[-4000:]}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends the server and what it started in its own process group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)


def serving(folder: Path) -> Iterator[ServeApp]:
    """Gives a function that starts servers; their logs and their home are in `folder`; ends them afterwards."""
    running: list[subprocess.Popen[bytes]] = []

    def start(script: Path | str, env: Mapping[str, str] | None = None) -> str:
        port = free_port()
        log = folder / f"server-{len(running)}.log"
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
        command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.headless", "true"]
        command += ["--server.port", str(port), "--browser.gatherUsageStats", "false"]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": path, "CONCORD_HOME": str(folder / "concord-home"), **(env or {})},
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        running.append(process)
        url = f"http://localhost:{port}"
        wait_until_healthy(url, process, log)
        return url

    try:
        yield start
    finally:
        for process in running:
            stop(process)


@pytest.fixture
def serve_app(tmp_path: Path) -> Iterator[ServeApp]:
    """`serve_app(script, env=None) -> url`: runs a Streamlit entry script on a free port until the test ends.

    It starts in the project's root, so the project's configuration and packages apply. The server's output is in
    `tmp_path/server-<n>.log`. `env` is added to the environment.
    """
    yield from serving(tmp_path)


@pytest.fixture(scope="module")
def serve_app_for_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeApp]:
    """The same for tests that share one server: it runs until the last test of the module has ended."""
    yield from serving(tmp_path_factory.mktemp("serve"))


@pytest.fixture(scope="module")
def chromium() -> Iterator[playwright_api.Browser]:
    """One browser a module; tests are skipped where there is none.

    Its driver keeps an event loop running in this thread: it must not outlive the module, other tests need their own.
    """
    if not CHROMIUM.exists():
        pytest.skip(f"no Chromium at {CHROMIUM}; install it or set CONCORD_CHROMIUM")
    with playwright_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=CHROMIUM_ARGS)
        yield browser
        browser.close()


@pytest.fixture
def browser_page(chromium: playwright_api.Browser) -> Iterator[playwright_api.Page]:
    """A fresh page of 1440 x 900. An uncaught error of a script on it fails the test."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert not errors, f"uncaught errors in the browser: {errors}"
