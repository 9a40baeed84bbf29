# SPDX-License-Identifier: Apache-2.0
"""Failed handshakes: one line each, with a code, the reason, and what the client has offered."""

import re
import socket
import ssl
import struct
import threading

import pytest

from harness.backends import Backend
from harness.certs import Authority
from harness.client_certs import ClientCa
from harness.clients import (
    MemoryClient,
    connect,
    context,
    curl,
    plain_get,
    raw_connection,
    read_all,
    request,
    s_client,
)
from harness.httpd import wait_for

STATUS = "<Location /server-status>\nSetHandler server-status\n</Location>"


@pytest.fixture
def server(httpd):
    """Serves a.test, and the counters."""
    return httpd.start(f"TLSEngine {httpd.port}", STATUS, httpd.vhost("a.test"))


def counters(httpd):
    """The counters of mod_status."""
    _, body = plain_get(httpd, "/server-status?auto")
    pairs = [line.split(": ") for line in body.splitlines() if line.startswith("TLS")]
    return {name: int(value) for name, value in pairs}


def failure(httpd, code):
    """The only line with a code of a failed connection. Waits for it."""
    lines = wait_for(lambda: [x for x in httpd.log.text().splitlines() if f"[{code}]" in x], code)
    others = [x for x in httpd.log.text().splitlines() if re.search(r"\[TLS\d{4}\]$", x)]
    assert lines == others and len(lines) == 1
    return lines[0]


class TestClients:
    """What clients do wrong, and the line about it."""

    def line(self, httpd, code):
        line = failure(httpd, code)
        assert ":info]" in line and "[client 127.0.0.1:" in line and line.endswith(f" [{code}]")
        return line

    @pytest.mark.parametrize("data", [b"\x00" * 100, b"\xff" * 50, b"\x80\x2e\x01\x00\x02" + bytes(50)])
    def test_01_not_tls(self, server, data):
        with raw_connection(server) as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            read_all(sock)
        self.line(server, "TLS1001")

    def test_02_plain_http(self, server):
        with raw_connection(server) as sock:
            sock.sendall(request("a.test"))
            read_all(sock)
        assert "plain HTTP on a TLS port, answered with 400 [TLS1002]" in self.line(server, "TLS1002")

    def test_03_malformed(self, server):
        hello = bytearray(MemoryClient(server, "a.test").hello())
        hello[5 + 4 + 2 + 32] = 255
        with raw_connection(server) as sock:
            sock.sendall(hello)
            read_all(sock)
        assert "sent alert DecodeError" in self.line(server, "TLS1003")

    def test_04_closes_before_its_hello_is_complete(self, server):
        with raw_connection(server) as sock:
            sock.sendall(MemoryClient(server, "a.test").hello()[:50])
        assert "closed the connection before its ClientHello was complete" in self.line(server, "TLS1008")

    def test_05_closes_after_the_servers_answer(self, server):
        client = MemoryClient(server, "a.test")
        with raw_connection(server) as sock:
            sock.sendall(client.hello())
            assert sock.recv(100)
            sock.shutdown(socket.SHUT_WR)
            read_all(sock)
        line = self.line(server, "TLS1008")
        assert "after the server's answer" in line and 'server name "a.test"' in line and "offered TLSv1.3" in line

    def test_06_too_slow(self, httpd):
        httpd.start(
            f"TLSEngine {httpd.port}",
            "RequestReadTimeout handshake=1",
            httpd.vhost("a.test"),
            modules=["reqtimeout"],
        )
        with raw_connection(httpd) as sock:
            sock.sendall(MemoryClient(httpd, "a.test").hello()[:50])
            self.line(httpd, "TLS1009")

    def test_07_too_slow_for_the_mpm(self, httpd):
        """The MPM closes a connection that it waits for after Timeout."""
        httpd.start(f"TLSEngine {httpd.port}", "Timeout 2", httpd.vhost("a.test"))
        with raw_connection(httpd) as sock:
            sock.sendall(MemoryClient(httpd, "a.test").hello())
            read_all(sock)
        assert 'server name "a.test"' in self.line(httpd, "TLS1009")

    def test_08_one_that_sends_nothing_has_not_failed(self, server):
        raw_connection(server).close()
        wait_for(lambda: "without sending a byte" in server.log.text(), "the end of the connection")
        assert "TLS10" not in server.log.text()
        assert counters(server)["TLSFailedHandshakes"] == 0

    def test_09_old_version(self, server):
        s_client(server, "-tls1_1", "-cipher", "ALL@SECLEVEL=0", name="a.test")
        line = self.line(server, "TLS1101")
        assert 'server name "a.test"' in line and "offered TLSv1.1, groups" in line
        assert "sent alert ProtocolVersion" in line

    def test_10_version_that_is_not_enabled(self, httpd):
        httpd.start(f"TLSEngine {httpd.port}", httpd.vhost("a.test", "TLSProtocol TLSv1.3"))
        s_client(httpd, "-tls1_2", name="a.test")
        assert "offered TLSv1.2," in self.line(httpd, "TLS1102")

    def test_11_no_common_suite(self, server):
        s_client(server, "-tls1_2", "-cipher", "AES128-SHA", name="a.test")
        assert "sent alert HandshakeFailure" in self.line(server, "TLS1103")

    def test_12_no_common_group(self, httpd):
        httpd.start(f"TLSEngine {httpd.port}", httpd.vhost("a.test", "TLSGroupsSuppress secp521r1"))
        s_client(httpd, "-groups", "P-521", name="a.test")
        assert "groups secp521r1" in self.line(httpd, "TLS1104")

    def test_13_no_suitable_certificate(self, server):
        s_client(server, "-sigalgs", "rsa_pss_rsae_sha256", name="a.test")
        self.line(server, "TLS1105")

    def test_14_fallback(self, server):
        s_client(server, "-tls1_2", "-fallback_scsv", name="a.test")
        assert "sent alert InappropriateFallback" in self.line(server, "TLS1108")

    def test_15_unknown_name(self, server):
        s_client(server, name="unknown.test")
        assert "sent alert UnrecognisedName" in self.line(server, "TLS1201")

    def test_16_client_certificates(self, httpd):
        httpd.start(
            f"TLSEngine {httpd.port}",
            httpd.vhost("a.test", "TLSClientCertificate required", f"TLSClientCA {httpd.ca_file}"),
        )
        s_client(httpd, name="a.test")
        assert "sent alert CertificateRequired" in self.line(httpd, "TLS1301")

    def test_17_client_certificate_of_another_ca(self, httpd):
        httpd.start(
            f"TLSEngine {httpd.port}",
            httpd.vhost("a.test", "TLSClientCertificate required", f"TLSClientCA {httpd.ca_file}"),
        )
        cert, key = Authority().server("client").write(httpd.root, "other").split()
        s_client(httpd, "-cert", httpd.root / cert, "-key", httpd.root / key, name="a.test")
        assert "sent alert UnknownCA" in self.line(httpd, "TLS1304")

    def test_18_client_does_not_trust_us(self, server):
        with pytest.raises(ssl.SSLError):
            connect(server, "a.test", ctx=ssl.create_default_context())
        assert "received alert UnknownCA" in self.line(server, "TLS1401")

    def test_19_established_connections_have_codes_too(self, server):
        client = MemoryClient(server, "a.test", context(server))
        with raw_connection(server) as sock:
            client.handshake(sock)
            sock.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
            read_all(sock)
        assert "connection failed: " in self.line(server, "TLS1007")

    def test_20_counted(self, server):
        for _ in range(3):
            s_client(server, name="unknown.test")
        with raw_connection(server) as sock:
            sock.sendall(b"\x16\x03\x01")
        wait_for(lambda: counters(server)["TLSFailedHandshakes"] == 4, "four failures to be counted")

    def test_21_no_common_protocol(self, httpd, server):
        s_client(server, "-alpn", "bogus/1", name="a.test")
        assert "sent alert NoApplicationProtocol" in self.line(server, "TLS1107")

    def test_22_reset(self, server):
        sock = raw_connection(server)
        sock.sendall(MemoryClient(server, "a.test").hello())
        assert sock.recv(100)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        self.line(server, "TLS1010")

    @pytest.mark.parametrize(
        "code,data",
        [
            ("TLS1004", b"\x16\x03\x01\x3e\x80\x01\x03\x0d\x40" + bytes(15996)),
            ("TLS1004", b"\x16\x03\x01\xff\xff\x01"),
            ("TLS1005", b"\x16\x03\x01\x00\x04\x14\x00\x00\x00"),
        ],
        ids=["message", "record", "finished"],
    )
    def test_23_too_large_or_unexpected(self, server, code, data):
        with raw_connection(server) as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            read_all(sock)
        self.line(server, code)

    def test_24_expired_client_certificate(self, httpd):
        ca = ClientCa("Members")
        httpd.root.joinpath("members.pem").write_bytes(ca.pem)
        lines = ["TLSClientCertificate required", "TLSClientCA members.pem"]
        httpd.start(f"TLSEngine {httpd.port}", httpd.vhost("a.test", *lines))
        _, cert, _, key = ca.client("old", start=-3, days=2).write(httpd.root, "old")
        s_client(httpd, "-cert", cert, "-key", key, name="a.test")
        assert "sent alert CertificateExpired" in self.line(httpd, "TLS1302")


