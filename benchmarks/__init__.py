"""How fast, how right and how frugal the parser and the clients are, next to their peers.

    python -m benchmarks parser --install    all workloads, after getting the peers
    python -m benchmarks parser --quick --workload chat --reads 16k --reads event
    python -m benchmarks parser --json results.json
    python -m benchmarks plot results.json docs/performance.svg
    python -m benchmarks client --install    clients over loopback, after getting the peers
    python -m benchmarks client --json client.json
    python -m benchmarks conformance         which rules each parser breaks
    python -m benchmarks memory              peak memory of ours for a large event

The peers bring some forty packages, one of which takes the place of urllib3: use a
virtual environment of their own, and another for ``client``, as requests would run on
what took that place. Those of JavaScript go to benchmarks/node/node_modules
and need node and npm, those of Go to its own cache. A peer that is missing is named and
left out.
"""
