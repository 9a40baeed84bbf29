# SPDX-License-Identifier: Apache-2.0
"""Costs side by side: httpd with mod_tls, with mod_ssl and without TLS, and nginx if it is installed, over loopback.

The figure is the server's own CPU time for a unit of work. Repetitions are interleaved, so that other load of the
machine affects all servers alike. Compare ratios, not figures of different runs."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "test"))

import instructions  # noqa: E402
import many_hosts  # noqa: E402
import on_demand  # noqa: E402
import report  # noqa: E402
import servers  # noqa: E402
from harness.certs import Authority  # noqa: E402
from harness.httpd import Installation  # noqa: E402
from harness.ports import Ports  # noqa: E402
from servers import KINDS  # noqa: E402
from workloads import FILES, WORKLOADS  # noqa: E402


def version():
    described = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return described.stdout.strip() or "unknown"


def say(text):
    print(text, file=sys.stderr, flush=True)


def prepare(server, authority):
    for name, size in FILES.items():
        # Sparse files: they need no disk space, and are in the page cache after the first repetition.
        with open(server.docs / name, "wb") as file:
            file.truncate(size)
        (server.docs / name).read_bytes()
    return {key: authority.server("localhost", kind=key).write(server.root, key) for key in ("p256", "rsa2048")}


def measure(server, workload):
    """Returns the figure of one repetition."""
    if workload.direct:
        # A new server: earlier repetitions have no effect.
        server.stop()
        server.start()
        return workload.do(server)
    before = server.cpu()
    amount = workload.do(server)
    return (server.cpu() - before) / amount * workload.scale


def run_workloads(kinds, names, repetitions, make_server, authority):
    compared = {kind: make_server(kind) for kind in kinds}
    backends = {kind: make_server(kind) for kind in {WORKLOADS[name].backend for name in names} - {None}}
    certs = {id(server): prepare(server, authority) for server in [*compared.values(), *backends.values()]}
    rows = []
    try:
        for backend in backends.values():
            backend.configure([("localhost", certs[id(backend)]["p256"])])
            backend.start()
        for name in names:
            workload = WORKLOADS[name]
            able = [kind for kind in kinds if kind not in workload.without]
            url = backends[workload.backend].url() if workload.backend else None
            figures = {kind: [] for kind in able}
            for kind in able:
                compared[kind].configure([("localhost", certs[id(compared[kind])][workload.key])], url)
                compared[kind].start()
            for number in range(repetitions):
                for kind in able:
                    figures[kind].append(measure(compared[kind], workload))
                    say(f"{name}: {number + 1}/{repetitions} {kind} {report.number(figures[kind][-1])} {workload.unit}")
            for kind in able:
                compared[kind].stop()
            rows.append(
                report.row(
                    name, workload.title, workload.unit, figures, workload.direct, workload.target, workload.limit
                )
            )
    finally:
        for server in [*compared.values(), *backends.values()]:
            server.remove()
    return rows


# The titles, the units, and the targets by the number of hosts.
HOST_FIGURES = {
    "start": ("start to first answer", "s", {10_000: 0.7, 100_000: 8}),
    "reload": ("graceful reload", "s", {}),
    "gap": ("longest wait for an answer during a reload", "s", {10_000: 0.1}),
    "memory": ("memory", "MiB", {10_000: 55, 100_000: 600}),
}


def run_hosts(kinds, count, repetitions, make_server, authority):
    figures = {name: {kind: [] for kind in kinds} for name in HOST_FIGURES}
    servers = {kind: make_server(kind) for kind in kinds}
    with tempfile.TemporaryDirectory(prefix="bench-certs-") as directory:
        say(f"hosts: making {count} certificates")
        hosts = many_hosts.make(Path(directory), authority, count)
        try:
            for number in range(repetitions):
                for kind, server in servers.items():
                    measured = many_hosts.measure(server, hosts)
                    for name, value in measured.items():
                        figures[name][kind].append(value)
                    told = ", ".join(f"{name} {report.number(value)}" for name, value in measured.items())
                    say(f"hosts: {number + 1}/{repetitions} {kind} {told}")
        finally:
            for server in servers.values():
                server.remove()
    return [
        report.row(f"hosts-{name}", f"{count} hosts, {title}", unit, figures[name], limit=limits.get(count))
        for name, (title, unit, limits) in HOST_FIGURES.items()
    ]


# Servers that are measured only if they are named.
SPECIAL = ("cheapest", "logged", "monitored")


def build(text):
    """The argument of --module."""
    name, found, path = text.partition("=")
    module = Path(path).resolve()
    if not (name and found and module.is_file()):
        raise argparse.ArgumentTypeError(f"expected NAME=PATH of a mod_tls.so that exists, not {text}")
    return name, module


OTHERS = ("hosts", "on-demand", "instructions")


def main():
    parser = argparse.ArgumentParser(prog="bootstrap bench", description=__doc__)
    parser.add_argument(
        "workloads", nargs="*", help=f"what to measure: {', '.join([*WORKLOADS, *OTHERS])}; default: all"
    )
    parser.add_argument("-r", "--repetitions", type=int, default=5)
    parser.add_argument("--hosts", type=int, default=10_000, help="the number of virtual hosts (10000)")
    usual = [kind for kind in KINDS if kind not in SPECIAL]
    parser.add_argument(
        "--servers",
        default=",".join(usual),
        help=f"the servers, separated by commas, of {', '.join(KINDS)}; default: %(default)s",
    )
    parser.add_argument(
        "--module",
        type=build,
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="a further server, with another build of mod_tls.so (its tls-keyd lies beside it); can be repeated",
    )
    options = parser.parse_args()
    names = options.workloads or [*WORKLOADS, *OTHERS]
    unknown = set(names) - {*WORKLOADS, *OTHERS}
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    kinds = options.servers.split(",")
    if not set(kinds) <= set(KINDS):
        parser.error(f"servers: only {', '.join(KINDS)} are available")
    builds = dict(options.module)
    if set(builds) & set(KINDS) or len(builds) < len(options.module):
        parser.error("--module: each needs a name of its own")
    kinds += builds
    installation, ports, authority = Installation(), Ports(), Authority()
    if "mod_ssl" in kinds and not installation.has_module("ssl"):
        sys.exit("bench: mod_ssl is needed for the comparison: install it")

    def make_server(kind):
        return servers.make(kind, installation, ports, authority, builds.get(kind))

    rows = run_workloads(
        kinds, [name for name in names if name in WORKLOADS], options.repetitions, make_server, authority
    )
    if "hosts" in names:
        rows += run_hosts(kinds, options.hosts, min(options.repetitions, 3), make_server, authority)
    if "on-demand" in names:
        able = [kind for kind in on_demand.KINDS if kind in kinds]
        rows += on_demand.measure(make_server, able, min(options.repetitions, 3), authority, say)
    if "instructions" in names:
        rows += instructions.measure(say)
    print(report.table(rows))
    for file in report.save(rows, version()):
        say(f"written: {file.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
