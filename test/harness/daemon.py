# SPDX-License-Identifier: Apache-2.0
"""httpd as a daemon: the process that serves is not a child of the tests."""

import contextlib
import io
import os
import signal
import subprocess

from harness.httpd import TIMEOUT, wait_for
from harness.keyd import is_running


class Daemon:
    """What the tests need of a process that is not theirs, by the names of `subprocess.Popen`."""

    def __init__(self, pid):
        self.pid, self.returncode, self.stdout = pid, None, io.BytesIO()

    def poll(self):
        if not is_running(self.pid):
            self.returncode = 0
        return self.returncode

    def send_signal(self, number):
        os.kill(self.pid, number)

    def terminate(self):
        with contextlib.suppress(ProcessLookupError):
            self.send_signal(signal.SIGTERM)

    def wait(self, timeout=TIMEOUT):
        wait_for(lambda: self.poll() is not None, "the end of httpd", timeout)
        return self.returncode


def control(httpd, command):
    """Runs `httpd -k COMMAND`."""
    arguments = [httpd.installation.program, "-f", httpd.conf_file, "-k", command]
    run = subprocess.run(arguments, capture_output=True, text=True, timeout=TIMEOUT, stdin=subprocess.DEVNULL)
    assert run.returncode == 0, run.stderr


def start_as_daemon(httpd):
    """Starts a configured httpd without -DFOREGROUND."""
    control(httpd, "start")
    file = httpd.root / "pid"
    wait_for(lambda: file.exists() and "resuming normal operations" in httpd.log.text(), "httpd")
    httpd._process = Daemon(int(file.read_text()))
