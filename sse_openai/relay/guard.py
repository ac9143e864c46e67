"""A request's head and body -> what the relay does, or the error that it answers.

No I/O. ``Guard.admit`` checks everything in the head before a byte of the body is read: the
host, the path, the origin, the method, the caller, and the type and length of the body.
``Guard.read_body`` checks the contents of the body.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Literal, TypeAlias

from .._refusal import Fields, Refusal

Action: TypeAlias = Literal[
    "page", "description", "models", "chat/completions", "responses", "resume", "stop", "preflight"
]

# The paths and their methods. No path needs an escape, so escapes are not decoded.
_ROUTES: Final[dict[str, dict[str, Action]]] = {
    "/": {"GET": "page", "HEAD": "page"},
    "/openapi.json": {"GET": "description", "HEAD": "description"},
    "/v1/models": {"GET": "models"},
    "/v1/chat/completions": {"POST": "chat/completions"},
    "/v1/responses": {"POST": "responses"},
}
_STREAM: Final[dict[str, Action]] = {"GET": "resume", "DELETE": "stop"}
STREAM_ID: Final = "[A-Za-z0-9_-]{1,64}"
_STREAM_PATH: Final = re.compile(f"/v1/streams/({STREAM_ID})")
_OPEN: Final = ("page", "description")

_HOST: Final = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::[0-9]{1,5})?")
_NUMBER: Final = re.compile(rb"[0-9]{1,15}")
_SECONDS: Final = re.compile(rb"[0-9]{1,9}(\.[0-9]{1,9})?")

EXPOSED: Final = (
    b"X-Stream-Id, X-Request-Id, Retry-After, Retry-After-Ms, OpenAI-Processing-Ms, "
    b"X-RateLimit-Limit-Requests, X-RateLimit-Limit-Tokens, X-RateLimit-Remaining-Requests, "
    b"X-RateLimit-Remaining-Tokens, X-RateLimit-Reset-Requests, X-RateLimit-Reset-Tokens"
)
"""The response headers that a page of another origin may read."""

_ALLOWED_HEADERS: Final = (
    b"Authorization, Content-Type, Last-Event-ID, X-Stream-Keep, Idempotency-Key, OpenAI-Beta, "
    b"X-Client-Request-Id"
)

RETRY_SOON: Final = ((b"retry-after", b"1"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """The permissions of a request."""

    action: Action
    caller: str
    """Identifies the caller: derived from its token, or else its address."""
    owner: str
    """Identifies the owner of streams: derived from the token; empty without tokens."""
    stream_id: str = ""
    after: int = 0
    """The number of frames that the caller has."""
    keep: float = 0.0
    """Seconds for which the API is read on without a reader."""


class Guard:
    """Decides who may request what; see ``Relay`` for the arguments."""

    def __init__(
        self,
        models: Iterable[str] | None,
        tokens: Iterable[str],
        origins: Iterable[str],
        hosts: Iterable[str] | None,
        max_body: int,
        max_concurrent: int,
        max_keep: float,
    ) -> None:
        given = {"models": models, "tokens": tokens, "origins": origins, "hosts": hosts}
        for name, value in given.items():
            if isinstance(value, str):
                raise TypeError(f"{name}: expected several, got one str")
        self.models = None if models is None else tuple(models)
        self._tokens = [sha256(token.encode()).digest() for token in tokens]
        self._origins = {origin.encode().lower() for origin in origins}
        self._hosts = (
            None if hosts is None else {host.strip("[]").encode().lower() for host in hosts}
        )
        self._max_body = max_body
        self._max_concurrent = max_concurrent
        self._max_keep = max_keep
        self._active: Counter[str] = Counter()

    def admit(self, scope: Mapping[str, Any]) -> Admission:
        """Return what to do for a request, by its head; raise Refusal if it is not allowed."""
        headers = _Fields(scope["headers"])
        host = self._check_host(headers)
        self._check_origin(headers, host)
        path = _path(scope)
        stream = _STREAM_PATH.fullmatch(path)
        actions = _STREAM if stream else _ROUTES.get(path)
        if actions is None:
            raise Refusal("There is nothing at this path.", status=404, code="unknown_url")
        method: str = scope["method"]
        client = scope.get("client")
        caller, owner = f"address {client[0] if client else ''}", ""
        if method == "OPTIONS" and headers.get(b"origin"):
            return Admission(action="preflight", caller=caller, owner=owner)
        if method not in actions:
            raise Refusal(
                f"Not allowed: {method[:20]}.",
                status=405,
                code="method_not_supported",
                headers=((b"allow", ", ".join(actions).encode()),),
            )
        action = actions[method]
        if self._tokens and action not in _OPEN:
            caller = owner = self._authenticate(headers)
        if method == "POST":
            self._check_content(headers)
        return Admission(
            action=action,
            caller=caller,
            owner=owner,
            stream_id=stream[1] if stream else "",
            after=_last_event_id(headers),
            keep=min(_keep(headers), self._max_keep),
        )

    @contextmanager
    def slot(self, caller: str) -> Iterator[None]:
        """Count a request of the caller while it is being answered, up to the limit."""
        if self._active[caller] >= self._max_concurrent:
            raise Refusal(
                f"More than {self._max_concurrent} requests at a time.",
                status=429,
                code="too_many_concurrent_requests",
                type="requests",
                headers=RETRY_SOON,
            )
        self._active[caller] += 1
        try:
            yield
        finally:
            self._active[caller] -= 1
            if not self._active[caller]:
                del self._active[caller]

    def read_body(self, body: bytes) -> dict[str, Any]:
        """Return the fields of a request's body, if the relay passes on such a request."""
        try:
            fields = json.loads(body)
            # Infinite numbers can be read, but not written again.
            json.dumps(fields, allow_nan=False)
        except (ValueError, RecursionError):
            raise Refusal("The body is not JSON that can be relayed.") from None
        if not isinstance(fields, dict):
            raise Refusal("The body must be a JSON object.")
        model = fields.get("model")
        if not isinstance(model, str) or not model:
            raise Refusal("You must provide a model parameter.", param="model")
        if self.models is not None and model not in self.models:
            raise Refusal(
                "The model does not exist or you do not have access to it.",
                status=404,
                code="model_not_found",
                param="model",
            )
        return fields

    def check_length(self, length: int) -> None:
        """Refuse a body over the limit, as soon as its length is known."""
        if length > self._max_body:
            raise Refusal(f"The request body is longer than {self._max_body} bytes.", status=413)

    def cors(self, scope: Mapping[str, Any]) -> Fields:
        """Return the header fields that let a page of an allowed origin read the answer."""
        if not self._origins:
            return ()
        vary = (b"vary", b"Origin")
        origin = b", ".join(_Fields(scope["headers"]).get_all(b"origin"))
        if origin.lower() not in self._origins:
            return (vary,)
        return (
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", EXPOSED),
            vary,
        )

    def preflight(self, scope: Mapping[str, Any]) -> Fields:
        """Return the further header fields of the answer to a preflight request."""
        if len(self.cors(scope)) < 2:
            return ()
        return (
            (b"access-control-allow-methods", b"GET, POST, DELETE"),
            (b"access-control-allow-headers", _ALLOWED_HEADERS),
            (b"access-control-max-age", b"600"),
        )

    def _check_host(self, headers: _Fields) -> bytes:
        # After DNS rebinding, a page still sends its own name as the host.
        given = headers.get_all(b"host")
        host = _HOST.fullmatch(given[0]) if len(given) == 1 else None
        if host is None or not self._is_allowed(host[1].lower().strip(b"[]")):
            raise Refusal("This host is not served here.", status=421, code="host_not_allowed")
        return given[0].lower()

    def _is_allowed(self, host: bytes) -> bool:
        if self._hosts is not None:
            return host in self._hosts or b"*" in self._hosts
        if host == b"localhost":
            return True
        try:
            return ipaddress.ip_address(host.decode()).is_loopback
        except ValueError:
            return False

    def _check_origin(self, headers: _Fields, host: bytes) -> None:
        for origin in headers.get_all(b"origin"):
            given = origin.lower()
            # If a proxy terminates TLS, the scheme here is not the scheme of the page.
            if given not in (b"http://" + host, b"https://" + host) and given not in self._origins:
                raise Refusal("This origin is not allowed.", status=403, code="origin_not_allowed")

    def _authenticate(self, headers: _Fields) -> str:
        scheme, _, token = headers.get(b"authorization").partition(b" ")
        given = sha256(token.strip()).digest()
        # Compare all digests, so that the time taken reveals nothing.
        known = [hmac.compare_digest(given, digest) for digest in self._tokens]
        if scheme.lower() != b"bearer" or not any(known):
            raise Refusal(
                "The Authorization header must carry a token of this relay: Bearer …",
                status=401,
                code="invalid_api_key",
                headers=((b"www-authenticate", b"Bearer"),),
            )
        return given.hex()

    def _check_content(self, headers: _Fields) -> None:
        # A form on another site can send a body without a preflight, but not of this type.
        content_type = headers.get(b"content-type").partition(b";")[0].strip().lower()
        if content_type != b"application/json":
            raise Refusal("The body must be application/json.", status=415)
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise Refusal("The body must not be compressed.", status=415)
        declared = headers.get(b"content-length", b"0")
        self.check_length(int(declared) if _NUMBER.fullmatch(declared) else self._max_body + 1)


