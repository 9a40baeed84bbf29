# SPDX-License-Identifier: Apache-2.0
"""The servers that are compared: httpd with our module, with mod_ssl, and without TLS, all with equal settings."""

import os
import shutil
import tempfile
import time
from pathlib import Path

from harness.httpd import Httpd

# One child, as many threads as the figures of others were measured with.
LIMITS = (
    "StartServers 1\nServerLimit 1\nThreadsPerChild 64\nThreadLimit 64\nMaxRequestWorkers 64\nMinSpareThreads 1\n"
    "MaxSpareThreads 64\nMaxKeepAliveRequests 0\nKeepAliveTimeout 60\nAsyncRequestWorkerFactor 50"
)
TICKS = os.sysconf("SC_CLK_TCK")
KINDS = ("plain", "mod_ssl", "mod_tls")


def lines_for(kind, port, hosts):
    """The TLS settings of `hosts`, names with the arguments of TLSCertificate."""
    lines = [f"TLSEngine {port}"] if kind == "mod_tls" else []
    if kind == "mod_ssl":
        lines.append("SSLSessionCache shmcb:ssl_cache(5120000)")
    for name, cert in hosts:
        body = [f"ServerName {name}", "Protocols h2 http/1.1"]
        if kind == "mod_tls":
            body.append(f"TLSCertificate {cert}")
        elif kind == "mod_ssl":
            file, key = cert.split()
            body += ["SSLEngine on", f"SSLCertificateFile {file}", f"SSLCertificateKeyFile {key}"]
        lines.append("\n".join([f"<VirtualHost *:{port}>", *body, "</VirtualHost>"]))
    return lines


class Server:
    """An httpd of one kind."""

    def __init__(self, kind, installation, ports, authority):
        self.kind = kind
        self.root = Path(tempfile.mkdtemp(prefix=f"bench-{kind}-"))
        self._httpd = Httpd(installation, self.root, ports, authority)
        self.port, self.docs, self.ca_file = self._httpd.port, self._httpd.docs, self._httpd.ca_file
        self.scheme = "http" if kind == "plain" else "https"

    def url(self, path):
        return f"{self.scheme}://localhost:{self.port}{path}"

    def configure(self, hosts):
        lines = lines_for(self.kind, self.port, hosts)
        modules = ["ssl"] if self.kind == "mod_ssl" else []
        self._httpd.configure(*lines, limits=LIMITS, modules=modules, log_level="warn")
        text = self._httpd.conf_file.read_text()
        # What nobody compares: logs, and our module where it is not meant.
        text = "\n".join(line for line in text.splitlines() if not line.startswith(("CustomLog", "LogFormat")))
        if self.kind != "mod_tls":
            text = "\n".join(line for line in text.splitlines() if not line.startswith("LoadModule tls_module"))
        self._httpd.conf_file.write_text(text + "\n")

    def start(self):
        """Starts and returns the seconds until the first answer."""
        began = time.monotonic()
        self._httpd.start()
        return time.monotonic() - began

    def reload(self):
        """Reloads and returns the seconds until the new generation serves."""
        began = time.monotonic()
        self._httpd.graceful()
        return time.monotonic() - began

    def stop(self):
        self._httpd.stop()

    def remove(self):
        self.stop()
        shutil.rmtree(self.root, ignore_errors=True)

    def _processes(self):
        return [self._httpd.pid, *self._httpd.children()]

    def cpu(self):
        """The CPU seconds, user and system, that the server has used, children that have ended included."""
        total = 0
        for pid in self._processes():
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
            mine, of_children = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
            total += mine + of_children
        return total / TICKS

    def memory(self):
        """The memory of all processes in KiB, what they share counted once."""
        total = 0
        for pid in self._processes():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        return total
