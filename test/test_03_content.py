# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 over TLS."""

import hashlib
import os
import socket
import ssl
import threading
import time

import pytest

from harness.cgi import add_cgi
from harness.clients import MemoryClient, connect, context, curl, raw_connection, read_all, read_response, request
from harness.httpd import resident, wait_for

HUGE = 5 << 30

CGI = """#!/usr/bin/env python3
import os, sys
body = sys.stdin.buffer.read()
print("Content-Type: text/plain\\n")
print(len(body), os.environ.get("HTTPS"))
"""


@pytest.fixture
def server(httpd):
    def start(*lines, modules=(), **options):
        httpd.start(f"TLSEngine {httpd.port}", *lines, httpd.vhost("a.test"), modules=modules, **options)
        return httpd

    return start


class TestDownload:
    @pytest.mark.parametrize("http", ["--http1.1", "--http2"])
    @pytest.mark.parametrize("size", [0, 1, 16383, 16384, 16385, 65536, 70000, 5_000_000])
    def test_01_sizes(self, httpd, server, size, http):
        data = os.urandom(size)
        server("Protocols h2 http/1.1").docs.joinpath("file").write_bytes(data)
        response = curl(httpd, "a.test", "/file", http)
        assert response.code == 200
        assert response.body == data

    def test_02_ranges(self, httpd, server):
        data = os.urandom(200_000)
        server().docs.joinpath("file").write_bytes(data)
        assert curl(httpd, "a.test", "/file", "-r", "100000-100099").body == data[100000:100100]
        assert curl(httpd, "a.test", "/file", "-r", "-5").body == data[-5:]

    def test_03_deflate(self, httpd, server):
        data = b"compress me " * 50_000
        server("SetOutputFilter DEFLATE", modules=["filter", "deflate"]).docs.joinpath("file").write_bytes(data)
        response = curl(httpd, "a.test", "/file", "--compressed")
        assert response.headers["content-encoding"] == "gzip"
        assert response.body == data

    def test_04_large_without_growing(self, httpd, server):
        """A sparse file of 5 GiB: the children's memory must not grow with it."""
        server()
        with open(httpd.docs / "huge", "wb") as f:
            f.truncate(HUGE)
        response = curl(httpd, "a.test", "/huge", "-o", "/dev/null", "-w", "%{size_download}", "--max-time", "120")
        assert response.body.endswith(str(HUGE).encode())
        assert max_rss(httpd) < 200 << 10

    def test_05_slow_reader(self, httpd, server):
        data = os.urandom(3_000_000)
        server().docs.joinpath("file").write_bytes(data)
        with connect(httpd, "a.test") as tls:
            tls.sendall(request("a.test", "/file"))
            received = b""
            while chunk := tls.recv(50_000):
                received += chunk
                time.sleep(0.002)
        assert hashlib.sha256(received[-len(data) :]).digest() == hashlib.sha256(data).digest()

    def test_06_a_small_response_is_one_record(self, httpd, server):
        server()
        client = MemoryClient(httpd, "a.test")
        with raw_connection(httpd) as sock:
            client.handshake(sock)
            client.tls.write(request("a.test"))
            sock.sendall(client.outgoing.read())
            # TLS 1.3's tickets come first. The application data after them and its close_notify are one record.
            data = read_all(sock)
        sizes, rest = [], data
        while len(rest) >= 5:
            length = int.from_bytes(rest[3:5], "big")
            sizes.append(length)
            rest = rest[5 + length :]
        assert sizes[-1] < 30, "close_notify"
        client.incoming.write(data)
        assert b"hello" in client.tls.read()
        assert len([s for s in sizes if s > 200]) <= 3, sizes

    def test_07_file_cut_while_sent(self, httpd, server):
        server().docs.joinpath("file").write_bytes(b"x" * 50_000_000)
        with connect(httpd, "a.test") as tls:
            tls.sendall(request("a.test", "/file"))
            got = len(tls.recv(1000))
            os.truncate(httpd.docs / "file", 1000)
            with pytest.raises((ssl.SSLError, OSError)):
                while chunk := tls.recv(65536):
                    got += len(chunk)
                raise ssl.SSLError("ended as if it were complete")
        assert got < 50_000_000
        httpd.log.expect("a file changed or became unreadable while it was sent")


