# SPDX-License-Identifier: Apache-2.0
"""The servers that are compared, with equal settings: httpd with this module, with mod_ssl and without TLS, and nginx
if it is installed."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import monitoring
from harness.httpd import Httpd, wait_for

# One child, with the number of threads that earlier measurements have used.
LIMITS = (
    "StartServers 1\nServerLimit 1\nThreadsPerChild 64\nThreadLimit 64\nMaxRequestWorkers 64\nMinSpareThreads 1\n"
    "MaxSpareThreads 64\nMaxKeepAliveRequests 0\nKeepAliveTimeout 60\nAsyncRequestWorkerFactor 50"
)
# The time limit for tens of thousands of virtual hosts, in seconds.
PATIENCE = 900
# Modules that the tests load and no workload needs.
UNUSED = ("alias", "authz_host", "dir", "env", "headers", "rewrite", "setenvif", "status")
TICKS = os.sysconf("SC_CLK_TCK")
NGINX = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
# This module as it is installed, with the private keys in httpd's processes, without counting, with the cheapest cipher
# suite, with an access log that has nothing of it, and with all that tells about a server.
OURS = {
    "mod_tls": [],
    "no-keyd": ["TLSKeyProcess off"],
    "no-counters": ["TLSCounters off"],
    "cheapest": [
        "TLSHonorClientOrder off",
        "TLSCiphersPrefer TLS_AES_128_GCM_SHA256 ECDHE-ECDSA-AES128-GCM-SHA256 ECDHE-RSA-AES128-GCM-SHA256",
    ],
    "logged": [],
    "monitored": [],
}
KINDS = ("plain", "mod_ssl", *OURS, *(["nginx"] if NGINX else []))


def proxy_lines(kind, backend, ca_file):
    """Settings that proxy all requests to the server `backend`. A backend with TLS is verified."""
    lines = [f"ProxyPass / {backend}/"]
    if backend.startswith("https"):
        lines += {
            "plain": [],
            "mod_ssl": [
                "SSLProxyEngine on",
                "SSLProxyVerify require",
                "SSLProxyVerifyDepth 2",
                f"SSLProxyCACertificateFile {ca_file}",
            ],
        }.get(kind, ["TLSProxyEngine on", f"TLSProxyCA {ca_file}"])
    return lines


def lines_for(kind, address, port, hosts, proxied):
    """The TLS settings of `hosts`: names with the arguments of TLSCertificate, or with directives of this module."""
    lines = [f"TLSEngine {port}", *OURS[kind]] if kind in OURS else []
    if kind == "mod_ssl":
        lines.append("SSLSessionCache shmcb:ssl_cache(5120000)")
    lines.append("Protocols h2 http/1.1")
    for name, cert in hosts:
        body = [f"ServerName {name}", *proxied]
        if kind in OURS:
            body.append(cert if cert.startswith("TLS") else f"TLSCertificate {cert}")
        elif kind == "mod_ssl":
            file, key = cert.split()
            body += ["SSLEngine on", f"SSLCertificateFile {file}", f"SSLCertificateKeyFile {key}"]
        lines.append("\n".join([f"<VirtualHost {address}:{port}>", *body, "</VirtualHost>"]))
    return lines


class Server:
    """A server of one kind, with its processes and its directory."""

    def __init__(self, kind):
        self.kind = kind
        self.root = Path(tempfile.mkdtemp(prefix=f"bench-{kind}-"))
        self.scheme = "http" if kind == "plain" else "https"

    def url(self, path=""):
        return f"{self.scheme}://localhost:{self.port}{path}"

    def remove(self):
        self.stop()
        shutil.rmtree(self.root, ignore_errors=True)

    def _processes(self):
        return [self.pid, *(int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split())]

    def cpu(self):
        """The CPU time that the server has used, user and system, in seconds, including children that have ended."""
        total = 0
        for pid in self._processes():
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
            mine, of_children = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
            total += mine + of_children
        return total / TICKS

    def memory(self):
        """The memory of all processes in KiB. Shared memory is counted once."""
        total = 0
        for pid in self._processes():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        return total


class Apache(Server):
    """httpd with one of the modules, or without TLS. `build` is another build of this module."""

    def __init__(self, kind, installation, ports, authority, build=None):
        super().__init__(kind)
        self._build, self._scraper = build, None
        self._httpd = Httpd(installation, self.root, ports, authority)
        self._httpd.patience = PATIENCE
        self.port, self.docs, self.ca_file = self._httpd.port, self._httpd.docs, self._httpd.ca_file

    @property
    def pid(self):
        return self._httpd.pid

    def configure(self, hosts, backend=None, address="*"):
        """`hosts` are names with the arguments of TLSCertificate. `backend` is the URL of the server with the files."""
        proxied = proxy_lines(self.kind, backend, self.ca_file) if backend else []
        kind = "mod_tls" if self._build else self.kind
        lines = lines_for(kind, address, self.port, hosts, proxied)
        modules = ["ssl"] if self.kind == "mod_ssl" else []
        modules += ["proxy", "proxy_http"] if backend else []
        self._httpd.configure(*lines, limits=LIMITS, modules=modules, module=self._build, log_level="notice")
        text = self._httpd.conf_file.read_text()
        # Removes what is not compared: logs, .htaccess files, other modules, and this module where it is not measured.
        unused = [name for name in UNUSED if (kind, name) != ("monitored", "authz_host")]
        unwanted = ["CustomLog", "LogFormat", "DirectoryIndex", *(f"LoadModule {name}_module" for name in unused)]
        if kind not in OURS:
            unwanted.append("LoadModule tls_module")
        text = text.replace("AllowOverride All", "AllowOverride None").replace(
            "<Directory ", "<Directory />\nAllowOverride None\n</Directory>\n<Directory ", 1
        )
        wanted = [line for line in text.splitlines() if not line.startswith(tuple(unwanted))]
        self._httpd.conf_file.write_text("\n".join([*wanted, *monitoring.lines(kind, self.root), ""]))

    def start(self):
        """Starts the server. Returns the seconds until the first response."""
        began = time.monotonic()
        self._httpd.start()
        took = time.monotonic() - began
        if self.kind == "monitored":
            self._scraper = monitoring.Scraper(self._httpd.plain_port)
            self._scraper.scrape()
        return took

    def reload(self):
        """Reloads the server. Returns the seconds until the new generation serves."""
        began = time.monotonic()
        self._httpd.graceful()
        return time.monotonic() - began

    def stop(self):
        if self._scraper:
            self._scraper.stop()
            self._scraper = None
        self._httpd.stop()


class Nginx(Server):
    """nginx with OpenSSL and one worker process, its usual configuration for one CPU."""

    def __init__(self, ports, authority):
        super().__init__("nginx")
        self.root.chmod(0o755)
        self.docs = self.root / "htdocs"
        self.docs.mkdir()
        self.port = ports.take()
        self.ca_file = self.root / "ca.pem"
        self.ca_file.write_bytes(authority.root_pem)
        self._process = None

    @property
    def pid(self):
        return self._process.pid

    def configure(self, hosts, backend=None, address="*"):
        """Like Apache.configure."""
        body = [f"root {self.docs};"]
        if backend:
            body = [f"location / {{ proxy_pass {backend}; proxy_http_version 1.1; proxy_set_header Connection ''; }}"]
            if backend.startswith("https"):
                body += [
                    "proxy_ssl_verify on;",
                    "proxy_ssl_verify_depth 2;",
                    f"proxy_ssl_trusted_certificate {self.ca_file};",
                ]
                body += ["proxy_ssl_name localhost;", "proxy_ssl_server_name on;"]
        servers = []
        for name, cert in hosts:
            file, key = cert.split()
            lines = [f"listen {address}:{self.port} ssl http2;", f"server_name {name};", f"ssl_certificate {file};"]
            servers.append("server { " + " ".join([*lines, f"ssl_certificate_key {key};", *body]) + " }")
        text = f"""daemon off; worker_processes 1; pid {self.root}/pid; error_log {self.root}/error_log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off; sendfile on; keepalive_timeout 60; keepalive_requests 1000000;
    server_names_hash_max_size 200000; server_names_hash_bucket_size 128;
    ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:all:5m;
    {chr(10).join(servers)}
}}
"""
        self.root.joinpath("nginx.conf").write_text(text)

    def start(self):
        began = time.monotonic()
        command = [NGINX, "-p", self.root, "-c", self.root / "nginx.conf"]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self._answers, "nginx to answer", PATIENCE)
        return time.monotonic() - began

    def _answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return len(self._processes()) > 1

    def reload(self):
        before = set(self._processes())
        began = time.monotonic()
        self._process.send_signal(signal.SIGHUP)
        wait_for(lambda: set(self._processes()) - before, "nginx to reload", PATIENCE)
        return time.monotonic() - began

    def stop(self):
        if self._process:
            self._process.terminate()
            self._process.wait()
            self._process = None


def make(kind, installation, ports, authority, build=None):
    """Makes a server of this kind. `build` is another build of this module."""
    return Nginx(ports, authority) if kind == "nginx" else Apache(kind, installation, ports, authority, build)
