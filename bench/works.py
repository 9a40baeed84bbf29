# SPDX-License-Identifier: Apache-2.0
"""What is measured. A work does something with a server and returns how much of it it did."""

import concurrent.futures
import re
import socket
import ssl
import subprocess
from dataclasses import dataclass
from typing import Callable

MIB = 1 << 20
FILES = {"1k": 1 << 10, "10k": 10 << 10, "100k": 100 << 10, "100m": 100 * MIB}
IDLE = 500


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command} failed: {done.stderr or done.stdout}")
    return done.stdout


def download(server, clients=1, times=3):
    """Gigabytes."""

    def one(_):
        urls = [word for _ in range(times) for word in ("-o", "/dev/null", server.url("/100m"))]
        run("curl", "-sS", "--http1.1", "--cacert", server.ca_file, *urls)

    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        list(pool.map(one, range(clients)))
    return clients * times * FILES["100m"] / 1e9


def upload(server):
    """Gigabytes. What is sent is read and thrown away: the answer is 405."""
    run("curl", "-sS", "--http1.1", "-H", "Expect:", "--cacert", server.ca_file, "-o", "/dev/null", "-T",
        server.docs / "100m", server.url("/1k"))  # fmt: skip
    return FILES["100m"] / 1e9


def connections(server, version="TLS1.3", count=2000):
    """New connections with a request each."""
    protocol = [] if server.kind == "plain" else ["-f", version]
    run("ab", "-q", "-n", count, "-c", 8, *protocol, server.url("/1k"))
    return count


def resumed(server, version="-tls1_3", seconds=3):
    """Resumed connections with a request each."""
    if server.kind == "plain":
        return connections(server)
    output = run("openssl", "s_time", "-connect", f"localhost:{server.port}", "-reuse", "-www", "/1k", "-time", seconds,
                 version)  # fmt: skip
    return int(re.findall(r"(\d+) connections in \d+ real", output)[-1])


def requests(server, file="10k", count=30_000, http2=False):
    """Requests on connections that are kept."""
    protocol = [] if http2 else ["--h1"]
    output = run("h2load", "-n", count, "-c", 8, "-m", 4 if http2 else 1, *protocol, server.url(f"/{file}"))
    done = int(re.search(r"(\d+) succeeded", output).group(1))
    if done != count:
        raise RuntimeError(f"{count - done} requests failed")
    return done


def idle(server):
    """KiB for each connection that waits for its next request."""
    context = None
    if server.kind != "plain":
        context = ssl.create_default_context(cafile=str(server.ca_file))
    before, kept = server.memory(), []
    for _ in range(IDLE):
        sock = socket.create_connection(("127.0.0.1", server.port))
        if context:
            sock = context.wrap_socket(sock, server_hostname="localhost")
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
class Work:
    """Something that is measured."""

    title: str
    unit: str
    do: Callable
    """Returns the amount of work that it did; with `direct`, the figure itself."""
    scale: float = 1e6
    key: str = "p256"
    plain: bool = True
    direct: bool = False
    target: float | None = None
    """The ratio to mod_ssl that is wanted, or (`direct`) the figure."""


WORKS = {
    "download": Work("download, 1 connection", "s/GB", download, 1, target=0.45),
    "download-16": Work("download, 16 connections", "s/GB", lambda s: download(s, 16, 1), 1),
    "upload": Work("upload", "s/GB", upload, 1),
    "new-ecdsa": Work("new connection, TLS 1.3, ECDSA", "µs", connections, target=0.48),
    "new-rsa": Work("new connection, TLS 1.3, RSA 2048", "µs", connections, key="rsa2048", target=0.65),
    "new-ecdsa-12": Work("new connection, TLS 1.2, ECDSA", "µs", lambda s: connections(s, "TLS1.2")),
    "new-rsa-12": Work("new connection, TLS 1.2, RSA 2048", "µs", lambda s: connections(s, "TLS1.2"), key="rsa2048"),
    "resumed": Work("resumed connection, TLS 1.3", "µs", resumed, target=0.50),
    "resumed-12": Work("resumed connection, TLS 1.2", "µs", lambda s: resumed(s, "-tls1_2"), plain=False),
    "get-1k": Work("request of 1 KiB, HTTP/1.1", "µs", lambda s: requests(s, "1k")),
    "get-10k": Work("request of 10 KiB, HTTP/1.1", "µs", requests, target=0.33),
    "get-100k": Work("request of 100 KiB, HTTP/1.1", "µs", lambda s: requests(s, "100k", 10_000)),
    "h2-1k": Work("request of 1 KiB, HTTP/2", "µs", lambda s: requests(s, "1k", http2=True), plain=False),
    "h2-10k": Work("request of 10 KiB, HTTP/2", "µs", lambda s: requests(s, http2=True), plain=False),
    "h2-100k": Work("request of 100 KiB, HTTP/2", "µs", lambda s: requests(s, "100k", 10_000, True), plain=False),
    "idle": Work("idle connection", "KiB", idle, direct=True, target=40),
}
