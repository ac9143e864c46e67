"""Chat completions: chunks, their meaning as events, and the completion they add up to."""
