"""request, redirect response -> the next request, or none. No I/O.

The rules are C17 to C22 of docs/maintainers/client_model.md: Fetch's, but for secrets. When the
origin changes, every header that the caller gave is left behind, not only the three
that HTTP knows for secret; and a body never crosses.
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

# What may go to another origin; nothing of it is a secret.
_HARMLESS = frozenset([b"accept", b"accept-language", b"user-agent"])

# Made anew for each request.
_OURS = frozenset([b"host", b"content-length"])

# What says something of a body, and goes with it (Fetch, HTTP-redirect fetch).
_OF_THE_BODY = frozenset(
    [b"content-type", b"content-encoding", b"content-language", b"content-location"]
)


def is_redirect(response: Response) -> bool:
    """Whether a response points elsewhere, usable or not."""
    return response.status in _STATUSES and "location" in response.headers


class Redirects:
    """The redirects of one attempt.

    Args:
        request: what the attempt begins with.
        allow_http: follow a redirect from https to http, which is refused otherwise.
    """

    def __init__(self, request: Request, *, allow_http: bool = False) -> None:
        self.request = request
        """What to ask now."""
        self.remembered = request
        """What the next attempt begins with: behind the permanent redirects, if the first
        ones of the chain were."""
        self._allow_http = allow_http
        self._followed = 0
        self._permanent = True

    def follow(self, response: Response) -> bool:
        """Take a response; return whether ``request`` is now another one to ask.

        False for what is no redirect, or one that is not followed: a Location that is no
        usable URL, from https to http, or with a body to another origin.

        Raises:
            TooManyRedirects: the twenty-first of an attempt.
        """
        if not is_redirect(response):
            return False
        request = self._redirected(response)
        if request is None:
            return False
        if self._followed == MAX_REDIRECTS:
            raise TooManyRedirects(MAX_REDIRECTS)
        self._followed += 1
        # A permanent redirect that makes another method of the request is not repeated.
        same = request.method == self.request.method
        self._permanent = self._permanent and response.status in _PERMANENT and same
        self.request = request
        if self._permanent:
            self.remembered = request
        return True

    def _redirected(self, response: Response) -> Request | None:
        asked = self.request
        # As UTF-8, which is what servers send where they send more than ASCII.
        location = response.headers.get_all("location")[-1].strip(" \t")
        location = location.encode("latin-1").decode("utf-8", "replace")
        if not location:
            return None
        if not _SCHEME.match(location):  # urljoin takes `http:///x` for a path
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
