"""Addresses of stills, proxies and strips, and the routes that serve them: cut on demand, cached, within the roots.

A request names a workspace and a clip (or, for a folder that is no workspace yet, a file). What it names is checked
before anything is opened: the folder against the allowed roots with links resolved, the clip against its table, the
media file behind it against the roots again. Errors are a status and a short sentence without paths.
"""

from __future__ import annotations

import asyncio
import fnmatch
import functools
import hashlib
import json
import os
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qsl, quote

import numpy as np
import pyarrow.parquet as pq
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from curation import remote
from curation.errors import ConcordError, MediaError, NotAllowedError
from curation.home import cache_folder, check_allowed, open_allowed
from curation.media.location import locate
from curation.media.roots import AllowedRoots
from curation.records import real_path
from curation.urls import is_url
from curation.workspace import Workspace
from explorer import access, growing
from explorer.clip_file import ClipFile
from explorer.cutter import PROXY, STILL, STRIP, Cutter, Kind, Span, file_name, length_s
from explorer.media_cache import BoundedFolder
from explorer.views import words

PREFIX = "/concord"
# Requests wait in lines of their own, so many of each served at once: a page of sixty stills does not hold up the
# player, and what is fetched ahead does not hold up what a person waits for.
LINES = {"still": 2, "ahead": 1, "live": 2}
WAITING_MAX = 400
PREVIEW_S = 10.0
CACHE_BYTES = {"stills": 500 << 20, "proxies": 2 << 30, "strips": 500 << 20}
PREVIEW_BYTES = 1 << 30
LEFT_S = 0.1  # how soon it is seen that a browser does not wait for a file any more
FRESH_S = 60.0  # how long a store's word on size and time of an object holds


# -- addresses ---------------------------------------------------------------------------------------------------------


def still_url(ws: Workspace, clip_id: str) -> str:
    """Address of a clip's picture, JPEG of at most 180 rows."""
    return _url("still", ws=ws.path, clip=clip_id)


def proxy_url(ws: Workspace, clip_id: str) -> str:
    """Address of a clip as H.264/AAC that a browser plays and seeks in; with `&live` it starts while it is cut."""
    return _url("proxy", ws=ws.path, clip=clip_id)


def strip_url(ws: Workspace, clip_id: str) -> str:
    """Address of a clip's mel spectrogram, waveform, loudness and motion as one PNG."""
    return _url("strip", ws=ws.path, clip=clip_id)


def preview_still_url(path: str | os.PathLike[str]) -> str:
    """Address of a picture from the middle of a file that belongs to no workspace."""
    return _url("preview", kind="still", path=path)


def preview_proxy_url(path: str | os.PathLike[str]) -> str:
    """Address of the central ten seconds of a file that belongs to no workspace."""
    return _url("preview", kind="proxy", path=path)


def point_url(ws: Workspace) -> str:
    """Address of a clip's name and still as JSON, to which `&row=` and its row are added."""
    return _url("point", ws=ws.path)


def _url(route: str, **parameters: str | os.PathLike[str]) -> str:
    query = "&".join(f"{name}={quote(os.fsencode(value), safe='')}" for name, value in parameters.items())
    return f"{PREFIX}/{route}?{query}"


# -- cutting ----------------------------------------------------------------------------------------------------------

CUTTER = Cutter()
_LINES = {name: ThreadPoolExecutor(n, thread_name_prefix=f"concord-{name}") for name, n in LINES.items()}
_waiting = 0


async def _cut(kind: Kind, span: Span, folder: BoundedFolder, *, live: bool = False) -> Path:
    global _waiting
    found = await run_in_threadpool(folder.find, file_name(kind, span))
    if found is not None:
        return found
    if _waiting >= WAITING_MAX:
        raise _Refusal(503, "Too many clips are being cut. Try again in a moment.")
    _waiting += 1
    try:
        line = _LINES["live" if live else "still" if kind is STILL else "ahead"]
        return await asyncio.get_running_loop().run_in_executor(line, _made, kind, span, folder, live)
    finally:
        _waiting -= 1


def _made(kind: Kind, span: Span, folder: BoundedFolder, live: bool) -> Path:
    if kind is PROXY and not AUDIENCE.waits_for(file_name(kind, span)):  # gone while it stood in line
        raise MediaError("Nobody waits for this piece any more.", code="cancelled")
    return CUTTER.cut(kind, span, folder, waited=live)


