# SPDX-License-Identifier: Apache-2.0
"""The error log: mistakes of clients are logged at level info with the client and the reason. Secrets are never
logged."""

import os
import re
import socket
import ssl

import pytest

from harness.certs import key_pem
from harness.clients import MemoryClient, connect, context, curl, raw_connection, read_all, request, s_client
from harness.httpd import wait_for


def logged(httpd, pattern):
    """Waits for the line with `pattern`."""
    return wait_for(lambda: next((x for x in httpd.log.text().splitlines() if re.search(pattern, x)), None), pattern)


class TestRefused:
    """One line for each refused client: level, address, virtual host, server name and reason."""

    def line(self, httpd, pattern):
        line = logged(httpd, pattern)
        assert ":info]" in line and "[client 127.0.0.1:" in line
        return line

    def test_01_unknown_name(self, server):
        s_client(server, name="unknown.test")
        assert "TLSStrictSNI" in self.line(server, '"?unknown.test')

    def test_02_no_common_cipher(self, httpd):
        host = httpd.vhost("a.test", "TLSCiphersSuppress TLS_AES_256_GCM_SHA384")
        httpd.start(f"TLSEngine {httpd.port}", host)
        s_client(httpd, "-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384", name="a.test")
        line = self.line(httpd, "(?i)cipher ?suites")
        assert 'server name "a.test"' in line and "virtual host a.test" in line

    def test_03_old_version(self, server):
        s_client(server, "-tls1_1", "-cipher", "ALL@SECLEVEL=0", name="a.test")
        self.line(server, "TLS 1.1")

    def test_04_no_certificate_suits(self, server):
        s_client(server, "-sigalgs", "rsa_pss_rsae_sha256", name="a.test")
        assert "a.test" in self.line(server, "signature schemes")

    def test_05_client_does_not_trust_us(self, server):
        with pytest.raises(ssl.SSLError):
            connect(server, "a.test", ctx=ssl.create_default_context())
        assert "a.test" in self.line(server, "alert UnknownCA")

    def test_06_garbage(self, server):
        with raw_connection(server) as sock:
            sock.sendall(b"\x16\x03\x01\x00\x05\x01\xff\xff\xff\xff")
            sock.shutdown(socket.SHUT_WR)
            read_all(sock)
        self.line(server, "failed: ")

    def test_07_plain_http(self, server):
        with raw_connection(server) as sock:
            sock.sendall(request("a.test"))
            read_all(sock)
        self.line(server, "plain HTTP on a TLS port")

    def test_08_name_that_would_forge_a_line(self, server):
        """A client's data cannot begin a new line, or send control characters to the terminal of a reader."""
        hello = MemoryClient(server, "unknown-name.test").hello()
        forged = b"x\n[tls:error]\x1b[2J".ljust(len("unknown-name.test"), b"x")
        with raw_connection(server) as sock:
            sock.sendall(hello.replace(b"unknown-name.test", forged))
            sock.shutdown(socket.SHUT_WR)
            read_all(sock)
        self.line(server, "failed: ")
        assert "\x1b" not in server.log.text()
        assert not re.search(r"^\[tls:error\]", server.log.text(), re.M)


def test_02_silent_unless_asked(httpd):
    """At httpd's default level, mistakes of clients are not logged."""
    httpd.start(f"TLSEngine {httpd.port}", httpd.vhost("a.test"), log_level="notice")
    s_client(httpd, name="unknown.test")
    s_client(httpd, "-tls1_2", "-cipher", "AES128-SHA", name="a.test")
    raw_connection(httpd).close()
    assert curl(httpd, "a.test").code == 200
    assert not [line for line in httpd.log.text().splitlines() if "[tls:" in line and "[client " in line]


def test_03_no_secrets(httpd, authority):
    """At the highest trace level: no key, no ticket, no plaintext."""
    issued = authority.server("a.test")
    seed = os.urandom(48)
    httpd.root.joinpath("seed").write_bytes(seed)
    httpd.start(
        f"TLSEngine {httpd.port}",
        "TLSSessionTicketKeyFile seed",
        httpd.vhost("a.test", cert=issued.write(httpd.root, "own")),
        log_level="trace8 core:info http:info http2:info headers:info",
    )
    client = MemoryClient(httpd, "a.test", context(httpd, ssl.TLSVersion.TLSv1_2))
    with raw_connection(httpd) as sock:
        client.handshake(sock)
        client.tls.write(request("a.test", headers="X-Secret: unspeakable-words\r\n"))
        sock.sendall(client.outgoing.read())
        read_all(sock)
    ticket = client.tls.session.id
    with connect(httpd, "a.test") as tls:
        tls.sendall(request("a.test", headers="X-Secret: unspeakable-words\r\n"))
        read_all(tls)
    text = httpd.log.text()
    assert "unspeakable-words" not in text
    body = key_pem(issued.key).decode().splitlines()[1]
    private = issued.key.private_numbers().private_value.to_bytes(32, "big")
    lowered = text.lower()
    for secret in (seed, private, ticket):
        assert not secret or secret.hex() not in lowered
    assert body not in text and "PRIVATE KEY" not in text


def test_04_level_of_one_host(httpd):
    """LogLevel of a virtual host applies once its name is known."""
    httpd.start(
        f"TLSEngine {httpd.port}",
        httpd.vhost("first.test"),
        httpd.vhost("a.test", "LogLevel tls:info"),
        httpd.vhost("b.test"),
        log_level="warn core:info mpm_event:notice",
    )
    s_client(httpd, "-tls1_2", "-cipher", "AES128-SHA", name="b.test")
    s_client(httpd, "-tls1_2", "-cipher", "AES128-SHA", name="a.test")
    logged(httpd, 'server name "a.test"')
    assert 'server name "b.test"' not in httpd.log.text()
