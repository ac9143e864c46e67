"""request, redirect response -> the next request, or none. No I/O.

The rules (C17 to C22 of docs/maintainers/client_model.md) are Fetch's, except for secrets.
When the origin changes, all of the caller's headers are dropped, not only the three that
HTTP knows to be secret, and a body is never sent along.
"""

from __future__ import annotations

import re
from urllib.parse import urljoin

from .._errors import TooManyRedirects
from .messages import URL, Request, Response

MAX_REDIRECTS = 20
"""Redirects followed for one attempt, as in Fetch."""

_STATUSES = frozenset([301, 302, 303, 307, 308])
_PERMANENT = frozenset([301, 308])

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")

# Fields that may go to another origin, because they hold no secrets.
_HARMLESS = frozenset([b"accept", b"accept-language", b"user-agent"])

# Made for each request.
_OURS = frozenset([b"host", b"content-length"])

# Fields that describe a body, and are dropped with it (Fetch, HTTP-redirect fetch).
_OF_THE_BODY = frozenset(
    [b"content-type", b"content-encoding", b"content-language", b"content-location"]
)


def is_redirect(response: Response) -> bool:
    """True if a response points elsewhere, usable or not."""
    return response.status in _STATUSES and "location" in response.headers


class Redirects:
    """The redirects of one attempt; ``allow_http`` permits those from https to http."""

    def __init__(self, request: Request, *, allow_http: bool = False) -> None:
        self.request = request
        """The request to send now."""
        self.remembered = request
        """The first request of the next attempt: it follows the permanent redirects at the
        beginning of the chain."""
        self._allow_http = allow_http
        self._followed = 0
        self._permanent = True

    def follow(self, response: Response) -> bool:
        """Take a response; return True if ``request`` is now the one to send next.

        Not followed: an unusable Location, from https to http, a body to another origin. The
        twenty-first redirect of an attempt raises TooManyRedirects.
        """
        if not is_redirect(response):
            return False
        request = self._redirected(response)
        if request is None:
            return False
        if self._followed == MAX_REDIRECTS:
            raise TooManyRedirects(MAX_REDIRECTS)
        self._followed += 1
        # A permanent redirect that changes the method is not remembered.
        same = request.method == self.request.method
        self._permanent = self._permanent and response.status in _PERMANENT and same
        self.request = request
        if self._permanent:
            self.remembered = request
        return True

    def _redirected(self, response: Response) -> Request | None:
        asked = self.request
        # Servers that send more than ASCII send UTF-8.
        location = response.headers.get_all("location")[-1].strip(" \t")
        location = location.encode("latin-1").decode("utf-8", "replace")
        if not location:
            return None
        if not _SCHEME.match(location):  # urljoin reads `http:///x` as a path
            location = urljoin(str(asked.url), location)
        try:
            url = URL.parse(location)
        except ValueError:
            return None
        if asked.url.scheme == "https" and url.scheme == "http" and not self._allow_http:
            return None
        method, body, left_behind = asked.method, asked.body, set(_OURS)
        if (response.status in (301, 302) and method == "POST") or (
            response.status == 303 and method not in ("GET", "HEAD")
        ):
            method, body = "GET", b""
            left_behind |= _OF_THE_BODY
        if url.origin != asked.url.origin:
            if body:
                return None
            left_behind |= {name for name, _ in asked.headers} - _HARMLESS
        headers = [
            (name.decode(), value) for name, value in asked.headers if name not in left_behind
        ]
        return Request(url, method, headers=headers, content=body or None)
