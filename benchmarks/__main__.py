"""python -m benchmarks parser | client | chat | serve | conformance | memory | plot."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from . import (
    chat,
    chat_readers,
    client,
    client_peers,
    conformance,
    foreign,
    memory,
    peers,
    plot,
    serve,
)
from .measure import FULL, QUICK, measure
from .parsers import OURS
from .relay_overhead import measure_relay, report_relay
from .report import Cell, Run, machine, note
from .workloads import READS, WORKLOADS, build


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    command = commands.add_parser("parser", help="time our parser and its peers")
    command.add_argument("--workload", action="append", choices=WORKLOADS, metavar="NAME")
    command.add_argument("--reads", action="append", choices=READS, metavar="SIZE")
    command.add_argument("--parser", action="append", metavar="NAME", help="only these, and ours")
    command.add_argument("--repeats", type=int, help=f"rounds, {FULL.repeats} if not given")
    command.add_argument("--quick", action="store_true", help="few rounds, small time-outs")
    command.add_argument("--json", type=Path, metavar="FILE", help="save all samples")
    command.add_argument("--install", action="store_true", help="get the peers first")
    command.set_defaults(run=_parser)

    command = commands.add_parser("client", help="time our clients and their peers over loopback")
    command.add_argument("--quick", action="store_true", help="few rounds, few events")
    command.add_argument("--json", type=Path, metavar="FILE", help="save all samples")
    command.add_argument("--install", action="store_true", help="get the peers first")
    command.set_defaults(run=_client)

    command = commands.add_parser("chat", help="time the readers of chat streams")
    command.add_argument("--quick", action="store_true", help="few rounds, short streams")
    command.add_argument("--json", type=Path, metavar="FILE", help="save all samples")
    command.add_argument("--install", action="store_true", help="get the peers first")
    command.set_defaults(run=_chat)

    command = commands.add_parser("serve", help="time our broadcast and its peers under uvicorn")
    command.add_argument("--quick", action="store_true", help="few rounds, few subscribers")
    command.add_argument("--json", type=Path, metavar="FILE", help="save all samples")
    command.add_argument("--install", action="store_true", help="get the peers first")
    command.set_defaults(run=_serve)

    command = commands.add_parser("conformance", help="run the vectors through all parsers")
    command.add_argument("--vectors", type=Path, default=conformance.VECTORS, metavar="FILE")
    command.add_argument("--names", action="store_true", help="list the vectors each one breaks")
    command.add_argument("--install", action="store_true", help="get the peers first")
    command.set_defaults(run=_conformance)

    command = commands.add_parser("memory", help="peak memory of our parser for a large event")
    command.add_argument("--size", type=int, default=memory.SIZE, metavar="BYTES")
    command.set_defaults(run=_memory)

    command = commands.add_parser("plot", help="draw the results of `parser --json`")
    command.add_argument("results", type=Path)
    command.add_argument("picture", type=Path)
    command.set_defaults(run=_plot)

    options = parser.parse_args(arguments)
    if getattr(options, "install", False):
        _install(options)
    return int(options.run(options))


def _install(options: argparse.Namespace) -> None:
    own = {
        "client": client_peers.REQUIREMENTS,
        "chat": chat_readers.REQUIREMENTS,
        "serve": serve.REQUIREMENTS,
    }
    requirements = own.get(options.command, peers.REQUIREMENTS)
    subprocess.run([sys.executable, "-m", "pip", "install", *requirements], check=True)
    if options.command not in ("client", "serve"):
        foreign.install()


def _parser(options: argparse.Namespace) -> int:
    settings = QUICK if options.quick else FULL
    if options.repeats:
        settings = replace(settings, repeats=options.repeats)
    with foreign.running() as (foreign_parsers, foreign_left_out, languages):
        parsers, left_out = peers.installed()
        parsers += foreign_parsers
        if options.parser:
            parsers = [each for each in parsers if each.name in {OURS, *options.parser}]
        versions = {parser.name: parser.version for parser in parsers}
        run = Run(machine(), versions | languages, left_out + foreign_left_out, settings)
        print(run.head(), end="\n\n", flush=True)
        for name in options.workload or WORKLOADS:
            workload = WORKLOADS[name]
            for reads in options.reads or workload.reads:
                if reads not in workload.reads:
                    continue
                note(f"{name}, {reads}")
                chunks, events = build(workload, reads)
                results = measure(parsers, chunks, events, settings)
                size = sum(map(len, chunks))
                cell = Cell(name, workload.title, reads, len(events), size, results)
                run.cells.append(cell)
                print(cell.markdown(), end="\n\n", flush=True)
        print(run.summary())
    if options.json:
        run.save(options.json)
    return 0


def _client(options: argparse.Namespace) -> int:
    run = client.measure(client.QUICK if options.quick else client.FULL)
    print(run.markdown())
    if options.json:
        run.save(options.json)
    return 0


def _chat(options: argparse.Namespace) -> int:
    run = chat.measure(QUICK, scale=10) if options.quick else chat.measure()
    print(run.markdown())
    if options.json:
        run.save(options.json)
    return 0


def _serve(options: argparse.Namespace) -> int:
    run = serve.measure(serve.QUICK if options.quick else serve.FULL)
    overhead = measure_relay(frames=300, rounds=1) if options.quick else measure_relay()
    print(run.markdown())
    print(f"\n### The relay beside a byte pump\n\n{report_relay(overhead)}")
    if options.json:
        run.save(options.json)
    return 0


def _conformance(options: argparse.Namespace) -> int:
    with foreign.running() as (foreign_parsers, foreign_left_out, _):
        parsers, left_out = peers.installed()
        parsers += foreign_parsers
        vectors = conformance.load(options.vectors)
        scores = [conformance.score(parser, vectors) for parser in parsers]
    print(conformance.markdown(scores, vectors))
    if options.names:
        print(conformance.broken(scores))
    for reason in left_out + foreign_left_out:
        print(f"* left out: {reason}")
    return 0


def _memory(options: argparse.Namespace) -> int:
    print(memory.markdown(memory.measure(options.size), options.size))
    return 0


def _plot(options: argparse.Namespace) -> int:
    options.picture.write_text(plot.svg(Run.load(options.results)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
