"""Redirects without sockets: rules C17 to C22 of docs/maintainers/client_model.md."""

from __future__ import annotations

import pickle

import pytest

from sse_core._errors import TooManyRedirects
from sse_core._http.messages import Headers, Request, Response
from sse_core._http.redirects import MAX_REDIRECTS, Redirects

SECRETS = {
    "Authorization": "s",
    "Cookie": "s",
    "Proxy-Authorization": "s",
    "X-Api-Key": "s",
    "X-Trace": "s",
    "User-Agent": "agent",
    "Accept-Language": "ja",
}


def response(status: int, location: str | bytes | None) -> Response:
    if location is None:
        return Response(status)
    value = location.encode() if isinstance(location, str) else location
    return Response(status, Headers([(b"Location", value)]))


def sent(request: Request) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in request.headers}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("http://other/x", "http://other/x"),
        ("/x", "http://h/x"),
        ("x", "http://h/a/x"),
        ("../x", "http://h/x"),
        ("?q", "http://h/a/b?q"),
        ("//other/x", "http://other/x"),
        ("http://h:80/x", "http://h/x"),
        ("https://h/x", "https://h/x"),
        ("/é", "http://h/%C3%A9"),
        (" /x\t", "http://h/x"),
        ("http://h/x#fragment", "http://h/x"),
    ],
)
def test_location(status: int, location: str, expected: str) -> None:
    """Location is resolved against the URL that sent it (C17, H46, H47)."""
    redirects = Redirects(Request("http://h/a/b?c"))

    assert redirects.follow(response(status, location))
    assert expected == str(redirects.request.url)


@pytest.mark.parametrize(
    "location",
    [
        "",
        " ",
        None,
        "ftp://h/x",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://a@b/",
        "http://a%2Fb/",
        "http://a\\@b/",
        "\\\\h/x",
        "http://h/a b",
        "http://[::1",
        "http://h:99999/",
        "http:///x",
    ],
)
def test_location_that_is_not_followed(location: str | None) -> None:
    """No usable URL, no redirect (C8, C20, F34, F35, H48, H66)."""
    redirects = Redirects(Request("http://h/a"))

    assert not redirects.follow(response(302, location))
    assert "http://h/a" == str(redirects.request.url)


@pytest.mark.parametrize("status", [200, 204, 300, 304, 305, 306, 401, 500])
def test_other_statuses(status: int) -> None:
    """A Location alone is no redirect (H15)."""
    assert not Redirects(Request("http://h/")).follow(response(status, "/x"))


def test_limit() -> None:
    """Twenty are followed, the next one is an error of its own (C17, H49, H50)."""
    redirects = Redirects(Request("http://h/"))
    for number in range(MAX_REDIRECTS):
        assert redirects.follow(response(302, f"/{number % 2}"))

    with pytest.raises(TooManyRedirects, match="more than 20"):
        redirects.follow(response(302, "/x"))


@pytest.mark.parametrize(
    ("method", "status", "expected"),
    [
        ("POST", 301, "GET"),
        ("POST", 302, "GET"),
        ("POST", 303, "GET"),
        ("POST", 307, "POST"),
        ("POST", 308, "POST"),
        ("REPORT", 301, "REPORT"),
        ("REPORT", 302, "REPORT"),
        ("REPORT", 303, "GET"),
        ("HEAD", 303, "HEAD"),
        ("GET", 303, "GET"),
    ],
)
def test_method_and_body(method: str, status: int, expected: str) -> None:
    """As in Fetch; what becomes GET loses its body and what was said of it (C18, H61 to H63)."""
    headers = {"Content-Language": "ja", "X-Own": "1"}
    redirects = Redirects(Request("http://h/", method, headers=headers, json={"a": 1}))

    assert redirects.follow(response(status, "/x"))
    request = redirects.request
    assert expected == request.method
    kept = method == expected
    assert (b'{"a": 1}' if kept else b"") == request.body
    assert kept == ("content-type" in sent(request))
    assert kept == ("content-language" in sent(request))
    assert ("8" if kept else None) == sent(request).get("content-length")
    assert "1" == sent(request)["x-own"]


