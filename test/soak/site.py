# SPDX-License-Identifier: Apache-2.0
"""The server of the soak test: virtual hosts of both records, backends, files."""

import hashlib
import random
import subprocess
import tempfile
from pathlib import Path

from harness import backends
from harness.certs import Authority
from harness.client_certs import ClientCa
from harness.clients import context
from harness.httpd import Httpd, Installation
from harness.ports import Ports
from soak.echo import Echo, Tunnel
from soak.sanitizer import Sanitizer

MODULES = ["proxy", "proxy_http", "proxy_http2", "proxy_wstunnel", "slotmem_shm", "dav", "dav_fs", "dav_lock"]
FILES = {"empty": 0, "tiny": 100, "small": 10_000, "medium": 300_000, "large": 6_000_000}
TIMEOUT = 20
CHILDREN, THREADS = 2, 16
# Children live until they are stopped, and there is more than one. Old children may be busy while new ones serve.
LIMITS = f"""ServerLimit {CHILDREN * 8}
StartServers {CHILDREN}
ThreadsPerChild {THREADS}
ThreadLimit {THREADS}
MaxRequestWorkers {CHILDREN * THREADS * 2}
MinSpareThreads {THREADS + 1}
MaxSpareThreads {CHILDREN * THREADS * 2}
MaxMemFree 64"""


class Site:
    """An httpd with `tls_module` and `ssl_module`, and two backends in Python."""

    def __init__(self, seed, sanitize=False):
        self.ports, self.authority = Ports(), Authority()
        self.root = Path(tempfile.mkdtemp(prefix="tls-soak-"))
        self.httpd = Httpd(Installation(), self.root, self.ports, self.authority)
        self.ssl_port = self.ports.take()
        # With many malloc arenas, each at its own peak, it takes long to see growth.
        self.httpd.environment["MALLOC_ARENA_MAX"] = "1"
        self.tmpfs = self.root / "tmpfs"
        self.sanitizer = Sanitizer(self.httpd) if sanitize else None
        self.digests = self._write_files(random.Random(seed))
        self._issue_for_clients()
        ctx = backends.context(self.root, self.authority.server("localhost"), "backend")
        self.echo, self.tunnel = Echo(self.ports.take(), ctx), Tunnel(self.ports.take(), ctx)

    # --- files ---

    def _write_files(self, rng):
        digests = {}
        for name, size in FILES.items():
            data = rng.randbytes(size)
            self.httpd.docs.joinpath(name).write_bytes(data)
            digests[name] = hashlib.sha256(data).hexdigest()
        return digests

    def _issue_for_clients(self):
        client_ca = ClientCa()
        self.root.joinpath("people.pem").write_bytes(client_ca.pem)
        self.client_arguments = client_ca.client("alice").write(self.root, "alice")
        self.client_files = self.root / "alice.pem", self.root / "alice.key"

    def mount(self):
        """Mounts a small file system for uploads and for the logs of their virtual host."""
        self.tmpfs.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=0777", "tmpfs", self.tmpfs], check=True)
        self.tmpfs.joinpath("uploads").mkdir()
        self.tmpfs.joinpath("uploads").chmod(0o777)

    def unmount(self):
        if self.tmpfs.is_mount():
            subprocess.run(["umount", "--lazy", self.tmpfs], check=True)

    # --- configuration ---

    def _proxied(self, port):
        """Paths to backends: those in Python, this server itself by HTTP/1.1 and by HTTP/2, and a tunnel."""
        return [
            f"ProxyPass /echo https://localhost:{self.echo.port}/ retry=0",
            f"ProxyPass /self/ https://localhost:{port}/ retry=0",
            f"ProxyPass /self2/ h2://localhost:{port}/ retry=0",
            f"ProxyPass /tunnel wss://localhost:{self.tunnel.port}/ retry=0",
        ]

    def _tls_hosts(self):
        ca, port = self.httpd.ca_file, self.httpd.port
        vhost = self.httpd.vhost
        proxied = ["TLSProxyEngine on", f"TLSProxyCA {ca}", *self._proxied(port)]
        asks = ["TLSClientCertificate required", f"TLSClientCA {self.root}/people.pem"]
        return [
            f"TLSEngine {port}",
            vhost("localhost", *proxied),
            vhost("a.test", *proxied),
            vhost("client.test", *asks),
            vhost("early.test", "TLSEarlyData on"),
            vhost("upload.test", *self._upload()),
        ]

    def _upload(self):
        return [
            f"DocumentRoot {self.tmpfs}/uploads",
            f"ErrorLog {self.tmpfs}/error_log",
            f"CustomLog {self.tmpfs}/access_log tls",
            f"<Directory {self.tmpfs}/uploads>\nDav on\nRequire all granted\n</Directory>",
        ]

    def _ssl_hosts(self):
        ca, port = self.httpd.ca_file, self.ssl_port
        proxied = [
            "SSLProxyEngine on",
            f"SSLProxyCACertificateFile {ca}",
            "SSLProxyVerify require",
            "SSLProxyVerifyDepth 2",
            *self._proxied(port),
        ]
        asks = ["SSLVerifyClient require", f"SSLCACertificateFile {self.root}/people.pem"]
        hosts = {"localhost": proxied, "a.test": proxied, "client.test": asks}
        return [f"Listen {port}", *(self._ssl_host(name, port, lines) for name, lines in hosts.items())]

    def _ssl_host(self, name, port, lines):
        cert, key = self.authority.server(name).write(self.root, f"ssl-{name}").split()
        certificate = [f"SSLCertificateFile {cert}", f"SSLCertificateKeyFile {key}"]
        return self.httpd.vhost(name, "SSLEngine on", *certificate, *lines, port=port, cert=False)

    def start(self):
        self.mount()
        self.root.joinpath("locks").mkdir()
        self.root.joinpath("locks").chmod(0o777)
        lines = [
            "Protocols h2 http/1.1",
            f"DavLockDB {self.root}/locks/locks",
            "MaxKeepAliveRequests 0",
            # A read that waits for a faulty client keeps an old child for this time.
            f"Timeout {TIMEOUT}",
            *self._tls_hosts(),
            *self._ssl_hosts(),
        ]
        self.httpd.start(
            *lines, modules=MODULES, records=("tls", "ssl"), limits=LIMITS, log_level="notice tls:info ssl:info"
        )

    def stop(self):
        self.httpd.stop()
        self.echo.stop()
        self.tunnel.stop()
        self.unmount()

    def client_context(self, version=None, host="a.test"):
        """A context of Python's ssl for a virtual host, with a client certificate where one is requested."""
        ctx = context(self.httpd, version)
        if host == "client.test":
            ctx.load_cert_chain(*self.client_files)
        return ctx
