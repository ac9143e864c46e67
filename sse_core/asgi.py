"""Types of ASGI 3, and tools for ASGI applications that stream."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from ._server.signals import ended_by_signals
from ._server.tasks import beside
from .lazy import publish

__all__ = ["ASGIApp", "Message", "Receive", "Scope", "Send", "beside", "ended_by_signals"]
Scope: TypeAlias = MutableMapping[str, Any]
"""The connection that the server calls an application for."""
Message: TypeAlias = MutableMapping[str, Any]
"""One event between server and application; its ``type`` says which."""
Receive: TypeAlias = Callable[[], Awaitable[Message]]
"""Wait for the next message from the server."""
Send: TypeAlias = Callable[[Message], Awaitable[None]]
"""Send a message to the server."""
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
"""An application."""

publish(globals())
