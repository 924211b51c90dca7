"""Addresses as readers of outside data: of the pages, each drawn with it, and of the media routes."""

from __future__ import annotations

import logging
import os
from contextlib import ExitStack
from pathlib import Path
from unittest import mock
from urllib.parse import parse_qsl, quote

from streamlit.testing.v1 import AppTest

from curation.workspace import Workspace
from explorer import routes
from tests.asgi import get

ROOT = Path(__file__).resolve().parent.parent
PAGES = tuple(sorted(file.stem for file in (ROOT / "pages").glob("*.py")))
TIMEOUT_S = 60
ADDRESS_MAX = 4000
PAGE_SEEDS = (
    "home?folder=/tmp&demo=20260101-000000-abcdef",
    "ingest?source=list&file=/tmp/list.csv&media=/tmp&seed=3&look=1",
    "selection?run=main&n=6&vs=sound.mfcc&off=healthy,copies&scope=truth_match:is:true",
    "cluster?layer=sound.mfcc&cluster=1&view=compare&vs=picture.motion&pick=random&seed=2&page=1&order=size",
    "contingency?a=sound.mfcc&v=picture.motion&cell=1,2&box=0,0,3,3&show=pmi&over=every&order=match&of=selected",
    "map?color=k:sound.mfcc&lay=side&wa=0,0,1,1&wv=0.1,0.2,0.3,0.4&rows=marked&names=yes",
    "clips?sort=score&page=2&in_a=sound.mfcc&k_a=1&sel=yes&text=folder&col=level:in:10..19&sql=row<5",
    "clips?like=words:a dog&by=audio&said=final&lost=healthy&without=main&clip=c1&view=table",
    "evaluate?view=result&audit=audit-1&auditor=anna&method=main&group=wrong&clip=c1&of=candidates",
    "export?what=filter&format=webdataset&shard_mb=77&cut=exact&sel=yes&reviewed=1",
)
# A page without a browser says so at every run.
logging.getLogger("streamlit.runtime.scriptrunner_utils.script_run_context").disabled = True
ROUTE_NAMES = ("still", "proxy", "strip", "preview", "point")


def page_seeds() -> list[bytes]:
    """Addresses as the pages write them."""
    return [seed.encode() for seed in PAGE_SEEDS]


def read_page(workspace: Workspace, data: bytes) -> None:
    """Draw the page that an address names, of `workspace` where it names none. Raises for an exception on the page."""
    name, _, query = data[:ADDRESS_MAX].decode("utf-8", "replace").partition("?")
    with _at_home(workspace):
        app = AppTest.from_file(str(ROOT / "explorer" / "main.py"), default_timeout=TIMEOUT_S)
        app.run()
        given = parse_qsl(query, keep_blank_values=True)
        for key, value in {"ws": str(workspace.path), **dict(given)}.items():
            app.query_params[key] = value
        app.switch_page(f"../pages/{name if name in PAGES else 'clips'}.py").run()
    if app.exception:
        raise AssertionError(f"{app.exception[0].message}\n{app.exception[0].stack_trace}")
    if len(app.title) != 1:
        raise AssertionError(f"{name}: a page without a title")


def route_seeds(workspace: Workspace) -> list[bytes]:
    """Addresses as components ask for them, without their common beginning and without the workspace."""
    row = workspace.table("clips", ["clip_id", "path"]).to_pylist()[-1]
    clip = f"clip={row['clip_id']}"
    seeds = [f"still?{clip}", f"strip?{clip}", f"proxy?{clip}", f"proxy?{clip}&live=1", "point?row=3"]
    return [seed.encode() for seed in (*seeds, f"preview?kind=still&path={quote(row['path'])}")]


def read_route(workspace: Workspace, data: bytes) -> None:
    """Ask a media route, of `workspace` where no other is named. Raises where it breaks, or names a folder."""
    name, _, query = data[:ADDRESS_MAX].partition(b"?")
    route = name.decode("ascii", "replace")
    text = "".join(chr(byte) if 32 < byte < 127 and byte != ord("#") else f"%{byte:02X}" for byte in query)
    if b"ws=" not in query:
        text = f"ws={quote(str(workspace.path))}&{text}"
    with _at_home(workspace):
        answer = get(f"{routes.PREFIX}/{route if route in ROUTE_NAMES else 'still'}?{text}")
    if answer.status >= 400 and str(workspace.path.parent).encode() in answer.body:
        raise AssertionError("an error names a folder")


def _at_home(workspace: Workspace) -> ExitStack:
    """Nothing is read or written outside of the folder of the workspace."""
    stack = ExitStack()
    place = str(workspace.path.parent)
    stack.enter_context(mock.patch.dict(os.environ, {"CONCORD_HOME": f"{place}/home", "CONCORD_ROOTS": place}))
    return stack
