# SPDX-License-Identifier: Apache-2.0
"""HTTP/2, MPMs and address families over each stack."""

import os
import re
import subprocess

import pytest

from harness.cgi import DIGEST, ENVIRONMENT, Gate
from harness.clients import connect, context, curl, raw_connection, read_response, request
from harness.content import PartialResponse, digest, post
from harness.h2peer import Client, Upgraded

MIB = 1 << 20
PROTOCOLS = ["Protocols h2 http/1.1"]


class TestHttp2:
    @pytest.fixture
    def gate(self, stack):
        """a.test with scripts and a large file."""
        gate = Gate(stack.httpd.root)
        stack.add_scripts(digest=DIGEST, slow=gate.script(), environment=ENVIRONMENT)
        stack.start(*stack.variables(), top=PROTOCOLS)
        self.data = os.urandom(3 * MIB)
        (stack.httpd.docs / "file").write_bytes(self.data)
        return gate

    def test_01_streams_at_the_same_time(self, stack, gate):
        """Bodies in both directions on one connection. A slow response does not delay other streams."""
        with Client(stack.httpd) as client:
            slow = client.request("GET", "/cgi-bin/slow")
            client.wait(lambda: client.streams[slow].body == Gate.FIRST.encode())
            uploads = {client.request("POST", "/cgi-bin/digest", end=False): os.urandom(200_000) for _ in range(3)}
            down = client.request("GET", "/file")
            for at in range(0, 200_000, 20_000):
                for number, data in uploads.items():
                    client.send(number, data[at : at + 20_000], end=at == 180_000)
            for number, data in uploads.items():
                assert client.response(number).body.decode().strip() == digest(data)
            assert digest(client.response(down).body) == digest(self.data)
            assert not client.streams[slow].ended
            gate.open()
            assert client.response(slow).body.decode() == Gate.FIRST + Gate.LAST

    def test_02_streams_that_are_given_up(self, stack, gate):
        """The other streams, and later ones, are served."""
        with Client(stack.httpd) as client:
            for _ in range(3):
                number = client.request("GET", "/file")
                client.wait(lambda: len(client.streams[number].body) > 20_000)  # noqa: B023
                client.h2.reset_stream(number, 8)
                client.flush()
            assert client.get("/index.html").body == b"hello\n"
            client.ping()

    def test_03_a_stream_that_is_not_read(self, stack, gate):
        """The window of the stream is closed, that of the connection is not."""
        with Client(stack.httpd) as client:
            client.h2.increment_flow_control_window(2 * MIB)
            number = client.request("GET", "/file")
            client.stopped.add(number)
            client.wait(lambda: len(client.streams[number].body) == 65_535)
            assert client.get("/index.html").body == b"hello\n"
            client.stopped.clear()
            client.h2.acknowledge_received_data(65_535, number)
            client.flush()
            assert digest(client.response(number).body) == digest(self.data)

    def test_04_trailers_of_requests(self, stack, gate):
        """Trailers end a body as END_STREAM does."""
        data = os.urandom(100_000)
        with Client(stack.httpd) as client:
            number = client.request("POST", "/cgi-bin/digest", ("trailer", "x-after"), end=False)
            client.send(number, data)
            client.trailers(number, ("x-after", "yes"))
            assert client.response(number).body.decode().strip() == digest(data)

    def test_05_environment(self, stack, gate):
        with Client(stack.httpd) as client:
            lines = client.get("/cgi-bin/environment").body.decode().splitlines()
        assert {"HTTPS=on", "HTTP2=on", "SERVER_PROTOCOL=HTTP/2.0", "SSL_TLS_SNI=a.test"} <= set(lines)

    def test_06_reload(self, stack, gate):
        """A running stream is finished, then the connection ends. GOAWAY announces both."""
        with Client(stack.httpd) as client:
            slow = client.request("GET", "/cgi-bin/slow")
            client.wait(lambda: client.streams[slow].body)
            client.ping()
            stack.httpd.graceful()
            client.wait(lambda: client.goaways)
            gate.open()
            assert client.response(slow).body.decode() == Gate.FIRST + Gate.LAST
            while client.pump():
                pass
            assert client.goaways[-1] >= slow

    def test_07_load(self, stack, gate):
        url = f"https://127.0.0.1:{stack.httpd.port}/index.html"
        command = ["h2load", "-n", "2000", "-c", "10", "-m", "20", "-H", "Host: a.test", url]
        run = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert re.search(r"2000 succeeded, 0 failed, 0 errored", run.stdout), run.stdout


