"""Objects in a store: an address in; size and time, what lies below it, or its bytes for reading and seeking out.

s3 is read through Arrow, the other schemes through fsspec and the package of their store. Everything that says how to
get in stands in the environment and is never kept: AWS_ACCESS_KEY_ID and the like, AWS_PROFILE, AWS_REGION,
AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, AWS_CA_BUNDLE; CONCORD_S3_ANONYMOUS=1 asks without a signature. Requests are
tried three times, and one that stands still ends after CONCORD_REMOTE_TIMEOUT_S seconds (20).

Every way to fail is a `MediaError` in own words, with a code: missing, no_bucket, no_permission, unreachable (nobody
answers, or too slowly, or is out of order: worth another try), not_a_file, changed, bad_url, remote. What a library
said is not repeated: it may hold what signs a request.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import pyarrow as pa
from pyarrow import fs

from curation.errors import ConcordError, InputError, MediaError, MissingPackageError
from curation.raw_file import RawFile
from curation.urls import inside, normal, scheme_of

TRIES = 3
TIMEOUT_S = 20.0
CONNECT_S = 5.0
# A piece of a request: as large as a few frames of film, so that a still costs few of them
BLOCK_BYTES = 1 << 18
AHEAD_BLOCKS = 16  # of one request, where bytes are read one after another
CACHE_BLOCKS = 96  # 24 MiB an open file
WHOLE_BYTES = 1 << 21  # an object up to this size comes in one request
UNREACHABLE = "unreachable"

_Value = TypeVar("_Value")
# Words of the AWS SDK in Arrow's messages
_CODES = {
    "NO_SUCH_BUCKET": "no_bucket",
    "NO_SUCH_KEY": "missing",
    "RESOURCE_NOT_FOUND": "missing",
    **dict.fromkeys(("ACCESS_DENIED", "INVALID_ACCESS_KEY_ID", "INVALID_CLIENT_TOKEN_ID", "SIGNATURE_DOES_NOT_MATCH",
                     "MISSING_AUTHENTICATION_TOKEN", "UNRECOGNIZED_CLIENT", "INVALID_SIGNATURE", "OPT_IN_REQUIRED",
                     "REQUEST_EXPIRED", "REQUEST_TIME_TOO_SKEWED", "NOT_INITIALIZED"), "no_permission"),
    **dict.fromkeys(("NETWORK_CONNECTION", "SLOW_DOWN", "THROTTLING", "REQUEST_TIMEOUT", "INTERNAL_FAILURE",
                     "SERVICE_UNAVAILABLE", "CLIENT_SIGNING_FAILURE", "USER_CANCELLED"), UNREACHABLE),
}  # fmt: skip
_STATUS = {401: "no_permission", 403: "no_permission", 404: "missing", 408: UNREACHABLE, 429: UNREACHABLE}
_WORD = re.compile(r"AWS Error ([A-Z_]{3,60})")
_HTTP = re.compile(r"HTTP status (\d{3})|\bcode: (\d{3})\b|ResponseCode: (\d{3})")


@dataclass(frozen=True)
class Facts:
    """Size in bytes of an object, and when it was last changed (ns since 1970; of stores mostly whole seconds)."""

    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True)
class Found:
    """One object of a listing, its key relative to the folder that was listed."""

    key: str
    size_bytes: int
    mtime_ns: int


def facts(url: str) -> Facts:
    """Size and time of an object. Raises `MediaError` (see above), `MissingPackageError`."""
    info = _asked(url, lambda store: store.get_file_info(_path(url)))
    if info.type == fs.FileType.NotFound:
        _missing(url)
    if info.type != fs.FileType.File:
        raise MediaError(f"{_name(url)} is a folder, not a file.", code="not_a_file")
    return Facts(int(info.size or 0), int(info.mtime_ns or 0))


def check_folder(url: str) -> None:
    """Raise `InputError` where nothing can be listed below an address: no such bucket or folder, not allowed, nobody
    answers. An object is no folder."""
    try:
        info = _asked(url, lambda store: store.get_file_info(_path(url)))
    except MediaError as error:
        raise input_error(error) from None
    if info.type == fs.FileType.File:
        raise InputError(f"{url} is an object, not a folder.", hint="Give the folder that holds it.")
    if info.type == fs.FileType.NotFound:
        raise InputError(f"There is no bucket or folder {url}.", hint="Check its spelling; capitals count.")


def objects_below(url: str, enough: int | None = None) -> list[Found]:
    """All objects below a folder, sorted by the bytes of their keys; with `enough` folders are listed one after another
    and none that begins behind so many objects is. Raises `InputError` where it cannot be listed."""
    check_folder(url)
    try:
        found = _listed(url) if enough is None else _first(url, enough)
    except MediaError as error:
        raise input_error(error) from None
    return sorted(found, key=lambda one: one.key.encode("utf-8", "surrogateescape"))


def open_remote(url: str) -> io.BufferedReader:
    """The bytes of an object for reading and seeking. Raises `MediaError`, also while it is read."""
    return io.BufferedReader(RemoteFile(url), 1 << 15)


def input_error(error: MediaError) -> InputError:
    """The same said of a table, a list or a folder."""
    return InputError(error.message, hint=error.hint, code=error.code)


class RemoteFile(RawFile):
    """An object as a file: read in blocks, several at once where they are asked for in their order, of which a bounded
    number is kept. `n_requests` and `n_bytes` count what was fetched."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url, self.name = normal(url), _name(url)
        self._file = _asked(url, lambda store: store.open_input_file(_path(url)))
        self.size = int(_told(url, self._file.size))
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._next_block, self._ahead = -1, 1
        self.n_requests = self.n_bytes = 0

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._at >= self.size or not len(buffer):
            return 0
        number, inside_block = divmod(self._at, BLOCK_BYTES)
        piece = self._block(number)[inside_block : inside_block + len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
            self._blocks.clear()
        super().close()

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            self._fetch(number)
        self._blocks.move_to_end(number)
        return self._blocks[number]

    def _fetch(self, number: int) -> None:
        """Get a block, and those behind it: twice as many as the last time where reading goes on from there."""
        self._ahead = min(2 * self._ahead, AHEAD_BLOCKS) if number == self._next_block else 1
        first, count = (0, -(-self.size // BLOCK_BYTES)) if self.size <= WHOLE_BYTES else (number, self._ahead)
        start = first * BLOCK_BYTES
        length = min(count * BLOCK_BYTES, self.size - start)
        data = _told(self.url, lambda: self._file.read_at(length, start))
        self.n_requests += 1
        self.n_bytes += len(data)
        if len(data) != length:
            raise MediaError(f"{self.name} changed while it was read.", hint="Run again.", code="changed")
        for at in range(0, length, BLOCK_BYTES):
            self._blocks[first + at // BLOCK_BYTES] = data[at : at + BLOCK_BYTES]
        while len(self._blocks) > CACHE_BLOCKS:
            self._blocks.popitem(last=False)
        self._next_block = first + -(-length // BLOCK_BYTES)


# -- listing -----------------------------------------------------------------------------------------------------------


def _listed(url: str) -> list[Found]:
    selector = fs.FileSelector(_path(url), recursive=True)
    infos = _asked(url, lambda store: store.get_file_info(selector))
    return [_found(url, info) for info in infos if info.type == fs.FileType.File]


def _first(url: str, enough: int) -> list[Found]:
    found: list[Found] = []
    folders = [_path(url)]
    while folders and len(found) < enough:
        infos = _children(url, folders.pop())
        found += [_found(url, info) for info in infos if info.type == fs.FileType.File]
        folders += [info.path for info in reversed(infos) if info.type == fs.FileType.Directory]
    return found


def _children(url: str, folder: str) -> list[fs.FileInfo]:
    infos = _asked(url, lambda store: store.get_file_info(fs.FileSelector(folder)))
    return sorted(infos, key=lambda info: str(info.path))


def _found(url: str, info: fs.FileInfo) -> Found:
    path = info.path.lstrip("/")  # fsspec's stores differ in whether there is one
    return Found(path.removeprefix(_path(url)).lstrip("/"), int(info.size or 0), int(info.mtime_ns or 0))


# -- stores ------------------------------------------------------------------------------------------------------------


def _asked(url: str, ask: Callable[[Any], _Value]) -> _Value:
    return _told(url, lambda: ask(_store(url)))


def _store(url: str) -> fs.FileSystem:
    scheme = scheme_of(url)
    if scheme != "s3":
        return _of_fsspec(scheme)
    given = os.environ.get
    endpoint = given("AWS_ENDPOINT_URL_S3") or given("AWS_ENDPOINT_URL") or ""
    region = given("AWS_REGION") or given("AWS_DEFAULT_REGION") or ("us-east-1" if endpoint else "")
    anonymous = given("CONCORD_S3_ANONYMOUS", "").strip().lower() in ("1", "true", "yes")
    return _s3(endpoint, region or _region(inside(url).partition("/")[0]), anonymous, _timeout_s())


@functools.lru_cache(maxsize=8)
def _s3(endpoint: str, region: str, anonymous: bool, timeout_s: float) -> fs.S3FileSystem:
    return fs.S3FileSystem(
        endpoint_override=endpoint or None,
        region=region or None,
        anonymous=anonymous,
        connect_timeout=min(CONNECT_S, timeout_s),
        request_timeout=timeout_s,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=TRIES),
        tls_ca_file_path=os.environ.get("AWS_CA_BUNDLE") or None,
    )


@functools.lru_cache(maxsize=256)
def _region(bucket: str) -> str:
    """Where a bucket of Amazon's lies; "" where its name is none that they have."""
    return str(fs.resolve_s3_region(bucket)) if re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket) else ""


@functools.lru_cache(maxsize=8)
def _of_fsspec(scheme: str) -> fs.FileSystem:
    try:
        import fsspec

        return fs.PyFileSystem(fs.FSSpecHandler(fsspec.filesystem(scheme)))
    except ImportError as error:
        package = "gcsfs" if scheme in ("gs", "gcs") else "adlfs"
        raise MissingPackageError(
            f"Addresses that begin with {scheme}:// need a package that is not installed.",
            hint=f"Install it with: pip install fsspec {package}",
        ) from error


def forget() -> None:
    """Forget the connections: the next request reads the environment anew."""
    for kept in (_s3, _region, _of_fsspec):
        kept.cache_clear()


def _timeout_s() -> float:
    text = os.environ.get("CONCORD_REMOTE_TIMEOUT_S", "").strip()
    try:
        value = float(text or TIMEOUT_S)
    except ValueError:
        value = 0.0
    if not 1 <= value <= 600:
        raise InputError(f"CONCORD_REMOTE_TIMEOUT_S is {text[:20]!r}.", hint="Seconds for a request: 1 to 600.")
    return value


def _path(url: str) -> str:
    try:
        return inside(url)
    except InputError as error:
        raise MediaError(error.message, hint=error.hint, code=error.code) from None


# -- errors ------------------------------------------------------------------------------------------------------------


def _told(url: str, do: Callable[[], _Value]) -> _Value:
    try:
        return do()
    except (ConcordError, MemoryError):
        raise
    except FileNotFoundError:
        _missing(url)
    except PermissionError:
        raise _failure(url, "no_permission", "") from None
    except (OSError, pa.ArrowException) as error:
        said = str(error)
        word = _WORD.search(said)
        raise _failure(url, _code(said, word[1] if word else ""), word[1] if word else type(error).__name__) from None
    except Exception as error:  # fsspec's stores have errors of their own; their text may hold what signs a request
        raise _failure(url, "remote", type(error).__name__) from None


def _code(said: str, word: str) -> str:
    if word in _CODES:
        return _CODES[word]
    status = next((int(number) for numbers in _HTTP.findall(said) for number in numbers if number), 0)
    if status >= 500:
        return UNREACHABLE
    return _STATUS.get(status, UNREACHABLE if "curlCode" in said else "remote")


def _missing(url: str) -> NoReturn:
    """Raise for what is not there, be it the object or its bucket."""
    bucket = _path(url).partition("/")[0]
    is_there = True
    with contextlib.suppress(OSError, pa.ArrowException):  # who may not list a bucket may still read in it
        is_there = _store(url).get_file_info(bucket).type != fs.FileType.NotFound
    raise _failure(url, "missing" if is_there else "no_bucket", "") from None


def _failure(url: str, code: str, word: str) -> MediaError:
    name, bucket = _name(url), f"{scheme_of(url)}://{_path(url).partition('/')[0]}"
    why = f" ({word})" if word else ""
    sentences = {
        "missing": (f"There is no object {name} at the place that is named.", "It may have been moved or deleted."),
        "no_bucket": (f"There is no bucket {bucket}.", "Check its spelling, and AWS_ENDPOINT_URL_S3 of another store."),
        "no_permission": (
            f"{name} in {bucket} may not be read{why}.",
            "Check AWS_ACCESS_KEY_ID or AWS_PROFILE; CONCORD_S3_ANONYMOUS=1 reads what is open to all.",
        ),
        UNREACHABLE: (
            f"The store of {bucket} does not answer, or too slowly, after {TRIES} tries{why}.",
            "Check the network and AWS_ENDPOINT_URL_S3, and run again: finished work is kept.",
        ),
    }
    message, hint = sentences.get(code, (f"{name} in {bucket} cannot be read{why}.", ""))
    return MediaError(message, hint=hint, code=code)


def _name(url: str) -> str:
    name = url.rstrip("/").rpartition("/")[2]
    return os.fsencode(name).decode("utf-8", "backslashreplace").replace("\n", "\\n")[:200]
