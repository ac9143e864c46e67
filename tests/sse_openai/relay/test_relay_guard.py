"""Who may ask a relay what: every guard, from outside, without a socket."""

from __future__ import annotations

import json
import string
from base64 import b64encode
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sse_openai._refusal import Refusal
from sse_openai.relay.guard import Admission, Guard
from sse_openai.relay.pages import Page

JSON = ("content-type", "application/json")
CHAT = "/v1/chat/completions"


def guard(**options: Any) -> Guard:
    defaults: dict[str, Any] = {
        "models": None,
        "tokens": (),
        "origins": (),
        "hosts": None,
        "max_body": 100,
        "max_concurrent": 1,
        "max_keep": 60.0,
    }
    return Guard(**defaults | options)


def scope(
    method: str = "POST",
    path: str = CHAT,
    *headers: tuple[str, str],
    host: str | None = "127.0.0.1:8080",
    **more: Any,
) -> dict[str, Any]:
    given = [*headers, *([] if host is None else [("host", host)])]
    if method == "POST" and not any(name == "content-type" for name, _ in headers):
        given.append(JSON)
    fields = [(name.encode(), value.encode()) for name, value in given]
    return {"method": method, "path": path, "headers": fields, "client": ("10.0.0.1", 5)} | more


def status(guard: Guard, scope: dict[str, Any]) -> int:
    """Return 200 for what is admitted, and the status of what is refused."""
    try:
        guard.admit(scope)
    except Refusal as exc:
        refusal = exc
    else:
        return 200
    assert {"message", "type", "param", "code"} == refusal.body["error"].keys()
    return refusal.status


@pytest.mark.parametrize(
    ("method", "path", "action"),
    [
        ("GET", "/", "page"),
        ("HEAD", "/", "page"),
        ("GET", "/openapi.json", "description"),
        ("GET", "/v1/models", "models"),
        ("POST", CHAT, "chat/completions"),
        ("POST", "/v1/responses", "responses"),
        ("GET", "/v1/streams/a-B_9", "resume"),
        ("DELETE", "/v1/streams/a-B_9", "stop"),
    ],
)
def test_routes(method: str, path: str, action: str) -> None:
    """What there is; mounted below another path as well."""
    assert action == guard().admit(scope(method, path)).action
    mounted = scope(method, f"/relay{path}", root_path="/relay")
    assert action == guard().admit(mounted).action


@pytest.mark.parametrize(
    ("path", "raw_path"),
    [
        ("//evil.example/v1/chat/completions", None),
        ("http://evil.example/v1/chat/completions", None),
        ("/v1/../v1/chat/completions", None),
        ("/v1/chat/completions/", None),
        ("/v1//chat/completions", None),
        ("/V1/chat/completions", None),
        ("/v1/chat/completions", b"/v1/chat%2Fcompletions"),
        ("/v1/chat/completions", b"/v1/chat/completion%73"),
        ("/v1/chat/completions\x00", None),
        ("/v1/streams/", None),
        ("/v1/streams/..", None),
        ("/v1/streams/a/b", None),
        ("/v1/streams/a\n", None),
        ("/v1/streams/" + "a" * 65, None),
        ("/v1/files", None),
        ("\ud800", None),
        ("", None),
    ],
)
def test_paths_that_are_none(path: str, raw_path: bytes | None) -> None:
    """Every path is compared whole, so that no trick makes another of it."""
    asked = scope("POST", path) if raw_path is None else scope("POST", path, raw_path=raw_path)

    assert 404 == status(guard(), asked)


def test_a_raw_path_with_a_query() -> None:
    """Some servers leave it there."""
    asked = scope(raw_path=CHAT.encode() + b"?api-version=1")

    assert 200 == status(guard(), asked)


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS", "TRACE", "X" * 1000])
def test_methods(method: str) -> None:
    """405 says what is allowed."""
    with pytest.raises(Refusal) as caught:
        guard().admit(scope(method))

    assert 405 == caught.value.status
    assert ((b"allow", b"POST"),) == caught.value.headers


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.9.9.9:80", "[::1]:8080", "[::1]"]
)
def test_loopback_hosts(host: str) -> None:
    """They are what is served unless told otherwise."""
    assert 200 == status(guard(), scope(host=host))


@pytest.mark.parametrize("path", ["/", CHAT, "/openapi.json", "/v1/models", "/nothing"])
@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "evil.example",
        "localhost.evil.example",
        "localhost:80:80",
        "localhost@evil.example",
        "127.0.0.1.evil.example",
        "192.168.0.1",
        "[::2]",
        "[::1]evil",
        "localhost, evil.example",
        "localhost/",
        "2130706433",
        "127.0.0.1:",
    ],
)
def test_hosts_of_others(path: str, host: str | None) -> None:
    """A page whose name was rebound to this address gets nothing, wherever it asks."""
    assert 421 == status(guard(), scope("GET", path, host=host))


def test_two_hosts() -> None:
    """Two readers might take two."""
    assert 421 == status(guard(), scope("POST", CHAT, ("host", "localhost")))


