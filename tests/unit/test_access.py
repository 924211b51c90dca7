"""The token: asked for wherever the server is reached from elsewhere, by the pages and by every media route."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import streamlit as st

from explorer import access, routes
from tests.asgi import ask

TOKEN = "a token of some length"


@pytest.fixture(autouse=True)
def door(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CONCORD_TOKEN", TOKEN)
    access.token.cache_clear()
    access._tickets.clear()
    access._wrong.clear()
    yield
    access.token.cache_clear()
    access._wrong.clear()


@pytest.mark.parametrize(
    ("address", "asked"),
    [("127.0.0.1", False), ("localhost", False), ("::1", False), ("127.8.8.8", False), ("0.0.0.0", True),
     ("192.168.1.5", True), (None, True), ("", True), ("::", True), ("my.host", True)],
)  # fmt: skip
def test_a_server_reached_from_elsewhere_asks(
    monkeypatch: pytest.MonkeyPatch, address: str | None, asked: bool
) -> None:
    monkeypatch.delenv("CONCORD_TOKEN")
    monkeypatch.setattr(st.config, "get_option", lambda name: address if name == "server.address" else None)
    assert access.required() is asked


def test_a_token_that_was_set_is_asked_for_everywhere() -> None:
    assert access.required()


def test_the_token_becomes_a_ticket_once_and_the_ticket_a_cookie() -> None:
    assert access.ticket_for("another") is None
    ticket = access.ticket_for(f" {TOKEN} ")
    assert ticket is not None and access.redeem(ticket) and not access.redeem(ticket)
    assert not access.redeem("") and not access.redeem("made up")
    assert access.is_known(access.cookie_value())
    for wrong in (None, "", TOKEN, access.cookie_value()[:-1], "ä"):
        assert not access.is_known(wrong)


def test_a_ticket_is_too_old_after_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    ticket = access.ticket_for(TOKEN)
    later = access.time.monotonic() + access.TICKET_S + 1
    monkeypatch.setattr(access.time, "monotonic", lambda: later)
    assert ticket is not None and not access.redeem(ticket)


def test_guessing_is_slowed_down(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(access.TRIES_A_MINUTE):
        assert access.ticket_for("a guess") is None
    assert access.ticket_for(TOKEN) is None, "also the right one waits"
    later = access.time.monotonic() + 61
    monkeypatch.setattr(access.time, "monotonic", lambda: later)
    assert access.ticket_for(TOKEN) is not None


def test_a_token_that_can_be_guessed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCORD_TOKEN", "short")
    access.token.cache_clear()
    with pytest.raises(SystemExit, match="fewer than 16"):
        access.token()


def test_one_is_made_and_printed_where_none_was_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CONCORD_TOKEN")
    made = access.token()
    assert len(made) >= 32 and made in capsys.readouterr().err
    assert access.token() == made and capsys.readouterr().err == ""


def test_every_route_asks_for_the_cookie() -> None:
    for route in routes.ROUTES:
        if route.path == access.ENTER:
            continue
        assert asyncio.run(ask(f"{route.path}?ws=/nowhere&clip=x&path=/x")).status == 401, route.path
        known = asyncio.run(
            ask(f"{route.path}?ws=/nowhere&clip=x&path=/x", cookie=f"{access.COOKIE}={access.cookie_value()}")
        )
        assert known.status in (403, 404), route.path


def test_a_ticket_sets_a_cookie_that_scripts_and_other_sites_do_not_get() -> None:
    ticket = access.ticket_for(TOKEN)
    answer = asyncio.run(ask(f"{access.ENTER}?ticket={ticket}"))
    cookie = answer.headers["set-cookie"].lower()
    assert answer.status == 303 and answer.headers["location"] == "/"
    assert "httponly" in cookie and "samesite=strict" in cookie and access.cookie_value() in cookie
    assert TOKEN not in cookie
    assert asyncio.run(ask(f"{access.ENTER}?ticket={ticket}")).status == 403
    elsewhere = asyncio.run(ask(f"{access.ENTER}?ticket=x", sec_fetch_site="cross-site"))
    assert elsewhere.status == 403


def test_the_pages_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    from streamlit.testing.v1 import AppTest

    app = AppTest.from_file(str(routes.__file__).replace("routes.py", "main.py"), default_timeout=60).run()
    assert [element.label for element in app.text_input] == ["Token"] and not app.sidebar.children
    app.text_input[0].set_value("a guess")
    app.button[0].click().run()
    assert "not the token" in app.error[0].value
    app.text_input[0].set_value(TOKEN)
    app.button[0].click().run()
    assert not app.error and not app.exception


def test_blanks_around_a_token_that_was_set_are_none_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCORD_TOKEN", f" {TOKEN}\n")  # as it comes out of a file
    access.token.cache_clear()
    assert access.ticket_for(TOKEN) is not None
