"""Who may come in: a server bound to this machine alone lets its user in; any other asks for a token first.

The token is `CONCORD_TOKEN`, or made at the start and printed where the server was started. Someone who types it gets a
ticket that one browser may exchange for a cookie within a minute; pages and media routes ask for that cookie. What the
cookie holds is made from the token and cannot be turned back into it.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import secrets
import sys
import threading
import time
from functools import lru_cache

import streamlit as st

COOKIE = "concord_access"
COOKIE_S = 30 * 24 * 3600
TICKET_S = 60.0
TICKETS_MAX = 1_000
TOKEN_LENGTH_MIN = 16
TRIES_A_MINUTE = 20
ENTER = "/concord/enter"

_lock = threading.Lock()
_tickets: dict[str, float] = {}
_wrong: list[float] = []


def required() -> bool:
    """True where a token is asked for: the server is reached from elsewhere, or a token was set."""
    return bool(os.environ.get("CONCORD_TOKEN")) or not _is_loopback(st.config.get_option("server.address"))


def is_known(cookie: str | None) -> bool:
    """True for the cookie of someone who has given the token, and wherever none is asked for."""
    return not required() or hmac.compare_digest(str(cookie or "").encode(), cookie_value().encode())


def cookie_value() -> str:
    """What the cookie holds: a keyed hash, so that whoever reads it does not learn the token."""
    return hmac.new(token().encode(), b"concord access", hashlib.sha256).hexdigest()


@lru_cache(maxsize=1)
def token() -> str:
    """The token of this server; one that is made is printed once. Raises `SystemExit` for one that can be guessed."""
    given = os.environ.get("CONCORD_TOKEN", "").strip()  # as what is typed is
    if given:
        if len(given) < TOKEN_LENGTH_MIN:
            sys.exit(f"CONCORD_TOKEN has fewer than {TOKEN_LENGTH_MIN} characters: take a longer one.")
        return given
    made = secrets.token_urlsafe(24)
    print(f"Concord asks for this token, as it is reached from other machines: {made}", file=sys.stderr, flush=True)
    return made


def ticket_for(text: str) -> str | None:
    """A ticket for someone who typed the token; None for a wrong one, and after too many wrong ones in a minute."""
    now = time.monotonic()
    with _lock:
        _wrong[:] = [at for at in _wrong if now - at < 60][-TRIES_A_MINUTE:]
        if len(_wrong) >= TRIES_A_MINUTE:
            return None
        if not hmac.compare_digest(text.strip().encode(), token().encode()):
            _wrong.append(now)
            return None
        for old in [ticket for ticket, end in _tickets.items() if end < now]:
            del _tickets[old]
        if len(_tickets) >= TICKETS_MAX:
            return None
        ticket = secrets.token_urlsafe(24)
        _tickets[ticket] = now + TICKET_S
        return ticket


def redeem(ticket: str) -> bool:
    """True once for a ticket that is not older than a minute."""
    with _lock:
        return _tickets.pop(ticket, 0.0) >= time.monotonic()


def require() -> None:
    """Draws the door and stops the page where the visitor has not given the token."""
    if not required() or is_known(st.context.cookies.get(COOKIE)):
        return
    st.title("Concord")
    with st.container(border=True, width=520):
        st.text("This server is reached from other machines, so it asks for its token.")
        with st.form("access", border=False):
            given = st.text_input("Token", type="password", max_chars=500, autocomplete="off")
            asked = st.form_submit_button("Go on", type="primary")
        st.caption("It was printed where the server was started, or is the one that was set as CONCORD_TOKEN.")
        if asked:
            ticket = ticket_for(given)
            if ticket is None:
                st.error("This is not the token. After 20 wrong ones wait a minute.", icon=":material/lock:")
            else:
                st.link_button("Enter", f"{ENTER}?ticket={ticket}", type="primary", icon=":material/login:")
    st.stop()


def _is_loopback(address: str | None) -> bool:
    if address == "localhost":
        return True
    try:
        return bool(address) and ipaddress.ip_address(str(address)).is_loopback
    except ValueError:
        return False
