"""The error with which the mock and the relay answer a request."""

from __future__ import annotations

from typing import TypeAlias

Fields: TypeAlias = tuple[tuple[bytes, bytes], ...]


class Refusal(Exception):
    """A request that is answered with an error, in the API's shape."""

    def __init__(
        self,
        message: str,
        param: str | None = None,
        *,
        status: int = 400,
        code: str | None = None,
        type: str = "invalid_request_error",
        headers: Fields = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers
        self.body = {"error": {"message": message, "type": type, "param": param, "code": code}}