# -- checking ----------------------------------------------------------------------------------------------------------


class _Refusal(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def _clips_of(ws_path: str) -> tuple[Workspace, str]:
    """A workspace that may be read, and the fingerprint of its clips."""
    try:
        workspace = open_allowed(ws_path)
        fingerprint = workspace.fingerprint("clips")
    except NotAllowedError:
        raise _Refusal(403, "This folder may not be read.") from None
    except ConcordError:
        raise _Refusal(404, "There is no such workspace.") from None
    if fingerprint is None:
        raise _Refusal(404, "There is no such clip.")
    return workspace, fingerprint


def _clip_span(ws_path: str, clip: str) -> tuple[Workspace, Span]:
    workspace, fingerprint = _clips_of(ws_path)
    # Paths may hold bytes that are no UTF-8; no clip's id does.
    found = _find_clip(str(workspace.path), fingerprint, clip) if _is_text(clip) else None
    if found is None:
        raise _Refusal(404, "There is no such clip.")
    root, path_bytes, start_s, end_s = found
    if not path_bytes or not 0 <= root < len(workspace.roots):
        raise _Refusal(404, "This clip has no media file.")
    return workspace, _span(real_path(workspace.roots[root], path_bytes), start_s, end_s)


@functools.lru_cache(maxsize=4096)
def _find_clip(ws_path: str, fingerprint: str, clip: str) -> tuple[int, bytes, float, float] | None:
    """Root, path, start and end of a clip. `fingerprint` is a key only: new clips, new answers."""
    workspace = Workspace.open(ws_path)
    wanted = ["video_id", "start_s", "end_s"]
    rows = pq.read_table(
        workspace.artefact_path("clips"), columns=wanted, filters=[("clip_id", "=", clip)], partitioning=None
    ).to_pylist()
    videos = workspace.artefact_path("videos")
    if not rows or not videos.is_file():
        return None
    files = pq.read_table(
        videos, columns=["root", "path_bytes"], filters=[("video_id", "=", rows[0]["video_id"])], partitioning=None
    ).to_pylist()
    if not files:
        return None
    return files[0]["root"], files[0]["path_bytes"], float(rows[0]["start_s"]), float(rows[0]["end_s"])


def _span(path: str, start_s: float, end_s: float) -> Span:
    if is_url(path):
        return _span_in_store(path, start_s, end_s)
    try:
        held = locate(path)  # a member of a tar is in the tar
        resolved = check_allowed(held.file)
        info = resolved.stat()
    except NotAllowedError:
        raise _Refusal(403, "This file may not be read.") from None
    except (OSError, ValueError):
        raise _Refusal(404, "The media file is not there any more.") from None
    if not resolved.is_file():
        raise _Refusal(404, "This is not a file.")
    place = str(resolved) + path[len(held.file) :]
    return Span(place, start_s, end_s, f"{info.st_size}-{info.st_mtime_ns}")


def _span_in_store(url: str, start_s: float, end_s: float) -> Span:
    try:
        place = AllowedRoots().check_place(url)
        facts = _facts_in_store(locate(place).file, int(time.monotonic() / FRESH_S))
    except NotAllowedError:
        raise _Refusal(403, "This file may not be read.") from None
    except MediaError as error:
        if error.code == remote.UNREACHABLE:
            raise _Refusal(503, "The store of this file does not answer. Try again in a moment.") from None
        raise _Refusal(404, f"The media file cannot be had from its store ({error.code}).") from None
    return Span(place, start_s, end_s, f"{facts.size_bytes}-{facts.mtime_ns}")


@functools.lru_cache(maxsize=4096)
def _facts_in_store(url: str, _minute: int) -> remote.Facts:
    """Asked once a minute: a page of sixty stills of one film is one request."""
    return remote.facts(url)


def _preview_span(path: str) -> Span:
    if not path:
        raise _Refusal(404, "No file is named.")
    whole = _span(path, 0.0, 0.0)
    length_s = _duration_s(whole.path, whole.stamp)
    start_s = max(0.0, (length_s - PREVIEW_S) / 2)
    return Span(whole.path, start_s, start_s + min(PREVIEW_S, length_s), whole.stamp)


@functools.lru_cache(maxsize=4096)
def _duration_s(path: str, stamp: str) -> float:
    """Length of a file, at least 0.1 s, `PREVIEW_S` when it does not say. `stamp` is a key only."""
    return max(0.1, float(CUTTER.call("probe", {"path": path}, waited=True).get("duration_s") or PREVIEW_S))


def _workspace_folder(workspace: Workspace, kind: Kind) -> BoundedFolder:
    """Where a workspace's files are kept: in it, else (read-only, or a link leads away) in the person's own home."""
    folder = workspace.path / "media" / kind.folder
    if not os.access(workspace.path, os.W_OK) or os.path.realpath(folder) != str(folder):
        digest = hashlib.blake2b(os.fsencode(workspace.path), digest_size=8).hexdigest()
        folder = cache_folder("workspaces") / digest / kind.folder
    return CUTTER.folder(folder, CACHE_BYTES[kind.folder])


# -- routes ------------------------------------------------------------------------------------------------------------

Handler = Callable[[Request, dict[str, str]], Awaitable[Response]]


def _route(name: str, handler: Handler) -> Route:
    async def answer(request: Request) -> Response:
        try:
            _refuse_strangers(request)
            _refuse_unknown(request)
            return await handler(request, _parameters(request))
        except _Refusal as refusal:
            return _sentence(refusal.status, refusal.text)
        except MediaError as error:
            return _sentence(422, f"This file cannot be shown ({error.code}).")
        except NotAllowedError:
            return _sentence(403, "This file may not be read.")
        except ConcordError as error:
            return _sentence(500, f"The server could not make this file ({error.code}).")

    return Route(f"{PREFIX}/{name}", answer, methods=["GET", "HEAD"])


def _clip_route(kind: Kind) -> Handler:
    async def handler(request: Request, parameters: dict[str, str]) -> Response:
        workspace, span = await run_in_threadpool(_clip_span, parameters.get("ws", ""), parameters.get("clip", ""))
        return await _answer(kind, span, _workspace_folder(workspace, kind), request, parameters)

    return handler


async def _preview(request: Request, parameters: dict[str, str]) -> Response:
    kind = {"still": STILL, "proxy": PROXY}.get(parameters.get("kind", "still"))
    if kind is None:
        raise _Refusal(404, "There is no such kind of preview.")
    line = _LINES["still" if kind is STILL else "live"]
    span = await asyncio.get_running_loop().run_in_executor(line, _preview_span, parameters.get("path", ""))
    return await _answer(kind, span, CUTTER.folder(cache_folder("previews"), PREVIEW_BYTES), request, parameters)


async def _answer(
    kind: Kind, span: Span, folder: BoundedFolder, request: Request, parameters: dict[str, str]
) -> Response:
    if kind is not PROXY:
        return _file(await _cut(kind, span, folder), kind.content_type)
    if "live" in parameters and request.method == "GET":
        return await _live(span, folder)
    with AUDIENCE.member(file_name(kind, span)):
        cutting = asyncio.ensure_future(_whole(span, folder))
        while not cutting.done() and not await request.is_disconnected():
            await asyncio.wait({cutting}, timeout=LEFT_S)
        if cutting.done():
            return _file(await cutting, kind.content_type)
    _see_to_it(cutting)
    return Response(status_code=499)  # nobody reads it


async def _live(span: Span, folder: BoundedFolder) -> Response:
    """A proxy from its first fragment on, while it is cut, with its length, which is not in it; the whole file where
    it is there. Its cutting ends when nobody waits for it any more."""
    name = file_name(PROXY, span)
    with AUDIENCE.member(name):
        cutting = asyncio.ensure_future(_whole(span, folder, live=True))
        file = await growing.opened(lambda: CUTTER.growing(name), cutting.done)
        if file is None:
            return _file(await cutting, PROXY.content_type)
        AUDIENCE.hold(name, file)
    _see_to_it(cutting)
    head = os.pread(file.fileno(), growing.BLOCK_BYTES, 0)
    headers = {
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Duration-S": f"{length_s(span):.6f}",
    }
    return StreamingResponse(growing.blocks(file, cutting.done), media_type=growing.media_type(head), headers=headers)


async def _whole(span: Span, folder: BoundedFolder, *, live: bool = False) -> Path:
    """A proxy; cut once more where the cut under way was just being given up."""
    name = file_name(PROXY, span)
    while not live and CUTTER.growing(name) is not None:  # not in a line that others stand in
        await asyncio.sleep(growing.LOOK_S)
    try:
        return await _cut(PROXY, span, folder, live=live)
    except MediaError as error:
        if error.code != "cancelled" or not AUDIENCE.waits_for(name):
            raise
    return await _cut(PROXY, span, folder, live=live)


AUDIENCE = growing.Audience(CUTTER.give_up)
_CUTTING: set[asyncio.Future[Path]] = set()


def _see_to_it(cutting: asyncio.Future[Path]) -> None:
    """Keep a cut that goes on behind its answer, or without one, until it has ended."""
    _CUTTING.add(cutting)
    cutting.add_done_callback(_let_go)


def _let_go(cutting: asyncio.Future[Path]) -> None:
    _CUTTING.discard(cutting)
    if not cutting.cancelled():
        cutting.exception()  # whoever asks for the whole file is told


async def _point(_request: Request, parameters: dict[str, str]) -> Response:
    found = await run_in_threadpool(_named, parameters.get("ws", ""), parameters.get("row", ""))
    return Response(json.dumps(found), media_type="application/json", headers={"Cache-Control": "no-store"})


def _named(ws_path: str, row: str) -> dict[str, str]:
    """Name and still of the clip in a row."""
    workspace, fingerprint = _clips_of(ws_path)
    file = _clip_file(str(workspace.artefact_path("clips")), fingerprint)
    if not (row.isascii() and row.isdecimal() and len(row) <= 9 and int(row) < file.n_clips):
        raise _Refusal(404, "There is no such clip.")
    clip = file.clips(np.array([int(row)]))[0]
    return {"name": words.clip_name(clip.path, clip.start_s), "still": still_url(workspace, clip.clip_id)}


@functools.lru_cache(maxsize=4)
def _clip_file(path: str, fingerprint: str) -> ClipFile:
    """`fingerprint` is a key only."""
    return ClipFile(Path(path))


def _file(path: Path, content_type: str) -> Response:
    headers = {"Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff"}
    return FileResponse(path, media_type=content_type, headers=headers)


def _sentence(status: int, text: str) -> Response:
    return PlainTextResponse(text, status, headers={"Cache-Control": "no-store"})


def _parameters(request: Request) -> dict[str, str]:
    # Names of files may hold bytes that are not UTF-8; they come back as the operating system's own strings.
    pairs = parse_qsl(request.scope["query_string"].decode("ascii", "replace"), errors="surrogateescape")
    return {name: value for name, value in pairs if "\0" not in value}


def _is_text(value: str) -> bool:
    """Whether a parameter is UTF-8 throughout."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _refuse_strangers(request: Request) -> None:
    """Other sites' pages, and names that only a forged DNS answer would carry, get nothing."""
    from streamlit import config

    allowed = [str(host).lower().rstrip(".") for host in config.get_option("server.allowedHosts") or []]
    host = (request.url.hostname or "").lower().rstrip(".")
    if allowed and not any(fnmatch.fnmatchcase(host, pattern) for pattern in allowed):
        raise _Refusal(403, "This server is not reached under this name.")
    if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        raise _Refusal(403, "Other sites may not read from here.")


def _refuse_unknown(request: Request) -> None:
    if not access.is_known(request.cookies.get(access.COOKIE)):
        raise _Refusal(401, "This server asks for its token first.")


async def _enter(request: Request) -> Response:
    """A ticket becomes a cookie, which scripts cannot read and other sites cannot send."""
    try:
        _refuse_strangers(request)
    except _Refusal as refusal:
        return _sentence(refusal.status, refusal.text)
    if not access.redeem(_parameters(request).get("ticket", "")):
        return _sentence(403, "This ticket is not valid any more. Go back and give the token again.")
    answer = RedirectResponse("/", 303, headers={"Cache-Control": "no-store"})
    secure = request.url.scheme == "https"
    answer.set_cookie(
        access.COOKIE, access.cookie_value(), access.COOKIE_S, httponly=True, samesite="strict", secure=secure
    )
    return answer


ROUTES: list[BaseRoute] = [
    _route("still", _clip_route(STILL)),
    _route("proxy", _clip_route(PROXY)),
    _route("strip", _clip_route(STRIP)),
    _route("preview", _preview),
    _route("point", _point),
    Route(access.ENTER, _enter, methods=["GET"]),
]
