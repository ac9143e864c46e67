"""Speed, correctness and memory of the parser, the clients and the servers beside their peers.

    python -m benchmarks parser --install    all workloads, after getting the peers
    python -m benchmarks parser --quick --workload chat --reads 16k --reads event
    python -m benchmarks parser --json results.json
    python -m benchmarks plot results.json docs/performance.svg
    python -m benchmarks client --install    clients over loopback, after getting the peers
    python -m benchmarks client --json client.json
    python -m benchmarks conformance         which rules each parser breaks
    python -m benchmarks memory              peak memory of ours for a large event

The peers bring some forty packages, one of which replaces urllib3. Install them into a
virtual environment of their own, and use another one for ``client``, because requests would
run on the replacement. JavaScript peers go to benchmarks/node/node_modules and need node and
npm; Go peers go to Go's own cache. A missing peer is named and left out.
"""
