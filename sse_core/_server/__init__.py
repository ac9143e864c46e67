"""The side that serves: responses, broadcasts, and a small ASGI host."""
