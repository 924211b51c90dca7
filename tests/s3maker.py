"""A small store that speaks the part of S3 that reading needs: a folder of files in, a server on this machine out.

ListObjectsV2 (prefix, delimiter, pages), HEAD and GET with Range. Signatures are not verified, only who signs: another
access key than the server's is refused. Keys can be made to be denied, to fail, to stand still or to be cut off.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections import Counter
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

from curation import remote

ACCESS_KEY = "AKIATESTTESTTEST0007"
SECRET_KEY = "secret/of+the/test/that/must/not/appear7"
PAGE = 3  # small, so that listings have several pages


class Store:
    """Serves the folders below `folder` as buckets. `requests` counts by method and key; `faults` names keys that are
    `denied`, `broken` (500) or `still` (no answer)."""

    def __init__(self, folder: Path, access_key: str = ACCESS_KEY) -> None:
        self.folder, self.access_key = folder, access_key
        self.faults: dict[str, str] = {}
        self.requests: Counter[str] = Counter()
        self.bytes_sent = 0
        self.stop = threading.Event()
        store = self

        class Handler(_Handler):
            owner = store

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self.stop.set()
        self._server.shutdown()
        self._server.server_close()

    def use(self, monkeypatch: pytest.MonkeyPatch, timeout_s: int = 20) -> None:
        """Have this process and its children read from here."""
        for name in [name for name in os.environ if name.startswith("AWS_") or name == "CONCORD_S3_ANONYMOUS"]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", self.endpoint)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("CONCORD_REMOTE_TIMEOUT_S", str(timeout_s))
        remote.forget()


class _Handler(BaseHTTPRequestHandler):
    owner: Store
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        self.owner.requests[f"{self.command} {key or 'LIST'}"] += 1
        fault = self.owner.faults.get(key, self.owner.faults.get("*", ""))
        if fault == "still":
            self.owner.stop.wait(60)
            self.close_connection = True
        elif fault == "broken":
            self._error(500, "InternalError", "We encountered an internal error.")
        elif fault == "denied" or f"Credential={self.owner.access_key}/" not in self.headers.get("Authorization", ""):
            self._error(403, "AccessDenied", f"Access Denied for {self.headers.get('Authorization')}")
        elif not (self.owner.folder / bucket).is_dir():
            self._error(404, "NoSuchBucket", "The specified bucket does not exist")
        elif not key:
            self._list(bucket, query)
        else:
            self._object(self.owner.folder / bucket / key)

    def _object(self, file: Path) -> None:
        if not file.is_file():
            self._error(404, "NoSuchKey", "The specified key does not exist.")
            return
        size = file.stat().st_size
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first = int(wanted[1]) if wanted else 0
        last = min(int(wanted[2]) if wanted and wanted[2] else size - 1, size - 1)
        headers = {"ETag": f'"{size}"', "Last-Modified": _time(file), "Accept-Ranges": "bytes"}
        if wanted:
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        with file.open("rb") as handle:
            handle.seek(first)
            body = handle.read(last - first + 1) if self.command == "GET" else b""
        self.owner.bytes_sent += len(body)
        self._send(206 if wanted else 200, body, headers, max(0, last - first + 1))

    def _list(self, bucket: str, query: dict[str, str]) -> None:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        base = self.owner.folder / bucket
        keys = sorted((p.relative_to(base).as_posix() for p in base.rglob("*") if p.is_file()), key=str.encode)
        entries = []
        for key in keys:
            if key.startswith(prefix):
                below, slash, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
                entry = (prefix + below + "/", True) if slash else (key, False)
                if entry not in entries:
                    entries.append(entry)
        start = int(query.get("continuation-token") or 0)
        page = entries[start : start + min(int(query.get("max-keys") or PAGE), PAGE)]
        more = start + len(page) < len(entries)
        rows = []
        for name, is_folder in page:
            if is_folder:
                rows.append(f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>")
            else:
                info = (base / name).stat()
                when = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(info.st_mtime))
                rows.append(
                    f"<Contents><Key>{escape(name)}</Key><LastModified>{when}</LastModified>"
                    f"<ETag>&quot;{info.st_size}&quot;</ETag><Size>{info.st_size}</Size></Contents>"
                )
        token = f"<NextContinuationToken>{start + len(page)}</NextContinuationToken>" if more else ""
        self._xml(
            200,
            f"<ListBucketResult><Name>{bucket}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(page)}</KeyCount>"
            f"<MaxKeys>{PAGE}</MaxKeys><IsTruncated>{str(more).lower()}</IsTruncated>{token}{''.join(rows)}"
            "</ListBucketResult>",
        )

    def _error(self, status: int, code: str, message: str) -> None:
        self._xml(status, f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>")

    def _xml(self, status: int, text: str) -> None:
        body = ('<?xml version="1.0" encoding="UTF-8"?>' + text).encode()
        self._send(status, body, {"Content-Type": "application/xml"}, len(body))

    def _send(self, status: int, body: bytes, headers: dict[str, str], length: int) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: a test's output is its own."""


def _time(file: Path) -> str:
    return formatdate(file.stat().st_mtime, usegmt=True)
