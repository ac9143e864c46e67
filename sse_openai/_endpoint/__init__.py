"""Requests to an endpoint: arguments, retries, one conversation, the async client."""
