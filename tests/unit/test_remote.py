"""Objects of a store: the same bytes as the file, few requests, bounded memory; every failure in own words."""

from __future__ import annotations

import io
import random
import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from curation import remote
from curation.errors import ConcordError, InputError, MediaError, MissingPackageError
from curation.media.container import open_media
from curation.media.probe import probe
from curation.media.reader import SoundFormat, read_span
from tests.s3maker import ACCESS_KEY, SECRET_KEY, Store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    (tmp_path / "store" / "films" / "deep").mkdir(parents=True)
    made = Store(tmp_path / "store")
    made.use(monkeypatch, timeout_s=1)
    monkeypatch.setattr(remote, "TRIES", 1)  # the waits between three are Arrow's own
    yield made
    made.close()
    remote.forget()


def write(store: Store, key: str, n_bytes: int) -> bytes:
    data = random.Random(n_bytes).randbytes(n_bytes)
    (store.folder / "films" / key).write_bytes(data)
    return data


def test_reading_is_that_of_the_file_in_any_order(store: Store) -> None:
    data = write(store, "long.bin", 40 * remote.BLOCK_BYTES + 77)
    file, reference = remote.RemoteFile("s3://films/long.bin"), io.BytesIO(data)
    order = random.Random(3)
    for _ in range(300):
        place, count = order.randrange(len(data) + 10), order.choice((1, 100, 40_000))
        assert file.seek(place) == reference.seek(place)
        piece = file.read(count)
        assert piece == reference.read(len(piece)) and (piece or place >= len(data))
    assert file.seek(-5, io.SEEK_END) == len(data) - 5 and file.read(99) == data[-5:]
    with pytest.raises(ValueError):
        file.seek(-1)
    with remote.open_remote("s3://films/long.bin") as whole:
        assert whole.read() == data


def test_requests_are_few_and_memory_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write(store, "small.bin", remote.WHOLE_BYTES)
    small = remote.RemoteFile("s3://films/small.bin")
    small.seek(-1, io.SEEK_END)
    small.read(1)
    small.seek(0)
    small.read(1)
    assert small.n_requests == 1
    n_blocks = 64
    write(store, "large.bin", n_blocks * remote.BLOCK_BYTES)
    large = remote.RemoteFile("s3://films/large.bin")
    large.seek(17 * remote.BLOCK_BYTES)
    large.read(10)
    assert large.n_bytes == remote.BLOCK_BYTES  # one piece is wanted, one comes
    large.seek(0)
    while large.read(remote.BLOCK_BYTES):
        pass
    assert large.n_requests < 12
    monkeypatch.setattr(remote, "CACHE_BLOCKS", 20)
    bounded = remote.RemoteFile("s3://films/large.bin")
    while bounded.read(remote.BLOCK_BYTES):
        assert len(bounded._blocks) <= 20


def write_sound(store: Store) -> int:
    """Two minutes of noise, 10 MB; returns the number of bytes."""
    file = store.folder / "films" / "long.wav"
    with wave.open(str(file), "wb") as target:
        target.setparams((1, 2, 44100, 0, "NONE", ""))
        target.writeframes(np.random.default_rng(0).integers(-9999, 9999, 120 * 44100, np.int16).tobytes())
    return file.stat().st_size


def test_a_long_medium_is_read_in_pieces(store: Store) -> None:
    size = write_sound(store)
    with open_media("s3://films/long.wav") as media:
        n_samples = sum(event.samples.shape[1] for event in read_span(media, 60.0, 61.0, SoundFormat()))
    assert n_samples >= 16_000
    assert store.bytes_sent < size / 4


def test_keys_are_taken_as_they_are(store: Store) -> None:
    for key in ("é ü.bin", "a?b#c.bin", "100%.bin", "a+b&c.bin", "deep/@x=1.bin"):
        data = write(store, key, 2000 + len(key))
        assert remote.facts(f"s3://films/{key}").size_bytes == len(data)
        with remote.open_remote(f"s3://films/{key}") as file:
            assert file.read() == data


def test_listings_of_many_pages_are_sorted_by_bytes(store: Store) -> None:
    keys = sorted([f"{k:02d}.bin" for k in range(7)] + ["deep/z.bin", "deep/a.bin", "é.bin", "Z.bin"], key=str.encode)
    for key in keys:
        write(store, key, 10)
    assert [one.key for one in remote.objects_below("s3://films")] == keys
    assert [one.key for one in remote.objects_below("s3://films/deep")] == ["a.bin", "z.bin"]
    some = [one.key for one in remote.objects_below("s3://films", enough=3)]
    assert "deep/z.bin" not in some and len(some) >= 3