class TestBackends:
    """Failed handshakes with backends. The line names the backend."""

    def line(self, httpd, code):
        httpd.log.expect(rf"handshake with backend \S+ \([0-9.]+\) failed: .* \[{code}\]")
        httpd.log.allow("AH0")
        return failure(httpd, code)

    def test_01_speaks_http(self, httpd, proxy):
        proxy(f"ProxyPass /b https://127.0.0.1:{httpd.plain_port}/")
        assert plain_get(httpd, "/b")[0] == 502
        self.line(httpd, "TLS2001")

    def test_02_closes(self, httpd, proxy, ports):
        listener = socket.create_server(("127.0.0.1", ports.take()))
        proxy(f"ProxyPass /b https://127.0.0.1:{listener.getsockname()[1]}/ connectiontimeout=5")
        with listener:
            threading.Thread(target=lambda: listener.accept()[0].close(), daemon=True).start()
            assert plain_get(httpd, "/b")[0] == 502
        self.line(httpd, "TLS2003")

    def test_03_certificates(self, httpd, proxy, backend, authority):
        one = backend(Backend, issued=authority.server("other.test"))
        proxy(f"ProxyPass /b https://localhost:{one.port}/")
        assert plain_get(httpd, "/b")[0] == 502
        self.line(httpd, "TLS2320")

    def test_04_unknown_ca(self, httpd, proxy, backend):
        one = backend(Backend)
        httpd.root.joinpath("other.pem").write_bytes(ClientCa("Others").pem)
        proxy("TLSProxyCA other.pem", f"ProxyPass /b https://localhost:{one.port}/", ca=False)
        assert plain_get(httpd, "/b")[0] == 502
        assert "sent alert CertificateUnknown" in self.line(httpd, "TLS2304")


def test_hosts_continue(server):
    """A failure concerns one connection only."""
    s_client(server, name="unknown.test")
    assert curl(server, "a.test").code == 200
