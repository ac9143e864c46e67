"""HTTP/1.1 as values and machines: messages, limits, the wire, the exchange. No I/O."""