@pytest.mark.parametrize(
    ("url", "fault", "code"),
    [
        ("s3://films/none.bin", "", "missing"),
        ("s3://no-such-bucket/x.bin", "", "no_bucket"),
        ("s3://films/deep", "", "not_a_file"),
        ("s3://films/film.bin", "denied", "no_permission"),
        ("s3://films/film.bin", "broken", "unreachable"),
        ("s3://films/../film.bin", "", "bad_url"),
    ],
)
def test_each_failure_has_its_code_and_says_nothing_secret(store: Store, url: str, fault: str, code: str) -> None:
    write(store, "film.bin", 3_000_000)
    write(store, "deep/x.bin", 10)
    if fault:
        store.faults["film.bin"] = fault
    with pytest.raises(MediaError) as caught:
        remote.facts(url)
    assert caught.value.code == code
    assert not any(secret in str(caught.value) for secret in (ACCESS_KEY, SECRET_KEY, "Signature", store.endpoint))


@pytest.mark.parametrize("fault", ["denied", "still"])
def test_a_failure_in_the_middle_is_no_end_of_the_medium(store: Store, fault: str) -> None:
    """What was read up to there must not pass for the whole."""
    write_sound(store)
    n_samples = 0
    with pytest.raises(MediaError) as caught, open_media("s3://films/long.wav") as media:
        for event in read_span(media, 0.0, 120.0, SoundFormat()):
            n_samples += event.samples.shape[1]
            store.faults["long.wav"] = fault
    assert 0 < n_samples < 100 * 16_000
    assert caught.value.code == ("no_permission" if fault == "denied" else "unreachable")


def test_nobody_answers(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    remote.forget()
    with pytest.raises(MediaError, match="does not answer") as caught:
        probe("s3://films/film.mp4")
    assert caught.value.code == "unreachable"
    with pytest.raises(InputError, match="does not answer"):
        remote.objects_below("s3://films")


def test_another_key_is_refused_and_no_key_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write(store, "film.bin", 10)
    for change in ({"AWS_ACCESS_KEY_ID": "AKIAOTHER"}, {"CONCORD_S3_ANONYMOUS": "1"}):
        for name, value in change.items():
            monkeypatch.setenv(name, value)
        if "CONCORD_S3_ANONYMOUS" in change:
            monkeypatch.delenv("AWS_ACCESS_KEY_ID")
            monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        remote.forget()
        with pytest.raises(MediaError) as caught:
            remote.facts("s3://films/film.bin")
        assert caught.value.code == "no_permission" and "AKIAOTHER" not in str(caught.value)


def test_folders_that_cannot_be_listed(store: Store) -> None:
    write(store, "film.bin", 10)
    for url in ("s3://films/none", "s3://no-such-bucket", "s3://films/film.bin"):
        with pytest.raises(InputError):
            remote.check_folder(url)


def test_a_timeout_that_is_none_is_said(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCORD_REMOTE_TIMEOUT_S", "soon")
    with pytest.raises(InputError, match="CONCORD_REMOTE_TIMEOUT_S"):
        remote.facts("s3://films/film.bin")


def test_other_stores_through_fsspec(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system of fsspec's own in place of a store's: the same calls, no network."""

    class Memory(MemoryFileSystem):
        protocol = "gs"
        store: ClassVar[dict[str, object]] = {}
        pseudo_dirs: ClassVar[list[str]] = [""]

    monkeypatch.setitem(sys.modules["fsspec.registry"]._registry, "gs", Memory)
    remote.forget()
    data = random.Random(1).randbytes(3_000_000)
    Memory().pipe("/films/deep/a.bin", data)
    assert remote.facts("gs://films/deep/a.bin").size_bytes == len(data)
    with remote.open_remote("gs://films/deep/a.bin") as file:
        assert file.read() == data
    assert [one.key for one in remote.objects_below("gs://films")] == ["deep/a.bin"]
    with pytest.raises(MediaError, match="no object") as caught:
        remote.facts("gs://films/none")
    assert caught.value.code == "missing"
    remote.forget()


def test_a_store_whose_package_is_not_there() -> None:
    try:
        import adlfs  # noqa: F401
    except ImportError:
        with pytest.raises(MissingPackageError, match="az://") as caught:
            remote.facts("az://films/x.mp4")
        assert "pip install" in caught.value.hint and isinstance(caught.value, ConcordError)
    else:
        pytest.skip("the package is there")
