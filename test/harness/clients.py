# SPDX-License-Identifier: Apache-2.0
"""Clients: curl, openssl s_client, Python, and plain sockets."""

import contextlib
import re
import socket
import ssl
import subprocess
from dataclasses import dataclass, field

TIMEOUT = 30


@dataclass
class Response:
    code: int
    version: str = ""
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    exit: int = 0
    trace: str = ""

    @property
    def text(self):
        return self.body.decode(errors="replace").strip()


def curl(httpd, host, path="/", *args, port=None, address="127.0.0.1", connect=None):
    """Requests `path` of `host`. The connection goes to `address`. `connect` is the server name, if it differs from
    `host`."""
    port = port or httpd.port
    name = connect or host
    bracketed = f"[{address}]" if ":" in address else address
    command = ["curl", "-sSv", "--path-as-is", "--max-time", str(TIMEOUT), "--cacert", httpd.ca_file, "-D", "-"]
    command += ["--resolve", f"{name}:{port}:{bracketed}", *args, f"https://{name}:{port}{path}"]
    if connect:
        command[1:1] = ["-H", f"Host: {host}:{port}"]
    run = subprocess.run(command, capture_output=True, timeout=300)
    return _parse(run)


def plain_get(httpd, path="/", *args, port=None):
    """Requests `path` in plain HTTP. Returns the status and the body."""
    url = f"http://127.0.0.1:{port or httpd.plain_port}{path}"
    command = ["curl", "-sS", "--max-time", str(TIMEOUT), "-w", "\n%{http_code}", *args, url]
    body, _, code = subprocess.run(command, capture_output=True, text=True).stdout.rpartition("\n")
    return int(code), body


def _parse(run):
    trace = run.stderr.decode(errors="replace")
    rest = run.stdout
    response = Response(0, exit=run.returncode, trace=trace)
    while re.match(rb"HTTP/[0-9.]+ ", rest):
        head, _, rest = rest.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        version, code = lines[0].split(" ")[:2]
        headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        response.code, response.version = int(code), version.removeprefix("HTTP/")
        response.headers = {k.lower(): v for k, v in headers.items()}
    response.body = rest
    return response


@dataclass
class Session:
    output: str

    def _find(self, pattern):
        found = re.search(pattern, self.output)
        return found.group(1) if found else None

    @property
    def protocol(self):
        return self._find(r"(?:New|Reused), (TLSv[0-9.]+), Cipher is")

    @property
    def cipher(self):
        found = self._find(r"(?:New|Reused), [^,]*, Cipher is (\S+)")
        return None if found == "(NONE)" else found

    @property
    def reused(self):
        return "Reused, TLS" in self.output

    @property
    def subject(self):
        return self._find(r"subject=(.*)")

    @property
    def alert(self):
        return self._find(r"SSL alert number (\d+)")

    @property
    def alpn(self):
        return self._find(r"ALPN protocol: (\S+)")


def s_client(httpd, *args, name=None, send=b"", port=None):
    """Runs openssl s_client with the server name `name`. `send` is sent after the handshake."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port or httpd.port}", "-CAfile", httpd.ca_file]
    command += ["-servername", name] if name else ["-noservername"]
    if send:
        command += ["-quiet", "-no_ign_eof"] if "-quiet" in args else ["-ign_eof"]
    run = subprocess.run([*command, *args], input=send, capture_output=True, timeout=TIMEOUT)
    return Session((run.stdout + run.stderr).decode(errors="replace"))


def session_text(file):
    """The text of a session in a file that openssl wrote."""
    command = ["openssl", "sess_id", "-in", file, "-noout", "-text"]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT).stdout


def request(host, path="/", close=True, method="GET", headers=""):
    end = "Connection: close\r\n" if close else ""
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{headers}{end}\r\n".encode()


def context(httpd, version=None, alpn=None):
    ctx = ssl.create_default_context(cafile=str(httpd.ca_file))
    # What is offered otherwise depends on how Python was built.
    ctx.minimum_version = version or ssl.TLSVersion.TLSv1_2
    if version:
        ctx.maximum_version = version
    if alpn:
        ctx.set_alpn_protocols(alpn)
    return ctx


def connect(httpd, host, *, ctx=None, port=None, session=None):
    """A TLS connection by Python's ssl, with nothing read from it."""
    raw = socket.create_connection(("127.0.0.1", port or httpd.port), TIMEOUT)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return (ctx or context(httpd)).wrap_socket(raw, server_hostname=host, session=session)


def read_all(sock):
    chunks = []
    while True:
        chunk = sock.recv(65536)
        if not chunk:
            return b"".join(chunks)
        chunks.append(chunk)


def read_response(stream):
    """Reads one HTTP/1.1 response, with a Content-Length or chunked, from a stream. Returns status, headers and
    body."""
    status = int(stream.readline().split(b" ")[1])
    headers = {}
    while (line := stream.readline()) not in (b"\r\n", b""):
        name, _, value = line.partition(b":")
        headers[name.strip().lower().decode()] = value.strip().decode()
    if headers.get("transfer-encoding") == "chunked":
        return status, headers, b"".join(_chunks(stream))
    return status, headers, stream.read(int(headers.get("content-length", 0)))


def _chunks(stream):
    while size := int(stream.readline(), 16):
        yield stream.read(size)
        stream.readline()
    stream.readline()


class MemoryClient:
    """A TLS client without a socket. The test sends and receives its bytes."""

    def __init__(self, httpd, host, ctx=None):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        ctx = ctx or context(httpd)
        self.tls = ctx.wrap_bio(self.incoming, self.outgoing, server_hostname=host)

    def hello(self):
        """The ClientHello."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self.outgoing.read()

    def handshake(self, sock):
        """Completes the handshake over a socket."""
        while True:
            try:
                self.tls.do_handshake()
                sock.sendall(self.outgoing.read())
                return
            except ssl.SSLWantReadError:
                sock.sendall(self.outgoing.read())
                self.incoming.write(sock.recv(65536))


def raw_connection(httpd, port=None):
    sock = socket.create_connection(("127.0.0.1", port or httpd.port), TIMEOUT)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def records(data):
    """The TLS records in `data`: type and payload of each."""
    found = []
    while len(data) >= 5:
        length = int.from_bytes(data[3:5], "big")
        found.append((data[0], data[5 : 5 + length]))
        data = data[5 + length :]
    return found


def plaintext_alert(data):
    """The description of the alert at the end of `data`; None if there is none."""
    found = records(data)
    if found and found[-1][0] == 21 and len(found[-1][1]) == 2:
        return found[-1][1][1]
    return None
