"""Addresses: one spelling in and out; what is refused, and that a refusal repeats no credentials."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation import sourcespec, urls
from curation.errors import InputError, NotAllowedError
from curation.media.roots import AllowedRoots
from curation.records import real_path

SECRET = "wJalr/Secret+7"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("S3://Films/a b/", "s3://Films/a b"),
        ("s3://films", "s3://films"),
        ("s3://films/100%25.mp4", "s3://films/100%25.mp4"),  # the key itself, as other tools take it
        ("gs://films/x", "gs://films/x"),
        ("file:///data/a%20b.mp4", "/data/a b.mp4"),
        ("file://localhost/data", "/data"),
        ("file:///data/%FF.mp4", os.fsdecode(b"/data/\xff.mp4")),
        ("/data/s3:/x", "/data/s3:/x"),
        ("data", "data"),
    ],
)
def test_a_place_has_one_spelling(text: str, place: str) -> None:
    assert urls.place_of(text) == place
    assert urls.place_of(place) == place


@pytest.mark.parametrize(
    "text",
    [
        "s3://films/../other",
        "s3://films/a/./b",
        "s3://films/a//b",
        "s3://films/%2e%2e/other",
        "s3://films/%252E%252e/other",
        "s3://films/..%2fother",
        "s3://films/..\\other",
        "s3:///key",
        "s3://",
        "s3://fi lms/x",
        "s3://films/a\nb",
        "s3://films/\udcff",
        "s3://films/" + "x" * 5000,
        "http://127.0.0.1/x.mp4",
        "concat://x",
        "file://server/share",
        f"s3://AKID:{SECRET}@films/x",
        f"s3://films/x?X-Amz-Signature={SECRET}",
        f"gs://films/x?token={SECRET}",
    ],
)
def test_what_leads_elsewhere_or_holds_a_secret_is_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        urls.place_of(text)
    assert caught.value.code == "bad_url"
    assert not any(part in str(caught.value) for part in ("wJalr", "Secret+7", "AKID"))


def test_a_place_on_this_machine_is_a_path(tmp_path: Path) -> None:
    assert urls.local_path("data/ws") == Path("data/ws") and urls.local_path(tmp_path) == tmp_path
    assert urls.local_path("file:///data/my%20films") == Path("/data/my films")
    for place in ("s3://films/ws", "gs://films/list.csv"):
        with pytest.raises(InputError) as caught:
            urls.local_path(place)
        assert caught.value.code == "not_local" and place in caught.value.message


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_a_normal_address_stays_and_has_no_part_that_leads_elsewhere(key: str) -> None:
    try:
        url = urls.normal(f"s3://films/{key}")
    except InputError:
        return
    assert urls.normal(url) == url and urls.lies_below(url, "s3://films")
    assert not {"", ".", ".."} & set(urls.inside(url).split("/"))


def test_roots_name_folders_and_addresses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CONCORD_ROOTS", f"s3://films/open:{tmp_path}:s3://other:gs://b1/x")
    roots = AllowedRoots()
    assert roots.folders == (tmp_path,) and roots.urls == ("s3://films/open", "s3://other", "gs://b1/x")
    for inside in ("s3://films/open", "s3://films/open/a/b.mp4", "S3://other/", str(tmp_path / "a"), "gs://b1/x/y"):
        assert roots.allows(inside), inside
    outside = ["s3://films", "s3://films/opened/a", "s3://films/open/../x", "s3://films/open/%2e%2e/x", "gs://other/x"]
    outside += ["s3://films/Open/x", "https://films/open/x", "/etc/passwd", "file:///etc/passwd"]
    for place in outside:
        assert not roots.allows(place), place
    with pytest.raises(NotAllowedError, match="CONCORD_ROOTS"):
        roots.check_place("s3://films/x")
    monkeypatch.delenv("CONCORD_ROOTS")
    assert not AllowedRoots().allows("s3://films/open/a")


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("/a:/b", ["/a", "/b"]),
        ("s3://b1:/data", ["s3://b1", "/data"]),
        ("/data:s3://b1/x:", ["/data", "s3://b1/x"]),
        ("s3://b1/x:s3://b2/y:/z", ["s3://b1/x", "s3://b2/y", "/z"]),
    ],
)
def test_the_colon_of_an_address_does_not_end_it(text: str, places: list[str]) -> None:
    assert urls.split_places(text) == places


def test_sources_and_rows_of_a_store() -> None:
    assert sourcespec.folder("s3://films/a/").root == "s3://films/a"
    assert sourcespec.folder("file:///tmp").path == "/tmp"
    assert sourcespec.file_list("s3://films/lists/all.csv").root == "s3://films/lists"
    assert sourcespec.tars("s3://films/set.tar").root == "s3://films"
    assert real_path("s3://films/a", b"b/c.mp4") == "s3://films/a/b/c.mp4"
    assert real_path("/data", b"s3://films/c.mp4") == "s3://films/c.mp4"
    assert real_path("s3://films", b"/data/c.mp4") == "/data/c.mp4"
