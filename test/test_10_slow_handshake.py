# SPDX-License-Identifier: Apache-2.0
"""Clients that stall in the handshake use memory, but no workers."""

import socket
import time

import pytest

from harness.clients import MemoryClient, curl, raw_connection
from harness.httpd import wait_for

THREADS = (
    "StartServers 1\nServerLimit 1\nThreadsPerChild 64\nMaxRequestWorkers 64\nMinSpareThreads 1\nMaxSpareThreads 64"
)


@pytest.mark.parametrize("sent", [0, 1, 50, -1], ids=["nothing", "a-byte", "a-part", "all-but-one"])
def test_01_500_half_sent_hellos(httpd, sent):
    # All of them may be in use for a moment.
    httpd.log.allow("AH00484")
    httpd.start(f"TLSEngine {httpd.port}", "AsyncRequestWorkerFactor 20", httpd.vhost("a.test"), limits=THREADS)
    hello = MemoryClient(httpd, "a.test").hello()[:sent]
    stalled = []
    try:
        for _ in range(500):
            sock = raw_connection(httpd)
            stalled.append(sock)
            sock.sendall(hello)
        began = time.monotonic()
        assert curl(httpd, "a.test").text == "hello"
        assert time.monotonic() - began < 5
    finally:
        for sock in stalled:
            sock.close()
    assert curl(httpd, "a.test").code == 200


@pytest.mark.parametrize("mpm", ["event", "worker"])
def test_02_request_read_timeout(httpd, mpm):
    httpd.start(
        f"TLSEngine {httpd.port}",
        "RequestReadTimeout handshake=1",
        httpd.vhost("a.test"),
        mpm=mpm,
        modules=["reqtimeout"],
    )
    hello = MemoryClient(httpd, "a.test").hello()
    with raw_connection(httpd) as sock:
        sock.sendall(hello[:50])
        began = time.monotonic()
        while sock.recv(1000):
            pass
        assert 0.5 < time.monotonic() - began < 5
    wait_for(lambda: "handshake read timeout" in httpd.log.text(), "the timeout to be logged")
    assert curl(httpd, "a.test").code == 200


def test_03_bytes_prolong_the_time(httpd):
    httpd.start(
        f"TLSEngine {httpd.port}",
        "RequestReadTimeout handshake=1-8,MinRate=100",
        httpd.vhost("a.test"),
        modules=["reqtimeout"],
    )
    hello = MemoryClient(httpd, "a.test").hello()
    with raw_connection(httpd) as sock:
        sock.settimeout(0.02)
        for at in range(0, len(hello), 5):
            sock.sendall(hello[at : at + 5])
            try:
                assert sock.recv(10), "closed while bytes were arriving"
                break
            except socket.timeout:
                pass