class _Fields:
    """The header fields of a scope. ``get`` refuses a name that appears twice."""

    def __init__(self, fields: Iterable[tuple[bytes, bytes]]) -> None:
        self._fields = [(bytes(name).lower(), bytes(value).strip()) for name, value in fields]

    def get_all(self, name: bytes) -> list[bytes]:
        return [value for given, value in self._fields if given == name]

    def get(self, name: bytes, default: bytes = b"") -> bytes:
        values = self.get_all(name)
        if len(values) > 1:
            raise Refusal(f"More than one {name.decode()} header.")
        return values[0] if values else default


def _path(scope: Mapping[str, Any]) -> str:
    """Return the path below the root; empty, which is nowhere, if it was sent encoded."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    path = path.removeprefix(root) if path.startswith(root + "/") else path
    # A server decodes the path; a proxy might have read the encoded form differently.
    raw = scope.get("raw_path")
    given = path.encode(errors="replace")
    return path if raw is None or bytes(raw).partition(b"?")[0].endswith(given) else ""


def _last_event_id(headers: _Fields) -> int:
    value = headers.get(b"last-event-id", b"0") or b"0"
    if not _NUMBER.fullmatch(value):
        raise Refusal("Last-Event-ID must be the number of a frame.", code="invalid_id")
    return int(value)


def _keep(headers: _Fields) -> float:
    value = headers.get(b"x-stream-keep", b"0")
    if not _SECONDS.fullmatch(value):
        raise Refusal("X-Stream-Keep must be a number of seconds.")
    return float(value)
