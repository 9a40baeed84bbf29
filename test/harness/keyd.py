# SPDX-License-Identifier: Apache-2.0
"""tls-keyd, the process that holds private keys."""

import contextlib
import os
import re
import signal
from pathlib import Path

from harness.httpd import wait_for

NAME = "tls-keyd"
REPLACED = r"tls-keyd was started again"
LOST = r"tls-keyd \(process \d+\), which has the private keys, "
_STARTED = re.compile(r"in tls-keyd \(process (\d+)\)|started again \(process (\d+)\)")


def is_running(pid):
    """Whether the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def keyd(httpd):
    """The process number of tls-keyd, by the error log."""
    started = _STARTED.findall(httpd.log.text())
    return int("".join(started[-1])) if started else None


def companion(httpd, option):
    """The process number of the child of httpd that is `tls-keyd` with this option, if there is one."""
    for pid in httpd.key_processes():
        # It may be ending.
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[1:2] == [option.encode()]:
                return pid
    return None


def workers(httpd):
    """httpd's parent process and its children, without tls-keyd and the process that watches it."""
    return [httpd.pid, *httpd.children()]


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def kill(httpd, wait=True):
    """Kills tls-keyd, as the kernel does when memory is short. Waits until httpd has started another one. Returns its
    process number."""
    old = keyd(httpd)
    httpd.log.expect(f"{LOST}has ended")
    os.kill(old, signal.SIGKILL)
    if wait:
        wait_for(lambda: keyd(httpd) != old, "another tls-keyd")
    return keyd(httpd)


def stop(pid):
    """Stops a process with all of its threads, as a debugger does."""
    os.kill(pid, signal.SIGSTOP)
    tasks = Path(f"/proc/{pid}/task")

    def states():
        return {(task / "stat").read_text().rpartition(")")[2].split()[0] for task in tasks.iterdir()}

    wait_for(lambda: states() == {"T"}, "the end of its threads' work")
