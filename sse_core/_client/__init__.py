"""The clients: one conversation, and the two shells that run it."""
