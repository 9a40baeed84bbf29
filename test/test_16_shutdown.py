# SPDX-License-Identifier: Apache-2.0
"""The end of connections."""

import socket
import ssl
import threading
import time

import pytest

from harness.cgi import add_cgi
from harness.clients import connect, context, curl, read_all, request
from harness.httpd import wait_for


@pytest.fixture
def server(httpd):
    httpd.start(f"TLSEngine {httpd.port}", "KeepAliveTimeout 1", httpd.vhost("a.test"))
    return httpd


def test_01_close_notify_ends_a_response(server):
    """Python raises an error if a connection ends without close_notify."""
    with connect(server, "a.test") as tls:
        tls.suppress_ragged_eofs = False
        tls.sendall(request("a.test"))
        assert read_all(tls).endswith(b"hello\n")


def test_02_close_notify_ends_a_keepalive(server):
    with connect(server, "a.test") as tls:
        tls.suppress_ragged_eofs = False
        tls.sendall(request("a.test", close=False))
        began = time.monotonic()
        read_all(tls)
        assert time.monotonic() - began < 5


def test_03_half_closed_clients_get_their_response(server):
    """A client that has sent close_notify may still read (RFC 8446 section 6.1)."""
    ctx = context(server)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ctx.wrap_bio(incoming, outgoing, server_hostname="a.test")
    with socket.create_connection(("127.0.0.1", server.port), 10) as sock:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(outgoing.read())
                incoming.write(sock.recv(65536))
        tls.write(request("a.test"))
        with pytest.raises(ssl.SSLWantReadError):
            tls.unwrap()
        sock.sendall(outgoing.read())
        assert len(read_all(sock)) > 300


def test_04_a_stop_ends_idle_connections(server):
    with connect(server, "a.test") as tls:
        tls.sendall(request("a.test", close=False))
        tls.recv(1000)
        server.stop()
        assert tls.recv(1000) == b""


def test_05_websocket(httpd, ports):
    """Upgraded connections carry any data in both directions."""
    backend = ports.take()
    stop = threading.Event()

    def echo():
        with socket.create_server(("127.0.0.1", backend)) as listener:
            conn, _ = listener.accept()
            head = b""
            while b"\r\n\r\n" not in head:
                head += conn.recv(1000)
            conn.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
            while data := conn.recv(1000):
                conn.sendall(data.upper())
            conn.close()
            stop.set()

    thread = threading.Thread(target=echo, daemon=True)
    thread.start()
    httpd.start(
        f"TLSEngine {httpd.port}",
        f'ProxyPass "/ws" "ws://127.0.0.1:{backend}/ws"',
        httpd.vhost("a.test"),
        modules=["proxy", "proxy_http", "proxy_wstunnel"],
    )
    with connect(httpd, "a.test") as tls:
        headers = "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        tls.sendall(request("a.test", "/ws", close=False, headers=headers))
        assert tls.recv(1000).startswith(b"HTTP/1.1 101")
        for word in (b"one", b"two", b"x" * 500):
            tls.sendall(word)
            received = b""
            while len(received) < len(word):
                received += tls.recv(1000)
            assert received == word.upper()
    wait_for(stop.is_set, "the backend to see the end")


def test_06_upload_that_is_truncated(httpd):
    httpd.start(
        f"TLSEngine {httpd.port}",
        *add_cgi(httpd, "cat", "#!/bin/sh\necho 'Content-Type: text/plain'\necho\ncat\n"),
        httpd.vhost("a.test"),
        modules=["cgid"],
    )
    with connect(httpd, "a.test") as tls:
        head = request("a.test", "/cgi-bin/cat", method="POST", headers="Transfer-Encoding: chunked\r\n")
        tls.sendall(head + b"5\r\nhello\r\n")
        raw = socket.socket(fileno=tls.detach())
        raw.shutdown(socket.SHUT_WR)
        raw.close()
    wait_for(lambda: any("/cgi-bin/cat" in line for line in httpd.access_lines()), "the request to be logged")
    assert not any(line.endswith(" 200") for line in httpd.access_lines())
    httpd.log.expect("AH01270|Error reading request entity data")
    assert curl(httpd, "a.test").code == 200
