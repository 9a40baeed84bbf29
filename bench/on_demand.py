# SPDX-License-Identifier: Apache-2.0
"""Certificates on demand: what a handshake costs with a configured certificate, with one of a store that is in the
cache, and with one that is not; and the memory of many sites."""

import os

import report
import workloads
from harness.certs import key_pem, new_key

# New connections in a repetition, and the names that are visited again and again.
VISITS, HOT = 1500, 100
# For the memory: the sites, those that are visited, and how many of these each child process may keep.
SITES, VISITED, KEPT = 100_000, 10_000, 4096
KINDS = ("mod_tls", "no-keyd")
TITLES = {
    "configured": "new connection, configured certificate",
    "warm": "new connection, certificate of a store in the cache",
    "cold": "new connection, certificate of a store that is read",
}


def make(directory, authority):
    """The files of all sites, which share a certificate. Returns the patterns of their paths."""
    key = new_key()
    issued = authority.issue_for("*.many.test", key)
    for kind, content in (("pem", issued.chain_pem), ("key", key_pem(key))):
        first = directory / f"first.{kind}"
        first.write_bytes(content)
        for number in range(SITES):
            # A file may have 65,000 links.
            if number % 60_000 == 0:
                first = directory / f"first{number}.{kind}"
                first.write_bytes(content)
            os.link(first, directory / f"h{number}.many.test.{kind}")
    return f"{directory}/%n.pem {directory}/%n.key"


def visit(server, names):
    for name in names:
        with workloads.connect(server, name):
            pass


def name(number):
    return f"h{number}.many.test"


def measure(make_server, kinds, repetitions, authority, say):
    """Returns the rows of the report."""
    figures = {work: {kind: [] for kind in kinds} for work in [*TITLES, "memory"]}
    for kind in kinds:
        server = make_server(kind)
        sites = server.root / "sites"
        sites.mkdir()
        patterns = make(sites, authority)
        configured = f"TLSCertificate {sites}/{name(0)}.pem {sites}/{name(0)}.key"
        try:
            for work, certificate in [
                ("configured", configured),
                ("warm", f"TLSCertificateStore {patterns}"),
                ("cold", f"TLSCertificateStore {patterns}"),
            ]:
                server.configure([("many.test", f"{certificate}\nServerAlias *.many.test")])
                server.start()
                visit(server, [name(number) for number in range(HOT)])
                for number in range(repetitions):
                    first = HOT + number * VISITS if work == "cold" else 0
                    step = 1 if work == "cold" else 0
                    names = [name(first + at * step + (at % HOT) * (1 - step)) for at in range(VISITS)]
                    before = server.cpu()
                    visit(server, names)
                    figures[work][kind].append((server.cpu() - before) / VISITS * 1e6)
                    say(f"on-demand: {number + 1}/{repetitions} {kind} {work} {figures[work][kind][-1]:.0f} µs")
                server.stop()
            server.configure([("many.test", f"TLSCertificateStore {patterns}\nServerAlias *.many.test")])
            server.start()
            visit(server, [name(0)])
            before = server.memory()
            visit(server, [name(number * (SITES // VISITED)) for number in range(VISITED)])
            figures["memory"][kind].append((server.memory() - before) / 1024)
            say(f"on-demand: {kind}: {figures['memory'][kind][-1]:.1f} MiB more")
        finally:
            server.remove()
    rows = [report.row(f"on-demand-{work}", title, "µs", figures[work]) for work, title in TITLES.items()]
    title = f"{SITES} sites, {VISITED} visited, {KEPT} kept: memory that these take"
    return [*rows, report.row("on-demand-memory", title, "MiB", figures["memory"])]
