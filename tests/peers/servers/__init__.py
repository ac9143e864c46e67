"""Real servers and proxies, as programs and configurations; ``launch`` starts them."""
