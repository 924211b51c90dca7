"""Files of weights: where they are looked for, how they are fetched, what is refused."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from curation.errors import InputError, WorkspaceError
from curation.extractors import registry, weights
from curation.extractors.checkpoint import load_network, read_tensors
from curation.extractors.weights import MissingWeightsError, WeightsFile

CONTENT = bytes(range(256)) * 500


class _Server(http.server.BaseHTTPRequestHandler):
    """/whole and /short (ends early), /long (never ends), anything else 404."""

    def do_GET(self) -> None:
        if self.path not in ("/whole", "/short", "/long"):
            self.send_error(404)
            return
        self.send_response(200)
        if self.path != "/long":
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        for _ in range(50 if self.path == "/long" else 1):
            try:
                self.wfile.write(CONTENT[: 1000 if self.path == "/short" else None])
            except OSError:
                return

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Server) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


def a_file(url: str, sha256: str = "", size_bytes: int = len(CONTENT)) -> WeightsFile:
    return WeightsFile("w.pth", url, size_bytes, "r1", sha256)


def test_the_folder_comes_before_the_cache_and_the_cache_before_the_network(
    server: str, tmp_path: Path, own_cache: Path
) -> None:
    file = a_file(f"{server}/none")
    own_cache.mkdir(parents=True)
    (own_cache / "w.pth").write_bytes(b"cache")
    assert weights.obtain(file, str(tmp_path)) == own_cache / "w.pth"
    (tmp_path / "w.pth").write_bytes(b"folder")
    assert weights.obtain(file, str(tmp_path)) == tmp_path / "w.pth"
    assert weights.obtain(file) == own_cache / "w.pth"


def test_what_is_not_here_is_fetched_once_and_whole(server: str, tmp_path: Path, own_cache: Path) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    for folder, place in ((str(tmp_path / "new"), tmp_path / "new"), ("", own_cache)):
        path = weights.obtain(a_file(f"{server}/whole", digest), folder)
        assert path == place / "w.pth" and path.read_bytes() == CONTENT
        assert [item.name for item in place.iterdir()] == ["w.pth"]
    # A second time nothing is asked of the network.
    assert weights.obtain(a_file("http://127.0.0.1:9/gone", digest)).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("page", "said"), [("none", "404"), ("short", "1000 of 128000 bytes"), ("long", "more than twice the expected")]
)
def test_a_failed_fetch_leaves_nothing_and_says_what_to_put_where(
    server: str, tmp_path: Path, page: str, said: str
) -> None:
    folder = tmp_path / "w"
    with pytest.raises(MissingWeightsError, match=said) as caught:
        weights.obtain(a_file(f"{server}/{page}"), str(folder))
    assert not folder.exists() or list(folder.iterdir()) == []
    for word in ("w.pth", "0 MB", f"{server}/{page}", str(folder)):
        assert word in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/w.pth", "file:///etc/passwd"])
def test_without_a_network_the_message_names_file_size_address_and_place(url: str, own_cache: Path) -> None:
    with pytest.raises(MissingWeightsError) as caught:
        weights.obtain(a_file(url, size_bytes=288_600_000))
    for word in ("w.pth", "289 MB", url, str(own_cache), "features.weights_folder"):
        assert word in str(caught.value)


def test_nothing_is_fetched_where_that_is_off(server: str) -> None:
    with pytest.raises(MissingWeightsError, match=r"Get w.pth"):
        weights.obtain(a_file(f"{server}/whole"), fetch=False)


def test_another_file_under_the_name_is_refused_where_the_hash_is_stated(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(b"other")
    with pytest.raises(InputError, match=r"not w\.pth as published"):
        weights.obtain(a_file("http://127.0.0.1:9/", "0" * 64), str(tmp_path))


def test_the_hash_of_a_large_file_is_kept_until_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "KEPT_FROM_BYTES", 10)
    path, kept = tmp_path / "w.pth", tmp_path / "w.pth.sha256.json"
    path.write_bytes(CONTENT)
    assert weights.sha256_of(path) == hashlib.sha256(CONTENT).hexdigest()
    weights._hash.cache_clear()
    kept.write_text(json.dumps({**json.loads(kept.read_text()), "sha256": "kept"}))
    assert weights.sha256_of(path) == "kept"
    path.write_bytes(CONTENT[:-1])
    assert weights.sha256_of(path) == hashlib.sha256(CONTENT[:-1]).hexdigest()
    weights._hash.cache_clear()
    kept.write_text("[broken")
    assert weights.sha256_of(path) == hashlib.sha256(CONTENT[:-1]).hexdigest()


def test_a_place_that_cannot_be_written_is_said(server: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises((MissingWeightsError, WorkspaceError), match=r"w\.pth|cannot be written"):
        weights.obtain(a_file(f"{server}/whole"), str(tmp_path / "file" / "below"))


@pytest.mark.parametrize("name", ["vggish", "slowfast", "slowfast-dense"])
def test_absent_weights_are_said_before_any_work(name: str, own_cache: Path) -> None:
    extractor = registry.get(name, fetch=False)
    state = extractor.available()
    assert not state.ready
    for word in (str(own_cache), "MB", "https://"):
        assert word in state.missing
    assert extractor.fingerprint()["weights"]["sha256"] == ""
    with pytest.raises(MissingWeightsError):
        extractor.prepare()


class Small(nn.Module):
    """Two parameters and a counter."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(2, 3)
        self.norm = nn.BatchNorm1d(3)


def test_a_checkpoint_that_does_not_fit_is_told_apart_by_name(tmp_path: Path) -> None:
    good = {key: torch.ones_like(value) for key, value in Small().state_dict().items()}
    bad = {**good, "dense.weight": torch.ones(3, 5), "extra.weight": torch.ones(1)}
    del bad["norm.bias"]
    with pytest.raises(InputError) as caught:
        load_network(Small(), bad, "w.pth")
    for word in ("w.pth", "missing: norm.bias", "dense.weight is (3, 5) and should be (3, 2)", "unknown: extra.weight"):
        assert word in str(caught.value)
    del good["norm.num_batches_tracked"]
    network = Small()
    load_network(network, {**good, "head.weight": torch.ones(4)}, "w.pth", spare=("head.",))
    assert not network.training and bool((network.dense.weight == 1).all())
    with pytest.raises(InputError, match=r"missing: dense.bias, norm.weight, norm.bias, norm.running_mean and 1 more"):
        load_network(Small(), {"dense.weight": torch.ones(3, 2)}, "w.pth")


class Trap:
    """An object that would run code when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("/tmp/should-never-be"),))  # type: ignore[return-value]


@pytest.mark.parametrize("content", [Trap(), 5, b""])
def test_only_tensors_are_read(tmp_path: Path, content: object) -> None:
    path = tmp_path / "w.pth"
    if content == b"":
        path.write_bytes(b"no weights at all")
    else:
        torch.save(content, path)
    with pytest.raises(InputError, match=r"w\.pth"):
        read_tensors(path)
    assert not Path("/tmp/should-never-be").exists()


@pytest.mark.parametrize("legacy", [False, True])
def test_both_forms_of_torch_save_are_read(tmp_path: Path, legacy: bool) -> None:
    path = tmp_path / "w.pth"
    torch.save({"model_state": {"a": torch.arange(3.0)}, "epoch": 4}, path, _use_new_zipfile_serialization=not legacy)
    assert read_tensors(path, inside="model_state")["a"].tolist() == [0.0, 1.0, 2.0]
    assert read_tensors(path) == {}
