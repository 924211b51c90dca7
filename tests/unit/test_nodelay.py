"""Answers leave at once: what a server accepts does not wait for acknowledgements."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from explorer import nodelay

pytestmark = pytest.mark.skipif(not Path(nodelay.OPEN_FILES).is_dir(), reason="open files are not listed here")


def test_what_is_accepted_inherits_it():
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(("127.0.0.1", 0))
        assert nodelay.set_nodelay() >= 1
        listener.listen()
        with socket.create_connection(listener.getsockname()) as _, listener.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_other_files_are_left_alone_and_none_stays_open(tmp_path):
    with (tmp_path / "file").open("w"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socketpair()[0]:
        before = len(list(Path(nodelay.OPEN_FILES).iterdir()))
        nodelay.set_nodelay()
        assert len(list(Path(nodelay.OPEN_FILES).iterdir())) == before


def test_a_machine_that_does_not_list_them_is_left_as_it_is(monkeypatch):
    monkeypatch.setattr(nodelay, "OPEN_FILES", "/not/there")
    assert nodelay.set_nodelay() == 0
