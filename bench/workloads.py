# SPDX-License-Identifier: Apache-2.0
"""Workloads. Each one loads a server, and returns the amount of work that was done."""

import concurrent.futures
import contextlib
import os
import re
import socket
import ssl
import subprocess
import time
from dataclasses import dataclass
from typing import Callable

MIB = 1 << 20
FILES = {"1k": 1 << 10, "10k": 10 << 10, "100k": 100 << 10, "100m": 100 * MIB}
IDLE = 500
SLOW = 500
PATIENCE = 5
RUSTLS_CLIENT = os.environ.get("TLS_RUSTLS_CLIENT")


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command} failed: {done.stderr or done.stdout}")
    return done.stdout


def download(server, clients=1, times=10):
    """Returns gigabytes."""

    def one(_):
        urls = [word for _ in range(times) for word in ("-o", "/dev/null", server.url("/100m"))]
        run("curl", "-sS", "--http1.1", "--cacert", server.ca_file, *urls)

    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        list(pool.map(one, range(clients)))
    return clients * times * FILES["100m"] / 1e9


def upload(server, clients=1, times=10):
    """Returns gigabytes. The server discards the data and answers 405."""

    def one(_):
        file, url = server.docs / "100m", server.url("/1k")
        words = [word for _ in range(times) for word in ("-o", "/dev/null", "-T", file, url)]
        run("curl", "-sS", "--http1.1", "-H", "Expect:", "--cacert", server.ca_file, *words)

    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        list(pool.map(one, range(clients)))
    return clients * times * FILES["100m"] / 1e9


def connections(server, version="TLS1.3", count=2000):
    """New connections with one request each."""
    protocol = [] if server.kind == "plain" else ["-f", version]
    run("ab", "-q", "-n", count, "-c", 8, *protocol, server.url("/1k"))
    return count


def post_quantum(server, count=300):
    """New connections with X25519MLKEM768 and one request each. OpenSSL 3.0 does not support it, so the client is
    rustls."""
    run(RUSTLS_CLIENT, server.port, "localhost", server.ca_file, count)
    return count


def resumed(server, version="-tls1_3", seconds=3):
    """Resumed connections with one request each."""
    if server.kind == "plain":
        return connections(server)
    output = run("openssl", "s_time", "-connect", f"localhost:{server.port}", "-reuse", "-www", "/1k", "-time", seconds,
                 version)  # fmt: skip
    return int(re.findall(r"(\d+) connections in \d+ real", output)[-1])


def requests(server, file="10k", count=30_000, http2=False):
    """Requests on kept connections."""
    protocol = [] if http2 else ["--h1"]
    output = run("h2load", "-n", count, "-c", 8, "-m", 4 if http2 else 1, *protocol, server.url(f"/{file}"))
    done = int(re.search(r"(\d+) succeeded", output).group(1))
    if done != count:
        raise RuntimeError(f"{count - done} requests failed")
    return done


def connect(server, host="localhost"):
    sock = socket.create_connection(("127.0.0.1", server.port))
    if server.kind == "plain":
        return sock
    return ssl.create_default_context(cafile=str(server.ca_file)).wrap_socket(sock, server_hostname=host)


def slow(server):
    """The seconds until a request is answered while many clients stall after half of a ClientHello."""
    memory = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), memory, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    half = memory.read()[:100]
    stalled = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(SLOW)]
    for sock in stalled:
        sock.sendall(half)
    began = time.monotonic()
    arguments = ["-sS", "-o", "/dev/null", "--max-time", PATIENCE, "--cacert", server.ca_file, server.url("/1k")]
    subprocess.run(["curl", *(str(word) for word in arguments)], capture_output=True)
    took = time.monotonic() - began
    for sock in stalled:
        sock.close()
    return took


def latency(server, part, rate=1500, seconds=4, clients=16):
    """The time in ms in which the fraction `part` of all requests is answered, under a constant load."""
    log = server.root / "latency"
    log.unlink(missing_ok=True)
    protocol = [] if server.kind == "plain" else ["--npn-list", "http/1.1"]
    arguments = ["--rps", rate / clients, "-D", seconds, "-c", clients, "--h1", f"--log-file={log}"]
    run("h2load", *arguments, *protocol, server.url("/10k"))
    # The fields of a line: the start of the request, its status, its duration in µs.
    times = sorted(int(line.split()[2]) for line in log.read_text().splitlines())
    return times[min(int(len(times) * part), len(times) - 1)] / 1000


def handshake_latency(server, part, rate=200, seconds=5, clients=8):
    """The time in ms in which the fraction `part` of new connections is established; `rate` begin each second."""
    began, count = time.monotonic() + 0.1, rate * seconds

    def establish(number):
        time.sleep(max(0, began + number / rate - time.monotonic()))
        start = time.monotonic()
        with connect(server):
            return time.monotonic() - start

    connections(server, count=200)
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        times = sorted(pool.map(establish, range(count)))
    return times[min(int(count * part), count - 1)] * 1000


