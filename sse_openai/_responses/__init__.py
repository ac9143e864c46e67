"""The Responses API: typed events, and the response they add up to."""
