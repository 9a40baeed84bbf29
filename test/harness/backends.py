# SPDX-License-Identifier: Apache-2.0
"""Backends for the proxy: correct and faulty ones."""

import contextlib
import socket
import ssl
import struct
import subprocess
import threading

from harness.httpd import wait_for

# The modules for HTTP/1.1 backends.
PROXY_MODULES = ["proxy", "proxy_http", "slotmem_shm"]


class Backend:
    """A server on its own port, with a thread for each connection. Its responses describe the request."""

    def __init__(self, port, ctx=None, host="127.0.0.1"):
        self.port, self._ctx = port, ctx
        self.names = []
        if ctx:
            ctx.sni_callback = lambda sock, name, ctx: self.names.append(name)
        self.handshakes, self.resumed, self.alpn = 0, 0, []
        self._open = []
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family)
        self._listener.settimeout(0.2)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        while not self._stopping.is_set():
            with contextlib.suppress(OSError):
                sock, _ = self._listener.accept()
                self._open.append(sock)
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        with contextlib.suppress(OSError), sock:
            if self._ctx:
                sock = self._ctx.wrap_socket(sock, server_side=True)
                self.handshakes += 1
                self.resumed += sock.session_reused
                self.alpn.append(sock.selected_alpn_protocol())
            self.handle(sock)

    def handle(self, sock):
        """Answers each request with the request's head and the subject of the client's certificate."""
        with sock, sock.makefile("rb") as stream:
            while True:
                head = []
                while (line := stream.readline()) not in (b"\r\n", b""):
                    head.append(line)
                if not head:
                    return
                lengths = [int(h.split(b":")[1]) for h in head if h.lower().startswith(b"content-length:")]
                body = stream.read(sum(lengths))
                peer = sock.getpeercert() if isinstance(sock, ssl.SSLSocket) else None
                subject = dict(pair for rdn in peer["subject"] for pair in rdn) if peer else {}
                text = f"client={subject.get('commonName')} port={self.port}\n".encode() + b"".join(head) + body
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text)

    def stop(self):
        self._stopping.set()
        self._thread.join()
        self._listener.close()
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


class Stalling(Backend):
    """Accepts connections and sends nothing."""

    def _serve(self, sock):
        self._stopping.wait()


class Resetting(Backend):
    """Resets the connection after the ClientHello."""

    def _serve(self, sock):
        sock.recv(10)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()


class PlainText(Backend):
    """An HTTP server without TLS."""

    def _serve(self, sock):
        with sock:
            sock.recv(1000)
            sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def context(directory, issued, name="backend", client_ca=None, alpn=None):
    """A server's context with the certificate `issued`. With `client_ca`, clients need a certificate of that CA."""
    issued.write(directory, name)
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ctx.load_cert_chain(directory / f"{name}.pem", directory / f"{name}.key")
    if client_ca:
        ctx.load_verify_locations(client_ca)
        ctx.verify_mode = ssl.CERT_REQUIRED
    if alpn:
        ctx.set_alpn_protocols(alpn)
    return ctx


def listens(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True


@contextlib.contextmanager
def nghttpd(directory, issued, port, *args):
    """Runs nghttpd, an HTTP/2 server of the files in `htdocs`, with the certificate `issued`. Yields a function that
    returns the lines that nghttpd has printed."""
    issued.write(directory, "nghttpd")
    log = directory / "nghttpd.log"
    files = [directory / "nghttpd.key", directory / "nghttpd.pem"]
    command = ["stdbuf", "-oL", "nghttpd", "-d", directory / "htdocs", *args, str(port), *files]
    with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT) as process:
        try:
            wait_for(lambda: listens(port), "nghttpd")
            yield lambda: log.read_text().splitlines()
        finally:
            process.terminate()