class TestUpload:
    @pytest.mark.parametrize("http", ["--http1.1", "--http2"])
    @pytest.mark.parametrize("size", [0, 1, 16384, 100_000, 3_000_000])
    def test_01_sizes(self, httpd, server, size, http):
        server("Protocols h2 http/1.1", *add_cgi(httpd, "count", CGI), modules=["cgid"])
        httpd.root.joinpath("body").write_bytes(os.urandom(size))
        response = curl(httpd, "a.test", "/cgi-bin/count", http, "--data-binary", f"@{httpd.root}/body")
        assert response.text == f"{size} on"

    def test_05_large_without_growing(self, httpd, server):
        server("LimitRequestBody 0", *add_cgi(httpd, "wc", "#!/bin/sh\necho\nwc -c\n"), modules=["cgid"])
        with open(httpd.root / "huge", "wb") as f:
            f.truncate(HUGE)
        args = ["--http1.1", "-T", httpd.root / "huge", "-X", "POST", "--max-time", "200"]
        assert curl(httpd, "a.test", "/cgi-bin/wc", *args).text == str(HUGE)
        assert max_rss(httpd) < 200 << 10

    def test_02_chunked_with_trailers(self, httpd, server):
        server(*add_cgi(httpd, "count", CGI), modules=["cgid"])
        with connect(httpd, "a.test") as tls:
            head = request("a.test", "/cgi-bin/count", method="POST", headers="Transfer-Encoding: chunked\r\n")
            tls.sendall(head + b"5\r\nhello\r\n")
            tls.sendall(b"6\r\n world\r\n0\r\nX-Trailer: yes\r\n\r\n")
            assert b"11 on" in read_all(tls)

    def test_03_continue(self, httpd, server):
        server(*add_cgi(httpd, "count", CGI), modules=["cgid"])
        with connect(httpd, "a.test") as tls:
            headers = "Content-Length: 5\r\nExpect: 100-continue\r\n"
            tls.sendall(request("a.test", "/cgi-bin/count", method="POST", headers=headers))
            assert tls.recv(1000).startswith(b"HTTP/1.1 100 Continue")
            tls.sendall(b"hello")
            assert b"5 on" in read_all(tls)

    def test_04_cut_off(self, httpd, server):
        """An incomplete body is an error for its reader. It is not taken as a shorter body."""
        server(*add_cgi(httpd, "count", CGI), modules=["cgid"])
        with connect(httpd, "a.test") as tls:
            tls.sendall(
                request("a.test", "/cgi-bin/count", method="POST", headers="Content-Length: 1000\r\n") + b"x" * 10
            )
            raw = socket.socket(fileno=tls.detach())
            raw.shutdown(socket.SHUT_WR)
            raw.close()
        wait_for(lambda: any("/cgi-bin/count" in line for line in httpd.access_lines()), "the request to be logged")
        assert not any(line.endswith(" 200") for line in httpd.access_lines() if "/cgi-bin/count" in line)
        httpd.log.expect("AH01270|AH02550|Error reading request entity data")


class TestConnections:
    def test_01_keepalive_and_pipelining(self, httpd, server):
        server()
        with connect(httpd, "a.test") as tls:
            tls.sendall(request("a.test", close=False) * 20)
            stream = tls.makefile("rb")
            for _ in range(20):
                assert read_response(stream)[0] == 200
            tls.sendall(request("a.test"))
            assert read_response(stream)[2] == b"hello\n"

    def test_02_byte_by_byte(self, httpd, server):
        server()
        with connect(httpd, "a.test") as tls:
            for byte in request("a.test"):
                tls.sendall(bytes([byte]))
            assert read_all(tls).endswith(b"hello\n")

    def test_03_event_stream_is_flushed_at_once(self, httpd, server):
        script = (
            "#!/usr/bin/env python3\nimport sys, time\n"
            "print('Content-Type: text/event-stream\\n', flush=True)\n"
            "for i in range(3):\n    print(f'data: {i}\\n', flush=True)\n    sys.stdin.read(0)\n    time.sleep(0.5)\n"
        )
        server(*add_cgi(httpd, "events", script), modules=["cgid"])
        with connect(httpd, "a.test") as tls:
            began = time.monotonic()
            tls.sendall(request("a.test", "/cgi-bin/events"))
            received = b""
            while b"data: 0" not in received:
                received += tls.recv(1000)
            assert time.monotonic() - began < 1.2, "the first event was delayed until the last"
            received += read_all(tls)
        assert received.count(b"data: ") == 3

    @pytest.mark.parametrize("after", [0, 1, 100, 100_000])
    def test_04_clients_that_vanish(self, httpd, server, after):
        server().docs.joinpath("file").write_bytes(b"x" * 1_000_000)
        for _ in range(5):
            tls = connect(httpd, "a.test")
            tls.sendall(request("a.test", "/file"))
            if after:
                tls.recv(after)
            tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            socket.socket(fileno=tls.detach()).close()
        assert curl(httpd, "a.test").code == 200

    def test_05_many_at_once(self, httpd, server):
        server()
        failures = []

        def fetch():
            try:
                for _ in range(20):
                    with connect(httpd, "a.test", ctx=ctx) as tls:
                        tls.sendall(request("a.test"))
                        assert read_all(tls).endswith(b"hello\n")
            except Exception as e:
                failures.append(e)

        ctx = context(httpd)
        threads = [threading.Thread(target=fetch) for _ in range(10)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert not failures


def max_rss(httpd):
    """The largest resident set of all children, in KiB."""
    return max(resident(pid) for pid in httpd.children())
