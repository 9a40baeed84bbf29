# SPDX-License-Identifier: Apache-2.0
"""Clients with other TLS libraries, and a scanner."""

import json
import subprocess

import pytest

from harness.httpd import CLASSIC_GROUP, HAS_POST_QUANTUM


@pytest.fixture
def server(httpd, authority):
    certs = [authority.server("a.test", "localhost", kind=k).write(httpd.root, k) for k in ("p256", "rsa2048")]
    lines = [f"TLSCertificate {cert}" for cert in certs]
    lines.append('Header set X-Kex "%{SSL_KEX}s"\nHeader set X-Resumed "%{SSL_SESSION_RESUMED}s"')
    httpd.start(f"TLSEngine {httpd.port}", "TLSStrictSNI off", httpd.vhost("a.test", *lines, cert=False))
    return httpd


@pytest.mark.parametrize("version", ["VERS-TLS1.2", "VERS-TLS1.3"])
def test_01_gnutls(server, version):
    run = subprocess.run(
        ["gnutls-cli", "--x509cafile", server.ca_file, "--sni-hostname", "a.test", "--verify-hostname", "a.test"]
        + ["--priority", f"NORMAL:-VERS-ALL:+{version}", "-p", str(server.port), "127.0.0.1"],
        input=b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n",
        capture_output=True,
        timeout=30,
    )
    assert b"HTTP/1.1 200 OK" in run.stdout, run
    assert b"hello" in run.stdout


@pytest.mark.parametrize("version", ["VERS-TLS1.2", "VERS-TLS1.3"])
def test_02_gnutls_resumes(server, version):
    run = subprocess.run(
        ["gnutls-cli", "--resume", "--waitresumption", "--x509cafile", server.ca_file, "--sni-hostname", "a.test"]
        + ["--verify-hostname", "a.test", "--priority", f"NORMAL:-VERS-ALL:+{version}"]
        + ["-p", str(server.port), "127.0.0.1"],
        input=b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n",
        capture_output=True,
        timeout=30,
    )
    assert b"This is a resumed session" in run.stdout, run


def test_03_rustls(server, rustls_client):
    """The C client on rustls-ffi. It uses post-quantum key exchange if the server does."""
    group = "X25519MLKEM768" if HAS_POST_QUANTUM else CLASSIC_GROUP
    output = rustls_client(server)
    first, second = output.split("version: ")[1:]
    for part in (first, second):
        assert part.startswith("0304\n") and "hello" in part, output
        assert f"X-Kex: {group}\n" in part
    assert "handshake: 1\n" in first and "X-Resumed: Initial" in first
    assert "handshake: 3\n" in second and "X-Resumed: Resumed" in second


def test_04_testssl(server):
    """testssl.sh checks for known weaknesses. Its findings about the test's certificate are ignored."""
    report = server.root / "report.json"
    subprocess.run(
        ["testssl", "--quiet", "--color", "0", "--warnings", "off", "--ip", "127.0.0.1", "--nodns", "min"]
        + ["-p", "-s", "-f", "-U", "-S", "--jsonfile", report, f"localhost:{server.port}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=400,
    )
    findings = json.loads(report.read_text())
    assert len(findings) > 30
    # Findings about the certificate, the scanner itself and the page's content. The finding about resumption is a race:
    # the scanner's client closes after the handshake, before or after the ticket has arrived.
    elsewhere = ("cert", "OCSP", "DNS_CAArecord", "intermediate", "engine_problem", "service", "BREACH")
    elsewhere += ("sessionresumption",)
    bad = [
        finding
        for finding in findings
        if finding["severity"] not in ("OK", "INFO", "DEBUG") and not finding["id"].startswith(elsewhere)
    ]
    assert not bad, bad
