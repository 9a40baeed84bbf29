# SPDX-License-Identifier: Apache-2.0
"""Alerts: a refused client receives an alert before the connection is closed."""

import socket
import ssl
import struct
import subprocess

import pytest

from harness.clients import MemoryClient, connect, plaintext_alert, raw_connection, read_all, records, request

CLOSE_NOTIFY, UNEXPECTED_MESSAGE, BAD_RECORD_MAC, DECODE_ERROR = 0, 10, 20, 50


def alert_for(httpd, data):
    with raw_connection(httpd) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        return plaintext_alert(read_all(sock))


def record(kind, payload, version=0x0301):
    return struct.pack("!BHH", kind, version, len(payload)) + payload


class TestHello:
    def test_01_byte_by_byte(self, server):
        client = MemoryClient(server, "a.test")
        with raw_connection(server) as sock:
            for byte in client.hello():
                sock.sendall(bytes([byte]))
            client.incoming.write(sock.recv(65536))
            client.handshake(sock)
            client.tls.write(request("a.test"))
            sock.sendall(client.outgoing.read())
            client.incoming.write(read_all(sock))
            assert b"200 OK" in client.tls.read()

    def test_02_malformed(self, server):
        hello = bytearray(MemoryClient(server, "a.test").hello())
        # The length of the session id. It now exceeds the message.
        hello[5 + 4 + 2 + 32] = 255
        assert alert_for(server, bytes(hello)) == DECODE_ERROR

    def test_03_oversized(self, server):
        huge = b"\x01" + (200_000).to_bytes(3, "big") + bytes(16000)
        assert (
            alert_for(server, record(22, huge) + b"".join(record(22, bytes(16000)) for _ in range(5))) == DECODE_ERROR
        )

    def test_04_record_too_long(self, server):
        assert alert_for(server, struct.pack("!BHH", 22, 0x0301, 0xFFFF) + bytes(1000)) in (DECODE_ERROR, 22)

    def test_05_not_a_hello(self, server):
        assert alert_for(server, record(23, b"data")) in (UNEXPECTED_MESSAGE, DECODE_ERROR)

    def test_06_garbage(self, server):
        for data in (b"\x00" * 100, b"\xff" * 100, b"\x16\x03\x01\x00\x00", b"\x80\x2e\x01\x00\x02" + bytes(50)):
            alert_for(server, data)
        with connect(server, "a.test") as tls:
            tls.sendall(request("a.test"))
            assert b"200 OK" in read_all(tls)


class TestEstablished:
    def established(self, server, version=None):
        client = MemoryClient(server, "a.test")
        sock = raw_connection(server)
        client.handshake(sock)
        return client, sock

    def check_close_notify(self, client, sock):
        """Sends close_notify. The server answers with its own."""
        sock.settimeout(3)
        with pytest.raises(ssl.SSLWantReadError):
            client.tls.unwrap()
        sock.sendall(client.outgoing.read())
        client.incoming.write(read_all(sock))
        client.tls.unwrap()

    def test_01_bad_record(self, server):
        client, sock = self.established(server)
        with sock:
            sock.sendall(record(23, bytes(50), 0x0303))
            client.incoming.write(read_all(sock))
            with pytest.raises(ssl.SSLError, match="BAD_RECORD_MAC|bad record mac"):
                client.tls.read()

    def test_02_nothing_follows_a_fatal_alert(self, server):
        client, sock = self.established(server)
        with sock:
            sock.sendall(record(23, bytes(50), 0x0303))
            # Two tickets, then the alert. No close_notify follows.
            sizes = [len(payload) for _, payload in records(read_all(sock))]
        assert sizes.count(19) == 1 and sizes[-1] == 19

    def test_03_close_notify_is_answered(self, server):
        client, sock = self.established(server)
        with sock:
            client.tls.write(request("a.test", close=False))
            sock.sendall(client.outgoing.read())
            while True:
                client.incoming.write(sock.recv(65536))
                try:
                    assert b"200 OK" in client.tls.read()
                    break
                except ssl.SSLWantReadError:
                    continue
            self.check_close_notify(client, sock)

    def test_04_close_notify_before_a_request(self, server):
        client, sock = self.established(server)
        with sock:
            self.check_close_notify(client, sock)

    def test_05_key_update_is_answered_at_once(self, server):
        """openssl s_client sends a KeyUpdate with a request when it reads a line `K`."""
        run = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-servername", "a.test", "-msg", "-tls1_3"],
            input=b"K\n",
            capture_output=True,
            timeout=30,
        )
        assert run.stdout.count(b"KeyUpdate") >= 1
