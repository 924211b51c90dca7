"""Addresses of things that lie in a store, not on a disk: text that a person or a list gave in, one spelling of it out.

An address is `s3://bucket/key`, with the key as the store has it: nothing in it is decoded, so that every key can be
named. `file://` addresses are paths of this machine and become such. An address holds no credentials: those stay in the
environment.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes

from curation.errors import InputError

OTHER_SCHEMES = ("gs", "gcs", "az", "abfs", "abfss")  # through fsspec and the package of that store
SCHEMES = ("s3", *OTHER_SCHEMES)
URL_MAX = 4096
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{1,20})://")
_ROOT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{1,20}://[^/:]*(?::\d+(?=[/:]|$))?[^:]*")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,221}(@[A-Za-z0-9][A-Za-z0-9.-]*)?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def is_url(place: str | os.PathLike[str]) -> bool:
    """Is this an address, of any scheme? A path is none: no folder's name ends with a colon before two slashes."""
    return isinstance(place, str) and _URL.match(place) is not None


def scheme_of(url: str) -> str:
    """The scheme in small letters, "" for a path."""
    found = _URL.match(url)
    return found[1].lower() if found else ""


def local_path(place: str | os.PathLike[str]) -> Path:
    """The path of something that has to lie on this machine; `file://` becomes one. Raises `InputError` (not_local) for
    an address of a store, which would else become a folder whose name ends with a colon; (bad_url)."""
    if not isinstance(place, str) or not is_url(place):
        return Path(place)
    local = place_of(place)
    if is_url(local):
        raise InputError(
            f"{_shown(local)} lies in a store; a path of this machine is needed here.",
            hint="Media, lists and tables are read from stores; workspaces and what is written lie on a disk.",
            code="not_local",
        )
    return Path(local)


def place_of(text: str) -> str:
    """The place that a person or a list names: an address in its one spelling, or a path as it was given.

    Raises `InputError` (bad_url) for what is refused: another scheme, credentials or a query in it, a bucket that can
    be none, and parts `.`, `..` or empty ones, however they are written. The message never repeats credentials.
    """
    scheme = scheme_of(text)
    if not scheme:
        return text
    if scheme == "file":
        return _local(text)
    if scheme not in SCHEMES:
        raise _refused(f"Addresses that begin with {scheme}:// are not read.", f"Known: file, {', '.join(SCHEMES)}.")
    rest = text.partition("://")[2]
    host, _, key = rest.partition("/")
    if "?" in rest:
        raise _refused(
            f"An address with a query (?) is not taken: {scheme}://{_bucket_shown(host)}/...",
            "What signs a request does not belong into a workspace; give credentials in the environment.",
        )
    if "@" in host and scheme not in ("abfs", "abfss"):
        raise _refused(
            f"An address with a user or a key before the @ is not taken: {scheme}://...@{host.rpartition('@')[2][:80]}",
            "Give credentials in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_PROFILE).",
        )
    return normal(f"{scheme}://{host}/{key}")


def normal(url: str) -> str:
    """The one spelling of an address: scheme in small letters, no slash at the end. Raises `InputError` (bad_url) for
    what is no address of a store, or has parts that lead elsewhere. Keys that hold a question mark pass."""
    found = _URL.match(url)
    scheme = found[1].lower() if found else ""
    bucket, _, key = url[found.end() :].partition("/") if found else ("", "", "")
    key = key.rstrip("/")
    if scheme not in SCHEMES or not _BUCKET.fullmatch(bucket):
        raise _refused(f"{_shown(url)} is no address of a store.", "Written like s3://bucket/folder.")
    if len(url) > URL_MAX or _CONTROL.search(url):
        raise _refused(f"{_shown(url)} is too long, or holds characters that no address has.")
    if key and _leads_elsewhere(key):
        raise _refused(f"{_shown(url)} has an empty part, or one that is . or .. and would lead elsewhere.")
    return f"{scheme}://{bucket}/{key}" if key else f"{scheme}://{bucket}"


def lies_below(url: str, prefix: str) -> bool:
    """Is a normal address the normal `prefix`, or below it? s3://b/films2 is not below s3://b/films."""
    return url == prefix or url.startswith(prefix + "/")


def parent(url: str) -> str:
    """The folder of an address; a bucket is its own."""
    head, slash, _ = normal(url).partition("://")[2].rpartition("/")
    return f"{scheme_of(url)}://{head}" if slash else normal(url)


def inside(url: str) -> str:
    """Bucket and key, as file systems of stores take them."""
    return normal(url).partition("://")[2]


def split_places(text: str) -> list[str]:
    """Places of a variable that is written like PATH; the colon of an address does not end it."""
    places: list[str] = []
    while text:
        found = _ROOT.match(text) if os.pathsep == ":" else None
        if found:
            places.append(found[0])
            text = text[found.end() :].removeprefix(os.pathsep)
        else:
            one, _, text = text.partition(os.pathsep)
            places.append(one)
    return [place for place in places if place.strip()]


def _local(text: str) -> str:
    host, slash, path = text.partition("://")[2].partition("/")
    if not slash or host.lower() not in ("", "localhost"):
        raise _refused(f"{_shown(text)} names a file of another machine.", "Written like file:///home/me/videos.")
    path = os.fsdecode(b"/" + unquote_to_bytes(os.fsencode(path)))
    if "\0" in path:
        raise _refused(f"{_shown(text)} holds a character that no path has.")
    return path


def _leads_elsewhere(key: str) -> bool:
    """True for empty parts and for dots, also where a server that decodes once more would see dots."""
    if "" in key.split("/"):
        return True
    for _ in range(4):
        if any(part in (".", "..") for part in re.split(r"[/\\]", key)):
            return True
        key = unquote(key)
    return False


def _bucket_shown(host: str) -> str:
    return host.rpartition("@")[2].partition(":")[0][:80]


def _shown(url: str) -> str:
    """An address for a message: without what stands before an @ or after a question mark, and not endless."""
    scheme, _, rest = url.partition("://")
    host, slash, key = rest.rpartition("@")[2].partition("?")[0].partition("/")
    shown = f"{scheme}://{_bucket_shown(host)}{slash}{key}"[:200]
    return os.fsencode(shown).decode("utf-8", "backslashreplace").replace("\n", "\\n")


def _refused(message: str, hint: str = "") -> InputError:
    return InputError(message, hint=hint, code="bad_url")
