"""uvicorn on a port of the system's choice, or on that of the server before it."""

from __future__ import annotations

from typing import Any

import uvicorn


def run(app: Any, port: int) -> None:
    """Serve ``app`` and print the port; 0 is any."""
    config = uvicorn.Config(
        app,
        port=port,
        http="h11",  # httptools answers HTTP/1.0 in chunks, as nginx asks by default
        log_level="warning",
        timeout_keep_alive=60,  # longer than any test takes
        timeout_graceful_shutdown=1,
    )
    listener = config.bind_socket()
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(config).run([listener])
