"""An OpenAI-compatible endpoint for tests, which needs no model and no network.

``MockOpenAI`` is an ASGI application that gives the answers of a script; ``MockServer``
serves one over HTTP from a thread, and pytest offers that as the fixture ``mock_openai``.
docs/testing.md shows how to use them, and describes scripts.
"""

from __future__ import annotations

from sse_core.lazy import publish

from .app import LoggedRequest, MockOpenAI
from .reply import Recording
from .script import Script, ScriptError
from .server import MockServer

__all__ = ["LoggedRequest", "MockOpenAI", "MockServer", "Recording", "Script", "ScriptError"]
publish(globals())