def idle(server):
    """KiB for each idle connection."""
    # Memory that is allocated once for each thread is not counted.
    connections(server)
    before, kept = server.memory(), []
    for _ in range(IDLE):
        sock = connect(server)
        sock.sendall(b"GET /10k HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = 0
        while received < FILES["10k"]:
            received += len(sock.recv(65536))
        kept.append(sock)
    used = (server.memory() - before) / IDLE
    for sock in kept:
        sock.close()
    return used


@dataclass(frozen=True)
class Workload:
    """A workload."""

    title: str
    unit: str
    do: Callable
    """Returns the amount of work; with `direct`, the figure itself."""
    scale: float = 1e6
    key: str = "p256"
    without: tuple = ()
    """The servers that cannot run it, or for which its figure means nothing."""
    backend: str | None = None
    """The kind of the backend."""
    direct: bool = False
    target: float | None = None
    """The greatest ratio to mod_ssl that is wanted."""
    limit: float | None = None
    """The greatest figure that is wanted."""


def proxied(server):
    """Proxied requests."""
    return requests(server, count=10_000)


WORKLOADS = {
    "download": Workload("download, 1 connection", "s/GB", download, 1, target=0.33),
    "download-16": Workload("download, 16 connections", "s/GB", lambda s: download(s, 16, 1), 1),
    "upload": Workload("upload, 1 connection", "s/GB", upload, 1, without=("nginx",), target=0.70),
    "upload-16": Workload(
        "upload, 16 connections", "s/GB", lambda s: upload(s, 16, 1), 1, without=("nginx",), target=0.65
    ),
    "new-ecdsa": Workload("new connection, TLS 1.3, ECDSA", "µs", connections, target=0.50),
    "new-rsa": Workload("new connection, TLS 1.3, RSA 2048", "µs", connections, key="rsa2048", target=0.66),
    "new-ecdsa-12": Workload("new connection, TLS 1.2, ECDSA", "µs", lambda s: connections(s, "TLS1.2"), target=0.60),
    "new-rsa-12": Workload(
        "new connection, TLS 1.2, RSA 2048", "µs", lambda s: connections(s, "TLS1.2"), key="rsa2048"
    ),
    "new-mlkem": Workload(
        "new connection, TLS 1.3, ECDSA, X25519MLKEM768", "µs", post_quantum, without=("plain", "mod_ssl", "nginx")
    ),
    "resumed": Workload("resumed connection, TLS 1.3", "µs", resumed, target=0.56),
    "resumed-12": Workload(
        "resumed connection, TLS 1.2", "µs", lambda s: resumed(s, "-tls1_2"), without=("plain",), target=0.70
    ),
    "get-1k": Workload("request of 1 KiB, HTTP/1.1", "µs", lambda s: requests(s, "1k")),
    "get-10k": Workload("request of 10 KiB, HTTP/1.1", "µs", requests, target=0.43),
    "get-100k": Workload("request of 100 KiB, HTTP/1.1", "µs", lambda s: requests(s, "100k", 10_000)),
    "h2-1k": Workload(
        "request of 1 KiB, HTTP/2", "µs", lambda s: requests(s, "1k", http2=True), without=("plain",), target=0.80
    ),
    "h2-10k": Workload(
        "request of 10 KiB, HTTP/2", "µs", lambda s: requests(s, http2=True), without=("plain",), target=0.80
    ),
    "h2-100k": Workload(
        "request of 100 KiB, HTTP/2",
        "µs",
        lambda s: requests(s, "100k", 10_000, True),
        without=("plain",),
        target=0.65,
    ),
    "proxy-http": Workload("proxied request of 10 KiB, http backend", "µs", proxied, backend="plain"),
    "proxy-https": Workload(
        "proxied request of 10 KiB, https backend", "µs", proxied, without=("plain",), backend="mod_ssl", target=0.70
    ),
    "latency-50": Workload("latency, median", "ms", lambda s: latency(s, 0.5), direct=True),
    "latency-99": Workload("latency, 99 of 100", "ms", lambda s: latency(s, 0.99), direct=True),
    "latency-999": Workload("latency, 999 of 1000", "ms", lambda s: latency(s, 0.999), direct=True, target=0.80),
    "handshake-99": Workload(
        "new connection, 200 a second, 99 of 100", "ms", lambda s: handshake_latency(s, 0.99), direct=True
    ),
    "slow": Workload("500 stalled handshakes, then a request", "s", slow, without=("plain",), direct=True, limit=0.02),
    "idle": Workload("idle connection", "KiB", idle, direct=True, limit=40),
}
