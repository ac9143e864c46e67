"""The relay in front of the mock, for the fuzzing of requests.

python -m tests.fuzz.requests --app tests.fuzz.relayed:relay
"""

from __future__ import annotations

import atexit

from sse_openai import Endpoint
from sse_openai.mock import MockOpenAI, MockServer
from sse_openai.relay import Relay


def relay() -> Relay:
    """Return a relay whose API is a mock in a thread of its own."""
    server = MockServer(MockOpenAI())
    server.__enter__()
    atexit.register(server.__exit__, None, None, None)
    return Relay(Endpoint(base_url=server.base_url, api_key=server.api_key), max_concurrent=1000)
