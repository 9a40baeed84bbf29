# SPDX-License-Identifier: Apache-2.0
"""A Redis server for tests."""

import subprocess

from harness.httpd import wait_for


class RedisServer:
    """Debian's redis-server without files, on a port of its own."""

    def __init__(self, port, *options, tls=()):
        self.port, self._options, self._tls = port, options, tls
        self._process = None
        self.start()

    @property
    def url(self):
        return f"{'rediss' if self._tls else 'redis'}://localhost:{self.port}"

    def start(self):
        """Starts it, without any data."""
        ports = ["--port", "0", "--tls-port", str(self.port), *self._tls] if self._tls else ["--port", str(self.port)]
        command = ["redis-server", "--bind", "127.0.0.1", "-::1", "--save", "", "--appendonly", "no", *ports]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen([*command, *self._options], **quiet)
        wait_for(lambda: "PONG" in self.cli("ping", check=False) or "NOAUTH" in self.cli("ping", check=False), "redis")

    def stop(self):
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def signal(self, number):
        self._process.send_signal(number)

    def cli(self, *arguments, check=True):
        """Runs a command. Returns what redis-cli prints."""
        command = ["redis-cli", "-p", str(self.port), *(["--tls", "--insecure"] if self._tls else []), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=check, timeout=10).stdout