class TestWithoutTls:
    """HTTP/2 on the port without TLS, in a server that also has TLS."""

    @pytest.fixture
    def data(self, stack):
        stack.add_scripts(digest=DIGEST)
        stack.start(top=["Protocols h2 h2c http/1.1"])
        data = os.urandom(MIB)
        (stack.httpd.docs / "file").write_bytes(data)
        return data

    def test_01_plain(self, stack, data):
        """By Upgrade, and by prior knowledge. httpd 2.4.71 ends an upgraded connection when it has to wait for the
        client, so that response fits into the window."""
        (stack.httpd.docs / "part").write_bytes(data[:60_000])
        with Upgraded(stack.httpd, "/part") as client:
            assert digest(client.response(1).body) == digest(data[:60_000])
        with Client(stack.httpd, sock=raw_connection(stack.httpd, stack.httpd.plain_port)) as client:
            assert digest(client.get("/file").body) == digest(data)
            number = client.request("POST", "/cgi-bin/digest", end=False)
            client.send(number, data, end=True)
            assert client.response(number).body.decode().strip() == digest(data)

    def test_02_tls(self, stack, data):
        """Over TLS: h2 by ALPN, and no Upgrade to h2c."""
        response = curl(stack.httpd, "a.test", "/file", "--http2")
        assert (response.version, response.body) == ("2", data)
        upgrade = ["-H", "Connection: Upgrade, HTTP2-Settings", "-H", "Upgrade: h2c", "-H", "HTTP2-Settings: AAMAAABk"]
        response = curl(stack.httpd, "a.test", "/file", "--http1.1", *upgrade)
        assert (response.code, response.version, response.body) == (200, "1.1", data)

    def test_03_plain_http2_to_the_tls_port(self, stack, data):
        with raw_connection(stack.httpd) as sock:
            sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
            answer = sock.recv(1000)
        assert not answer.startswith(b"\0\0"), answer
        assert curl(stack.httpd, "a.test").code == 200


class TestIpv6:
    def test_01_addresses(self, stack):
        """A virtual host on an IPv6 address and one on IPv4: the addresses of server and client."""
        stack.add_scripts(environment=ENVIRONMENT, digest=DIGEST)
        six = stack.vhost("six.test", *stack.variables(), address="[::1]")
        stack.start(top=[six, *PROTOCOLS])
        lines = curl(stack.httpd, "six.test", "/cgi-bin/environment", address="::1").text.splitlines()
        assert {"REMOTE_ADDR=::1", "SERVER_ADDR=::1", "SSL_TLS_SNI=six.test", "HTTPS=on"} <= set(lines)
        data = os.urandom(MIB)
        (stack.httpd.root / "posted").write_bytes(data)
        for http in ("--http1.1", "--http2"):
            args = [http, "-H", "Expect:", "--data-binary", f"@{stack.httpd.root}/posted"]
            assert curl(stack.httpd, "six.test", "/cgi-bin/digest", *args, address="::1").text == digest(data)

    def test_02_literal(self, stack):
        """A URL with an address has no server name. The first virtual host of the address answers."""
        six = stack.vhost("six.test", names=["::1"], address="[::1]")
        stack.start(top=[six])
        httpd = stack.httpd
        command = ["curl", "-sS", "--cacert", httpd.ca_file, f"https://[::1]:{httpd.port}/"]
        assert subprocess.run(command, capture_output=True, text=True, timeout=30).stdout == "hello\n"


