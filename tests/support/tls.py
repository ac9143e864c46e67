"""A certificate authority for the tests, and contexts that trust it."""

from __future__ import annotations

import ssl

import trustme

AUTHORITY = trustme.CA()


def server_context(host: str = "127.0.0.1", authority: trustme.CA = AUTHORITY) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    return context


SERVER = server_context()


def trusting(authority: trustme.CA = AUTHORITY) -> ssl.SSLContext:
    """Return a client's context that trusts one authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


CLIENT = trusting()
