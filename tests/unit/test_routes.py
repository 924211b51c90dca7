"""The media routes without a browser: what they serve, what they refuse, and that a thing asked twice is made once."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import re
import shutil
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import av
import pyarrow as pa
import pytest
from starlette.requests import ClientDisconnect

from curation.errors import MediaError
from curation.media.location import member_path
from curation.records import CLIPS, VIDEOS, clip_id, empty_row
from curation.workspace import Workspace
from explorer import growing, routes
from explorer.cutter import Cutter
from tests.asgi import Answer, ask, get
from tests.mediamaker import make_video


@pytest.fixture(scope="module", autouse=True)
def cutter() -> Iterator[None]:
    yield
    routes.CUTTER.close()


@pytest.fixture
def workspace(concord_home: Path) -> Workspace:
    """One real video of 3 s, one broken file, one that is gone, and two ways to a file outside the allowed folders."""
    media = concord_home / "media"
    media.mkdir(parents=True)
    make_video(media / "good <b>.mp4", seconds=3.0)
    (media / "broken.mp4").write_bytes(b"nothing that plays")
    outside = concord_home.parent / "outside.mp4"
    outside.write_bytes((media / "good <b>.mp4").read_bytes())
    (media / "link.mp4").symlink_to(outside)
    names = ["good <b>.mp4", "broken.mp4", "gone.mp4", "link.mp4", "../../outside.mp4"]
    made = Workspace.create(concord_home / "workspaces" / "one", roots=[str(media)])
    videos = [
        empty_row(VIDEOS) | {"video_id": f"v{i}", "path": name, "path_bytes": name.encode(), "root": 0, "status": "ok"}
        for i, name in enumerate(names)
    ]
    made.commit_table("videos", pa.Table.from_pylist(videos, VIDEOS), "v")
    clips = [
        empty_row(CLIPS)
        | {"row": i, "clip_id": clip_id(str(i), 0, 2), "video_id": f"v{i}", "start_s": 0.0, "end_s": 2.0}
        for i in range(len(names))
    ]
    made.commit_table("clips", pa.Table.from_pylist(clips, CLIPS), "c")
    return made


@pytest.fixture(autouse=True)
def only_home(concord_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCORD_ROOTS", str(concord_home))


def clip(i: int) -> str:
    return clip_id(str(i), 0, 2)


def test_a_still_a_proxy_and_a_strip(workspace: Workspace) -> None:
    for url, kind, first in (
        (routes.still_url(workspace, clip(0)), "image/jpeg", b"\xff\xd8"),
        (routes.strip_url(workspace, clip(0)), "image/png", b"\x89PNG"),
        (routes.proxy_url(workspace, clip(0)), "video/mp4", b""),
    ):
        assert url.startswith("/concord/")
        answer = get(url)
        assert answer.status == 200, answer.body
        assert answer.headers["content-type"] == kind
        assert answer.headers["cache-control"].startswith("private")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.body.startswith(first) and len(answer.body) == int(answer.headers["content-length"])
    assert sorted(folder.name for folder in (workspace.path / "media").iterdir()) == ["proxies", "stills", "strips"]


def test_a_proxy_plays_while_it_is_cut(workspace: Workspace, concord_home: Path, tmp_path: Path) -> None:
    make_video(concord_home / "media" / "good <b>.mp4", seconds=3.0, fps=25, size=(1280, 720))  # takes a while
    url = routes.proxy_url(workspace, clip(0))
    streamed = get(f"{url}&live=1", range="bytes=0-")
    assert streamed.status == 200 and float(streamed.headers["x-duration-s"]) == 2.0
    assert re.fullmatch(r'video/mp4; codecs="avc1\.[0-9a-f]{6}, mp4a\.40\.2"', streamed.headers["content-type"])
    assert "content-length" not in streamed.headers and streamed.headers["cache-control"] == "no-store"
    whole = get(url)
    assert int(whole.headers["content-length"]) == len(whole.body)
    assert _frames(streamed.body, tmp_path / "streamed.mp4") == _frames(whole.body, tmp_path / "whole.mp4")
    kept = get(f"{url}&live=1", range="bytes=0-")  # it is there now: it can be sought in
    assert kept.status == 206 and kept.body == whole.body
    assert [path.suffix for path in (workspace.path / "media" / "proxies").iterdir()] == [".mp4"]


@pytest.mark.parametrize("whole", [False, True])
def test_a_cut_ends_when_nobody_waits_for_it(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    begun, ended = [], []

    def endless(_self: Cutter, _task: str, payload: dict[str, Any], *, waited: bool) -> dict[str, Any]:
        live = Path(payload["live"])
        live.write_bytes(b"the first fragment")
        begun.append(waited)
        for _ in range(3000):
            if not live.exists():
                ended.append(waited)
                raise MediaError("Nobody waits.", code="cancelled")
            time.sleep(0.01)
        raise AssertionError("it was never given up")

    monkeypatch.setattr(growing, "GRACE_S", 0.0)
    url = routes.proxy_url(workspace, clip(0))

    async def leave() -> None:
        if whole:
            await ask(url, gone=lambda: bool(begun))
        else:
            await _until_begun(f"{url}&live=1")
        gc.collect()
        while routes._CUTTING:
            await asyncio.sleep(0.01)

    with monkeypatch.context() as patched:
        patched.setattr(Cutter, "call", endless)
        asyncio.run(asyncio.wait_for(leave(), 60))
    assert ended == [not whole] and list((workspace.path / "media" / "proxies").iterdir()) == []
    assert get(url).status == 200, "it is cut for whoever asks next"


async def _until_begun(url: str) -> None:
    """A browser that goes away after the first piece."""

    class Gone(OSError):
        pass

    def closed(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body" and message.get("body"):
            raise Gone

    with contextlib.suppress(Gone, ClientDisconnect):
        await ask(url, seen=closed)


def _frames(data: bytes, path: Path) -> list[tuple[int, int]]:
    """Sizes of the packets of both streams."""
    path.write_bytes(data)
    with av.open(str(path)) as file:
        return sorted((packet.stream.index, packet.size) for packet in file.demux() if packet.size)


def test_what_cannot_be_cut_does_not_stream(workspace: Workspace) -> None:
    for _ in range(2):  # the second finds the failure remembered
        answer = get(f"{routes.proxy_url(workspace, clip(1))}&live=1")
        assert answer.status == 422 and b"cannot be shown" in answer.body


def test_two_listen_to_one_cut(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    cuts = []
    plain = Cutter.call

    def counted(self: Cutter, task: str, payload: dict[str, Any], *, waited: bool) -> dict[str, Any]:
        cuts.append(task)
        return plain(self, task, payload, waited=waited)

    monkeypatch.setattr(Cutter, "call", counted)
    url = f"{routes.proxy_url(workspace, clip(0))}&live=1"

    async def both() -> list[Answer]:
        return await asyncio.gather(ask(url), ask(url))

    one, two = asyncio.run(both())
    assert cuts == ["proxy"]
    assert one.body[4:8] == two.body[4:8] == b"ftyp"


def test_what_a_person_waits_for_is_ready_after_the_first_still() -> None:
    cutter = Cutter()
    cutter.call("ready", {}, waited=False)
    assert set(cutter._sandboxes) == {False, True}
    cutter.close()
    assert not cutter._sandboxes


def test_a_proxy_answers_ranges(workspace: Workspace) -> None:
    url = routes.proxy_url(workspace, clip(0))
    whole = get(url).body
    part = get(url, range="bytes=100-199")
    assert part.status == 206 and part.body == whole[100:200]
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole)}"
    assert get(url, range="bytes=999999999-").status == 416
    head = get(url, "HEAD")
    assert head.status == 200 and head.body == b"" and int(head.headers["content-length"]) == len(whole)
    assert get(url, "POST").status == 405


def test_a_member_of_a_tar_is_cut_where_it_lies_and_only_inside_the_roots(workspace: Workspace) -> None:
    media, outside = Path(workspace.roots[0]), Path(workspace.roots[0]).parents[1] / "outside.tar"
    with tarfile.open(media / "set.tar", "w") as tar:
        tar.add(media / "good <b>.mp4", "000.mp4")
    shutil.copy(media / "set.tar", outside)
    with tarfile.open(media / "set.tar") as tar:
        member = tar.next()
    assert member is not None
    videos = workspace.table("videos").to_pylist()
    for video, place in zip(videos, (b"set.tar", b"../../outside.tar")):
        video["path_bytes"] = member_path(place, member.offset_data, member.size, b"000.mp4")
    workspace.commit_table("videos", pa.Table.from_pylist(videos, VIDEOS), "v2")
    routes._find_clip.cache_clear()
    assert get(routes.still_url(workspace, clip(0))).body.startswith(b"\xff\xd8")
    assert get(routes.still_url(workspace, clip(1))).status == 403


@pytest.mark.parametrize(
    "i, status", [(1, 422), (2, 404), (3, 403), (4, 403), (9, 404)], ids=["broken", "gone", "link", "dots", "unknown"]
)
def test_what_cannot_be_served_is_a_short_sentence(workspace: Workspace, i: int, status: int) -> None:
    for url in (routes.still_url, routes.proxy_url, routes.strip_url):
        answer = get(url(workspace, clip(i)))
        assert answer.status == status
        assert answer.headers["content-type"].startswith("text/plain")
        assert len(answer.body) < 120 and b"/" not in answer.body and b"mp4" not in answer.body


@pytest.mark.parametrize("path", ["/", "/etc", "/proc/self/root", "../..", "~root", "", "a\0b", "/nonexistent"])
def test_folders_outside_or_without_a_workspace(workspace: Workspace, path: str) -> None:
    answer = get(f"/concord/still?ws={quote(path)}&clip={clip(0)}")
    assert answer.status in (403, 404)
    assert b"etc" not in answer.body


def test_a_link_to_a_workspace_outside_is_refused(workspace: Workspace, concord_home: Path) -> None:
    elsewhere = Workspace.create(concord_home.parent / "elsewhere")
    link = concord_home / "workspaces" / "link"
    link.symlink_to(elsewhere.path)
    assert get(f"/concord/still?ws={quote(str(link))}&clip=x").status == 403


@pytest.mark.parametrize("linked", ["media", "media/stills"])
def test_a_link_in_a_workspace_leads_no_file_elsewhere(
    workspace: Workspace, concord_home: Path, monkeypatch: pytest.MonkeyPatch, linked: str
) -> None:
    monkeypatch.setitem(routes.CACHE_BYTES, "stills", 1)
    foreign = concord_home.parent / "foreign"
    (foreign / "stills").mkdir(parents=True)
    files = [folder / ("0" * 32 + ".jpg") for folder in (foreign, foreign / "stills")]
    for file in files:
        file.write_bytes(b"mine")
    place = workspace.path / linked
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(foreign)
    assert get(routes.still_url(workspace, clip(0))).status == 200
    assert [file.read_bytes() for file in files] == [b"mine", b"mine"]
    assert len([path for path in foreign.rglob("*") if path.is_file()]) == 2
    assert list((concord_home / "cache" / "workspaces").rglob("*.jpg"))


def test_a_file_without_a_workspace_can_be_seen_and_heard(workspace: Workspace, concord_home: Path) -> None:
    file = Path(workspace.roots[0]) / "good <b>.mp4"
    odd = os.path.join(os.fsencode(workspace.roots[0]), b"odd \xff name.mp4")  # noqa: PTH118
    os.link(file, odd)
    for path in (file, os.fsdecode(odd)):
        assert get(routes.preview_still_url(path)).headers["content-type"] == "image/jpeg"
        assert get(routes.preview_proxy_url(path), range="bytes=0-9").status == 206
    assert list((concord_home / "cache" / "previews").iterdir())
    for path in ("/etc/passwd", str(concord_home.parent / "outside.mp4"), str(file.parent / "link.mp4")):
        assert get(routes.preview_still_url(path)).status == 403
    assert get(routes.preview_still_url(file.parent)).status == 404
    assert get(routes.preview_still_url(file.parent / "broken.mp4")).status == 422
    assert get(f"/concord/preview?kind=exe&path={quote(str(file))}").status == 404


def test_a_point_has_a_name_and_a_still(workspace: Workspace) -> None:
    url = routes.point_url(workspace)
    found = json.loads(get(f"{url}&row=0").body)
    clip = workspace.table("clips", ["clip_id", "path"]).to_pylist()[0]
    assert found == {"name": Path(clip["path"]).stem or "clip", "still": routes.still_url(workspace, clip["clip_id"])}
    for row in ("", "-1", "999999", "x", "1.5", "9" * 30):
        answer = get(f"{url}&row={row}")
        assert answer.status == 404 and answer.body == b"There is no such clip."
    assert get("/concord/point?ws=/etc&row=0").status == 403


def test_other_sites_and_forged_names_get_nothing(workspace: Workspace) -> None:
    url = routes.still_url(workspace, clip(0))
    assert get(url, sec_fetch_site="same-origin").status == 200
    assert get(url, sec_fetch_site="cross-site").status == 403
    assert get(url, sec_fetch_site="same-site").status == 403
    assert get(url, host="evil.example:8501").status == 403


def test_what_is_asked_for_by_many_at_once_is_made_once(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = Cutter.call

    def counted(self: Cutter, task: str, payload: dict[str, Any], *, waited: bool) -> dict[str, Any]:
        calls.append(task)
        return real(self, task, payload, waited=waited)

    monkeypatch.setattr(Cutter, "call", counted)

    async def many() -> list[Answer]:
        url = routes.still_url(workspace, clip(0))
        return await asyncio.gather(*(ask(url) for _ in range(12)))

    answers = asyncio.run(many())
    assert {answer.status for answer in answers} == {200} and len({answer.body for answer in answers}) == 1
    assert calls == ["still"]
    for _ in range(3):
        assert get(routes.still_url(workspace, clip(1))).status == 422
    assert calls == ["still", "still"], "a failure is not tried again at once"


def test_a_changed_file_is_cut_again(workspace: Workspace) -> None:
    first = get(routes.still_url(workspace, clip(0))).body
    make_video(Path(workspace.roots[0]) / "good <b>.mp4", seconds=3.0, seed=5)
    assert get(routes.still_url(workspace, clip(0))).body != first


def test_the_server_goes_on_while_a_clip_is_cut(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A blocked worker must not block the loop: a refused request is answered while a cut is under way."""
    import threading

    gate, order = threading.Event(), []

    def held(_self: Cutter, _task: str, payload: dict[str, Any], *, waited: bool) -> dict[str, Any]:
        gate.wait(10)
        Path(payload["out"]).write_bytes(b"\xff\xd8")
        return {}

    monkeypatch.setattr(Cutter, "call", held)

    async def both() -> None:
        slow = asyncio.create_task(ask(routes.still_url(workspace, clip(0))))
        await asyncio.sleep(0.05)
        assert (await ask(routes.still_url(workspace, clip(9)))).status == 404
        order.append("refused")
        gate.set()
        assert (await slow).status == 200
        order.append("cut")

    asyncio.run(both())
    assert order == ["refused", "cut"]
