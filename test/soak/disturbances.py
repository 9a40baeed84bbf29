# SPDX-License-Identifier: Apache-2.0
"""Disturbances of the running server. Each one is undone at its end."""

import contextlib
import os
import re
import resource
import signal
import subprocess
import time
from pathlib import Path

from harness import keyd
from harness.httpd import wait_for
from soak.accounting import BACKEND, DESCRIPTORS, DISK, KEYD, KILL, RELOAD
from soak.loads import choose
from soak.processes import descriptors, owner, ports_of_clients
from soak.site import CHILDREN

# The number of descriptors above those in use that a process may have, and for how long.
SPARE_DESCRIPTORS, SHORTAGE = 8, 0.7


# The time that old children have to finish their connections, in seconds.
PATIENCE = 90


class Disturber:
    def __init__(self, site, ledger, rng):
        self.site, self.ledger, self.rng = site, ledger, rng
        self.windows = ledger.disturbances
        self.killed = set()

    def run(self, stop, pause):
        """Disturbs the server, on average every `pause` seconds, until `stop` is set."""
        weights = {self.reload: 3, self.kill: 2, self.few_descriptors: 1, self.full_disk: 1, self.backend_restart: 2,
                   self.kill_keyd: 1}  # fmt: skip
        while not stop.wait(self.rng.uniform(0.5, 1.5) * pause):
            try:
                choose(self.rng, weights)()
            except Exception as e:
                self.ledger.failures.append(f"a disturbance failed: {e!r}")
                return

    def reload(self):
        with self.windows.window(RELOAD):
            self.site.httpd.graceful()

    def settle(self):
        """Reloads for the last time, and waits until all old children have ended."""
        before = set(self.site.httpd.children())
        try:
            self.reload()
            wait_for(lambda: not before & set(self.site.httpd.children()), "old children to end", PATIENCE)
        except AssertionError as e:
            self.ledger.failures.append(f"the last reload: {e}")

    def kill(self):
        """Kills a child. The child is stopped first, so that its connections are known."""
        children = self.site.httpd.children()
        if not children:
            return
        pid = self.rng.choice(children)
        with self.windows.window(KILL) as window, contextlib.suppress(ProcessLookupError, FileNotFoundError):
            os.kill(pid, signal.SIGSTOP)
            window.ports = frozenset(ports_of_clients(pid))
            self.killed.add(pid)
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: pid not in self.site.httpd.children(), "the parent to notice")
            wait_for(lambda: len(self.site.httpd.children()) >= CHILDREN, "another child")

    def kill_keyd(self):
        """Kills the process with the private keys. Handshakes wait for the next one, or fail."""
        with self.windows.window(KEYD):
            keyd.kill(self.site.httpd)

    def few_descriptors(self):
        """Limits the descriptors of the children for a moment."""
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        with self.windows.window(DESCRIPTORS):
            children = self.site.httpd.children()
            for pid in children:
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    self._limit(pid, descriptors(pid) + self.rng.randint(0, SPARE_DESCRIPTORS))
            time.sleep(SHORTAGE)
            for pid in children:
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    self._limit(pid, limit)

    @staticmethod
    def _limit(pid, soft):
        """Sets a soft limit as the process's own user: in some containers root may not."""
        user, group = owner(pid)
        command = ["prlimit", "--pid", str(pid), f"--nofile={soft}:"]
        subprocess.run(command, user=user, group=group, extra_groups=[], capture_output=True)
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert re.search(rf"Max open files +{soft} ", limits), f"no limit was set:\n{limits}"

    def full_disk(self):
        """Fills the file system with the uploads and the logs of their virtual host."""
        filler = self.site.tmpfs / "filler"
        with self.windows.window(DISK):
            with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as f:
                while True:
                    f.write(bytes(100_000))
            with contextlib.suppress(OSError), open(filler, "ab", buffering=0) as f:
                while True:
                    f.write(b"0")
            time.sleep(self.rng.uniform(1, 3))
            filler.unlink()
            for name in ("error_log", "access_log"):
                self._carry_over(name)

    def _carry_over(self, name):
        """Moves the logs elsewhere to free space in the file system."""
        log = self.site.tmpfs / name
        with open(self.site.root / f"upload_{name}", "ab") as kept:
            kept.write(log.read_bytes())
        os.truncate(log, 0)

    def backend_restart(self):
        """Stops a backend with all of its connections, and starts it again."""
        name = self.rng.choice(["echo", "tunnel"])
        backend = getattr(self.site, name)
        with self.windows.window(BACKEND):
            backend.stop()
            time.sleep(self.rng.uniform(0.1, 2))
            setattr(self.site, name, backend.restarted())
