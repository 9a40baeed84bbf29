# SPDX-License-Identifier: Apache-2.0
"""tls-certs, the tool that asks a running httpd."""

import json
import os
import subprocess

from harness.certs import key_pem
from harness.clients import connect

SOCKET = "tls-certs.sock"


class CertsTool:
    """The tool that belongs to the tested module; it asks `httpd`, unless `socket` is None."""

    def __init__(self, httpd, socket=SOCKET):
        self.program = httpd.installation.module.with_name("tls-certs")
        self.socket = socket and httpd.root / socket
        self.environment = {name: value for name, value in os.environ.items() if name != "TLS_CERTS_SOCKET"}

    def run(self, *arguments, status=0, user=None, **options):
        """Runs the tool, which ends with `status`. Returns its output, that to stderr last."""
        socket = ["--socket", self.socket] if self.socket else []
        run = subprocess.run(
            [self.program, *socket, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            env=self.environment,
            user=user,
            **options,
        )
        assert run.returncode == status, (run.returncode, run.stdout, run.stderr)
        return run.stdout + run.stderr

    def start(self, *arguments):
        """Starts the tool in the background."""
        command = [self.program, "--socket", self.socket, *arguments]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self.environment
        )

    def json(self, *arguments, **options):
        return json.loads(self.run("--json", *arguments, **options))

    def rows(self, *arguments, **options):
        """The certificates that `list` shows, by their hosts."""
        return {row["host"]: row for row in self.json("list", *arguments, **options)["certificates"]}


def start(httpd, *lines, mpm="event", **options):
    """Starts httpd. Returns the tool that asks it."""
    if mpm == "prefork":
        httpd.log.allow("AH10034")  # mod_http2 requires threads
    httpd.start(f"TLSEngine {httpd.port}", "Protocols http/1.1", *lines, mpm=mpm, **options)
    return CertsTool(httpd)


def replace(path, content):
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.rename(path)


def renew(httpd, issued, name="a.test"):
    """Replaces the certificate, then the key."""
    replace(httpd.root / f"{name}.pem", issued.chain_pem)
    replace(httpd.root / f"{name}.key", key_pem(issued.key))


def serial(httpd, name="a.test"):
    with connect(httpd, name) as tls:
        return int(tls.getpeercert()["serialNumber"], 16)