@pytest.mark.parametrize("location", ["http://other/", "http://h:81/", "https://h/"])
def test_headers_stay_behind_when_the_origin_changes(location: str) -> None:
    """Every header of the caller but the harmless ones (C19, H55)."""
    redirects = Redirects(Request("http://h/", headers=SECRETS))

    assert redirects.follow(response(302, location))
    fields = sent(redirects.request)
    assert "s" not in fields.values()
    assert ("agent", "ja") == (fields["user-agent"], fields["accept-language"])
    assert "text/event-stream" == fields["accept"]


@pytest.mark.parametrize("location", ["/x", "http://h:80/x", "HTTP://H/x"])
def test_headers_go_along_on_the_same_origin(location: str) -> None:
    """The default port is the same origin (H56, H57)."""
    redirects = Redirects(Request("http://h/", headers=SECRETS))

    assert redirects.follow(response(302, location))
    assert {name.lower(): value for name, value in SECRETS.items()}.items() <= sent(
        redirects.request
    ).items()


def test_headers_do_not_come_back() -> None:
    """Away and back to the first origin: still without them (H58)."""
    redirects = Redirects(Request("http://h/", headers=SECRETS))

    assert redirects.follow(response(302, "http://other/"))
    assert redirects.follow(response(302, "http://h/"))
    assert "s" not in sent(redirects.request).values()


@pytest.mark.parametrize("status", [307, 308])
def test_body_never_crosses_an_origin(status: int) -> None:
    """Such a redirect is not followed (C19, H55)."""
    redirects = Redirects(Request("http://h/", content=b"secret"))

    assert not redirects.follow(response(status, "http://other/"))


def test_https_to_http() -> None:
    """Refused, unless it is asked for (C20, H60)."""
    secure = Request("https://h/")

    assert not Redirects(secure).follow(response(302, "http://h/"))
    assert Redirects(secure, allow_http=True).follow(response(302, "http://h/"))
    assert Redirects(secure).follow(response(302, "https://other/"))


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        ([(302, "/b")], "http://h/"),
        ([(303, "/b")], "http://h/"),
        ([(307, "/b")], "http://h/"),
        ([(301, "/b")], "http://h/b"),
        ([(308, "/b")], "http://h/b"),
        ([(301, "/b"), (302, "/c")], "http://h/b"),
        ([(302, "/b"), (301, "/c")], "http://h/"),
        ([(301, "/b"), (308, "/c")], "http://h/c"),
    ],
)
def test_remembered(chain: list[tuple[int, str]], expected: str) -> None:
    """Only the permanent redirects at the beginning of a chain count (C21, H51 to H54)."""
    redirects = Redirects(Request("http://h/"))

    for status, location in chain:
        assert redirects.follow(response(status, location))
    assert expected == str(redirects.remembered.url)


def test_remembered_without_what_stayed_behind() -> None:
    """A remembered URL of another origin is asked without the headers (C22, H59)."""
    redirects = Redirects(Request("http://h/", headers=SECRETS))

    assert redirects.follow(response(308, "http://other/"))
    assert "s" not in sent(redirects.remembered).values()


def test_remembered_with_its_method() -> None:
    """A 301 that made a GET of a POST is not remembered (5.8)."""
    redirects = Redirects(Request("http://h/", content=b"x"))

    assert redirects.follow(response(301, "/b"))
    assert ("GET", "POST") == (redirects.request.method, redirects.remembered.method)
    assert "http://h/" == str(redirects.remembered.url)


def test_error_survives_pickling() -> None:
    """With its limit."""
    error = pickle.loads(pickle.dumps(TooManyRedirects(20)))

    assert (TooManyRedirects, 20) == (type(error), error.limit)
