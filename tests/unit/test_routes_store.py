"""The media routes over a store: clips are seen and heard, nothing outside the named prefix is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pytest

from curation import remote, sourcespec
from curation.records import CLIPS, VIDEOS, clip_id, empty_row
from curation.workspace import Workspace
from explorer import routes
from tests.asgi import get
from tests.mediamaker import make_video
from tests.s3maker import ACCESS_KEY, Store

NAMES = ["good #1.mp4", "broken.mp4", "gone.mp4", "s3://films/closed/secret.mp4", "../closed/secret.mp4",
         "%2e%2e/closed/secret.mp4", "s3://films/opened/x.mp4", "s3://other/x.mp4"]  # fmt: skip


@pytest.fixture
def store(tmp_path: Path, concord_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    for folder in ("open", "closed", "opened"):
        (tmp_path / "store" / "films" / folder).mkdir(parents=True)
    base = tmp_path / "store" / "films"
    make_video(base / "open" / NAMES[0], seconds=2.0, size=(64, 48))
    (base / "open" / "broken.mp4").write_bytes(b"nothing that plays")
    for name in ("closed/secret.mp4", "opened/x.mp4"):
        (base / name).write_bytes((base / "open" / NAMES[0]).read_bytes())
    made = Store(tmp_path / "store")
    made.use(monkeypatch, timeout_s=1)
    monkeypatch.setenv("CONCORD_ROOTS", f"s3://films/open:{concord_home}")
    routes._facts_in_store.cache_clear()
    yield made
    routes.CUTTER.close()
    made.close()
    remote.forget()


@pytest.fixture
def workspace(concord_home: Path) -> Workspace:
    made = Workspace.create(concord_home / "workspaces" / "one", sources=[sourcespec.folder("s3://films/open")])
    videos = [
        empty_row(VIDEOS) | {"video_id": f"v{i}", "path": name, "path_bytes": name.encode(), "root": 0, "status": "ok"}
        for i, name in enumerate(NAMES)
    ]
    made.commit_table("videos", pa.Table.from_pylist(videos, VIDEOS), "v")
    clips = [
        empty_row(CLIPS)
        | {"row": i, "clip_id": clip_id(str(i), 0, 2), "video_id": f"v{i}", "start_s": 0.0, "end_s": 2.0}
        for i in range(len(NAMES))
    ]
    made.commit_table("clips", pa.Table.from_pylist(clips, CLIPS), "c")
    return made


def clip(i: int) -> str:
    return clip_id(str(i), 0, 2)


def test_a_clip_of_a_store_is_seen_and_heard(store: Store, workspace: Workspace) -> None:
    still, proxy = get(routes.still_url(workspace, clip(0))), get(routes.proxy_url(workspace, clip(0)))
    assert (still.status, still.headers["content-type"], still.body[:2]) == (200, "image/jpeg", b"\xff\xd8")
    assert (proxy.status, proxy.headers["content-type"], proxy.body[4:8]) == (200, "video/mp4", b"ftyp")
    preview = get(f"{routes.PREFIX}/preview?kind=still&path={quote('s3://films/open/good #1.mp4', safe='')}")
    assert preview.status == 200


@pytest.mark.parametrize(
    ("i", "status"), [(1, 422), (2, 404), (3, 403), (4, 403), (5, 403), (6, 403), (7, 403)]
)  # fmt: skip
def test_what_lies_outside_is_not_even_asked_for(store: Store, workspace: Workspace, i: int, status: int) -> None:
    answer = get(routes.still_url(workspace, clip(i)))
    assert answer.status == status
    assert not [key for key in store.requests if "secret" in key or "x.mp4" in key]
    assert b"s3://" not in answer.body and ACCESS_KEY.encode() not in answer.body and len(answer.body) < 90


def test_previews_outside_and_without_a_named_store_are_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch, concord_home: Path
) -> None:
    inside, outside = "s3://films/open/good #1.mp4", "s3://films/open/%2e%2e/closed/secret.mp4"
    assert get(f"{routes.PREFIX}/preview?path={quote(outside, safe='')}").status == 403
    assert get(f"{routes.PREFIX}/preview?path={quote('http://127.0.0.1:1/x.mp4', safe='')}").status == 403
    monkeypatch.setenv("CONCORD_ROOTS", str(concord_home))
    assert get(f"{routes.PREFIX}/preview?path={quote(inside, safe='')}").status == 403
    assert not store.requests


def test_a_store_that_is_away_is_said(store: Store, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    remote.forget()
    answer = get(routes.still_url(workspace, clip(0)))
    assert answer.status == 503 and b"does not answer" in answer.body and b"127" not in answer.body
