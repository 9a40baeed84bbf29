# SPDX-License-Identifier: Apache-2.0
"""What the benchmark compares: a server that is watched beside one that is not, and other builds of the module."""

import importlib
import shutil
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parent.parent / "bench"


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module


@pytest.fixture
def start(bench, installation, ports, authority):
    """Starts a server of the benchmark."""
    made = []

    def run(kind, build=None):
        server = bench("servers").make(kind, installation, ports, authority, build)
        made.append(server)
        server.configure([("localhost", authority.server("localhost").write(server.root, "cert"))])
        server.start()
        with bench("workloads").connect(server) as tls:
            tls.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert tls.recv(12).startswith(b"HTTP/1.1 ")
            while tls.recv(4096):
                pass
        return server

    yield run
    for server in made:
        server.remove()


def mapped(server):
    """The files of this module that are in use."""
    return {
        line.split()[-1]
        for pid in server._processes()
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines()
        if line.endswith("/mod_tls.so")
    }


def test_01_with_and_without(start, installation):
    server = start("monitored")
    assert b'mod_tls_handshakes_total{kind="full"} 1' in server._scraper.scrape()
    (line,) = [line for line in server.root.joinpath("access_log").read_text().splitlines() if "TLSv1" in line]
    assert "TLSv1.3" in line and "_" in line.split()[-4], line
    assert server.root.joinpath("failures").exists()
    for kind in ("mod_tls", "logged"):
        other = start(kind)
        assert "tls-metrics" not in other.root.joinpath("httpd.conf").read_text()
        assert not other.root.joinpath("failures").exists()
        assert other.root.joinpath("access_log").exists() == (kind == "logged")
        assert mapped(other) == {str(installation.module)}


def test_02_another_build(bench, start, installation, tmp_path):
    for file in installation.module.parent.glob("*"):
        if file.is_file() and file.name in (installation.module.name, "tls-keyd"):
            shutil.copy2(file, tmp_path)
    tmp_path.chmod(0o755)
    name, path = bench("run").build(f"changed={tmp_path}/mod_tls.so")
    assert mapped(start(name, path)) == {str(tmp_path / "mod_tls.so")}


def test_03_figures_of_other_builds(bench):
    report = bench("report")
    row = report.row("new-ecdsa", "new connection", "µs", {"mod_tls": [3, 5, 4], "changed": [6.0]}, direct=False)
    assert "| workload | mod_tls | changed |" in report.table([row])
    assert "4 (3–5) | 6 (6–6)" in report.table([row])


@pytest.mark.parametrize("text", ["changed", "changed=", "=/bin/sh", "changed=/no/such"])
def test_04_mistakes(bench, text):
    with pytest.raises(bench("run").argparse.ArgumentTypeError, match="expected NAME=PATH"):
        bench("run").build(text)