def test_configured_hosts() -> None:
    """They take the place of the loopback's."""
    configured = guard(hosts=["Relay.example", "[2001:db8::1]"])

    assert 200 == status(configured, scope(host="relay.example:443"))
    assert 200 == status(configured, scope(host="[2001:db8::1]:443"))
    assert 421 == status(configured, scope(host="localhost"))
    assert 200 == status(guard(hosts=["*"]), scope(host="anything.example"))


@pytest.mark.parametrize("path", ["/", CHAT, "/openapi.json", "/v1/models", "/nothing"])
@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "http://evil.example",
        "http://127.0.0.1",
        "http://127.0.0.1:8081",
        "http://127.0.0.1:80800",
        "http://127.0.0.1:8080.evil.example",
        "http://localhost:8080",
        "ftp://127.0.0.1:8080",
        "https://app.example.evil.example",
        "https://app.example:444",
        "https://sub.app.example",
    ],
)
def test_origins_of_others(path: str, origin: str) -> None:
    """Pages of others get nothing, wherever they ask."""
    allowed = guard(origins=["https://app.example"])

    assert 403 == status(allowed, scope("GET", path, ("origin", origin)))
    assert () == guard().cors(scope("GET", path, ("origin", origin)))
    assert ((b"vary", b"Origin"),) == allowed.cors(scope("GET", path, ("origin", origin)))
    assert () == allowed.preflight(scope("OPTIONS", path, ("origin", origin)))


def test_two_origins() -> None:
    """One that is allowed does not let another in."""
    allowed = guard(origins=["https://app.example"])
    asked = scope("POST", CHAT, ("origin", "https://app.example"), ("origin", "http://evil"))

    assert 403 == status(allowed, asked)
    assert ((b"vary", b"Origin"),) == allowed.cors(asked)


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8080", "https://127.0.0.1:8080"])
def test_its_own_page(origin: str) -> None:
    """It always may ask, also behind TLS of a proxy's."""
    assert 200 == status(guard(), scope("POST", CHAT, ("origin", origin)))


def test_a_page_of_an_allowed_origin() -> None:
    """It may ask, with a preflight before, and read the answer and its headers."""
    allowed = guard(origins=["https://app.example"], tokens=["t"])
    origin = ("origin", "https://app.example")
    preflight = scope("OPTIONS", CHAT, origin, ("access-control-request-method", "POST"))

    assert "preflight" == allowed.admit(preflight).action
    headers = dict(allowed.preflight(preflight))
    assert b"https://app.example" == dict(allowed.cors(preflight))[b"access-control-allow-origin"]
    assert b"X-Stream-Keep" in headers[b"access-control-allow-headers"]
    assert (
        b"X-Stream-Id"
        in dict(allowed.cors(scope("POST", CHAT, origin)))[b"access-control-expose-headers"]
    )
    assert b"access-control-allow-credentials" not in [*headers, *dict(allowed.cors(preflight))]


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic right", "right", "Bearer right2",
     "Bearer Right", "Bearer right, Bearer right"],
)  # fmt: skip
def test_tokens(authorization: str | None) -> None:
    """Whoever brings none of them gets 401, and no word of which."""
    headers = [] if authorization is None else [("authorization", authorization)]
    with pytest.raises(Refusal) as caught:
        guard(tokens=["right", "other"]).admit(scope("POST", CHAT, *headers))

    assert 401 == caught.value.status
    assert "right" not in str(caught.value.body) + str(caught.value)


@pytest.mark.parametrize("path", ["/v1/models", "/v1/streams/a"])
def test_what_needs_a_token(path: str) -> None:
    """All but page and description."""
    tokens = guard(tokens=["right"])

    assert 401 == status(tokens, scope("GET", path))
    assert 200 == status(tokens, scope("GET", "/"))
    assert 200 == status(tokens, scope("GET", "/openapi.json"))


def test_callers() -> None:
    """They are known by their token, or else by their address; neither says the token."""
    tokens = guard(tokens=["right", "other"])
    admissions = [
        tokens.admit(scope("POST", CHAT, ("authorization", f"bearer {token}")))
        for token in ("right", "other")
    ]
    plain = guard().admit(scope())
    unknown = guard().admit(scope(client=None))

    assert 2 == len({admission.owner for admission in admissions})
    assert all(admission.caller == admission.owner for admission in admissions)
    assert "right" not in repr(admissions) + repr(vars(tokens))
    assert ("address 10.0.0.1", "") == (plain.caller, plain.owner)
    assert "address " == unknown.caller


@pytest.mark.parametrize(
    "headers",
    [
        [("content-type", "text/plain")],
        [("content-type", "application/x-www-form-urlencoded")],
        [("content-type", "multipart/form-data; application/json")],
        [("content-type", "")],
        [JSON, ("content-encoding", "gzip")],
    ],
)
def test_content_types(headers: list[tuple[str, str]]) -> None:
    """What a form of another site could send is not read."""
    assert 415 == status(guard(), scope("POST", CHAT, *headers))