@pytest.mark.parametrize("mpm", ["event", "worker", "prefork"])
class TestMpm:
    """MPMs differ in how they wait for connections."""

    def start(self, stack, mpm, **options):
        gate = Gate(stack.httpd.root)
        stack.add_scripts(digest=DIGEST, slow=gate.script())
        if mpm == "prefork":
            stack.httpd.log.expect("AH10034")
        stack.start(top=PROTOCOLS, mpm=mpm, **options)
        return gate

    def test_01_bodies(self, stack, mpm):
        """HTTP/2 is offered where mod_http2 can run."""
        self.start(stack, mpm)
        data = os.urandom(3 * MIB)
        (stack.httpd.docs / "file").write_bytes(data)
        for http in ("--http1.1", "--http2"):
            assert post(stack, "/cgi-bin/digest", data, http).text == digest(data)
            response = curl(stack.httpd, "a.test", "/file", http)
            assert digest(response.body) == digest(data)
            assert response.version == ("1.1" if mpm == "prefork" or http == "--http1.1" else "2")

    def test_02_first_half_before_the_second(self, stack, mpm):
        """While one response is slow, other connections are served."""
        gate = self.start(stack, mpm)
        slow = PartialResponse(stack, "/cgi-bin/slow")
        slow.read_until(gate.FIRST)
        for _ in range(3):
            assert curl(stack.httpd, "a.test").text == "hello"
        gate.open()
        slow.read_until(gate.LAST)

    def test_03_pipelined(self, stack, mpm):
        """Pipelined requests with bodies, on a connection that is then idle and continues."""
        self.start(stack, mpm)
        posts = [os.urandom(size) for size in (1, 20_000, 100_000)]
        heads = [request("a.test", "/cgi-bin/digest", False, "POST", f"Content-Length: {len(b)}\r\n") for b in posts]
        with connect(stack.httpd, "a.test") as tls, tls.makefile("rb") as stream:
            for _ in range(2):
                tls.sendall(b"".join(head + body for head, body in zip(heads, posts)))
                for body in posts:
                    assert digest(body).encode() == read_response(stream)[2].strip()
                assert curl(stack.httpd, "a.test").text == "hello"

    def test_04_reload(self, stack, mpm):
        """A response that is being sent during a reload is completed."""
        gate = self.start(stack, mpm)
        slow = PartialResponse(stack, "/cgi-bin/slow")
        slow.read_until(gate.FIRST)
        stack.httpd.graceful()
        gate.open()
        slow.read_until(gate.LAST)
        assert curl(stack.httpd, "a.test").text == "hello"

    def test_05_more_connections_than_workers(self, stack, mpm):
        """With event, idle connections use no workers. With other MPMs, new connections are served after idle ones have
        timed out. Each one ends with close_notify."""
        limits = "StartServers 1\nThreadsPerChild 5\nMaxRequestWorkers 5\nMinSpareThreads 1\nMaxSpareThreads 5"
        if mpm == "prefork":
            limits = "StartServers 5\nMaxRequestWorkers 5\nMinSpareServers 1"
        self.start(stack, mpm, limits=f"{limits}\nKeepAliveTimeout 500ms")
        stack.httpd.log.allow("AH00484|AH00161|AH00286|AH00326")
        connections, ctx = [], context(stack.httpd)
        for _ in range(6):
            tls = connect(stack.httpd, "a.test", ctx=ctx)
            tls.suppress_ragged_eofs = False
            tls.sendall(request("a.test", close=False))
            with tls.makefile("rb") as stream:
                assert read_response(stream)[2] == b"hello\n"
            connections.append(tls)
        for tls in connections:
            assert tls.recv(1) == b""
            tls.close()