@pytest.mark.parametrize("length", ["101", "9" * 400, "-1", "1_0", "x", "+1"])
def test_content_lengths(length: str) -> None:
    """What is too long is not read; nor what nobody knows the length of."""
    assert 413 == status(guard(), scope("POST", CHAT, ("content-length", length)))
    assert 200 == status(guard(), scope("POST", CHAT, ("content-length", "100")))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("x-stream-keep", ["-1", "x", "nan", "inf", "1e9", "1" * 20, ""]),
        ("last-event-id", ["-1", "x", "1.5", "1" * 16, "1 2"]),
    ],
)
def test_numbers_that_are_none(name: str, values: list[str]) -> None:
    """They are refused, and two of them as well."""
    for value in values:
        assert 400 == status(guard(), scope("POST", CHAT, (name, value)))
    assert 400 == status(guard(), scope("POST", CHAT, (name, "1"), (name, "2")))


def test_numbers() -> None:
    """How long to go on is bounded; without a header both are 0."""
    asked = scope("POST", CHAT, ("x-stream-keep", "1.5"), ("last-event-id", "7"))
    bounded = guard().admit(scope("POST", CHAT, ("x-stream-keep", "61"), ("last-event-id", "")))
    absent = guard().admit(scope())

    assert (1.5, 7) == _numbers(guard().admit(asked))
    assert (60.0, 0) == _numbers(bounded)
    assert (0.0, 0) == _numbers(absent)


def _numbers(admission: Admission) -> tuple[float, int]:
    return admission.keep, admission.after


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b'"m"', b"1", b"null", b"{}", b'{"model": 1}', b'{"model": null}',
        b'{"model": ""}', b'{"model": ["m"]}', b"\xff", b'{"model": "m", "n": NaN}',
        b'{"model": "m", "n": 1e999}', b'{"model": "m", "n": ' + b"9" * 5000 + b"}",
        b"[" * 100_000, b'{"model": "m"} x',
    ],
)  # fmt: skip
def test_bodies_that_are_none(body: bytes) -> None:
    """They get 400 in the API's shape."""
    with pytest.raises(Refusal) as caught:
        guard().read_body(body)

    assert 400 == caught.value.status


def test_models() -> None:
    """Another one gets what the API says of one that there is not."""
    allowed = guard(models=["a", "b"])

    assert {"model": "b", "n": 1} == allowed.read_body(b'{"model": "a", "model": "b", "n": 1}')
    with pytest.raises(Refusal) as caught:
        allowed.read_body(b'{"model": "A"}')
    assert 404 == caught.value.status
    assert "model_not_found" == caught.value.body["error"]["code"]


@pytest.mark.parametrize("name", ["models", "tokens", "origins", "hosts"])
def test_one_text_is_not_several(name: str) -> None:
    """A str is an iterable of str: each letter of it would be a token."""
    with pytest.raises(TypeError, match=name):
        guard(**{name: "text"})


WORDS = st.text(string.printable, max_size=20)


@given(
    st.sampled_from(["GET", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH"]),
    st.one_of(st.sampled_from(["/", CHAT, "/v1/streams/a"]), st.text(max_size=30)),
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    "host",
                    "origin",
                    "authorization",
                    "content-type",
                    "content-length",
                    "last-event-id",
                    "x-stream-keep",
                    "content-encoding",
                ]
            ),
            st.one_of(WORDS, st.sampled_from(["localhost", "application/json", "Bearer t", "1"])),
        ),
        max_size=6,
    ),
    st.one_of(st.none(), st.binary(max_size=30)),
)
def test_whatever_is_asked(
    method: str, path: str, headers: list[tuple[str, str]], raw_path: bytes | None
) -> None:
    """It is admitted or refused; nothing else is ever raised, and no refusal is a 5xx."""
    asked = scope(method, path, *headers, host=None, raw_path=raw_path)
    configured = guard(tokens=["t"], origins=["https://app.example"])

    assert status(configured, asked) < 500
    configured.cors(asked)
    configured.preflight(asked)


@given(st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)))
def test_whatever_a_body_is(body: bytes) -> None:
    """It is a request or refused."""
    try:
        fields = guard().read_body(body)
    except Refusal as exc:
        assert exc.status == 400  # noqa: PT017  # it may also be none
    else:
        json.dumps(fields)


def test_the_pages_policy() -> None:
    """The hash of each script and style; without any, none may run."""
    body = b"<style>a{}</style><script>1</script><SCRIPT type=module>2</SCRIPT>"
    rest = "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

    scripts, styles = f"{_hash('1')} {_hash('2')}", _hash("a{}")
    assert f"default-src 'none'; script-src {scripts}; style-src {styles}; {rest}" == _policy(body)
    assert f"default-src 'none'; script-src 'none'; style-src 'none'; {rest}" == _policy(b"<p>")


def _policy(body: bytes) -> str:
    return dict(Page.of(body).headers)[b"content-security-policy"].decode()


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
