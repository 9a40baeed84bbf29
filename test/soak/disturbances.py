# SPDX-License-Identifier: Apache-2.0
"""What is done to the server while it serves. Everything is put right again."""

import contextlib
import os
import re
import resource
import signal
import subprocess
import time
from pathlib import Path

from harness.httpd import wait_for
from soak.accounting import BACKEND, DESCRIPTORS, DISK, KILL, RELOAD
from soak.loads import choose
from soak.processes import descriptors, owner, ports_of_clients
from soak.site import CHILDREN

# How many descriptors beyond those in use a process is left at most, and for how long.
SPARE_DESCRIPTORS, SHORTAGE = 8, 0.7


# How long old children may take to finish what they serve, in seconds.
PATIENCE = 90


class Disturber:
    def __init__(self, site, ledger, rng):
        self.site, self.ledger, self.rng = site, ledger, rng
        self.windows = ledger.disturbances
        self.killed = set()

    def run(self, stop, pause):
        """Disturbs, on average every `pause` seconds, until `stop` is set."""
        weights = {self.reload: 3, self.kill: 2, self.few_descriptors: 1, self.full_disk: 1, self.backend_restart: 2}
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
        """Reloads for the last time, and waits until no child from before is left."""
        before = set(self.site.httpd.children())
        try:
            self.reload()
            wait_for(lambda: not before & set(self.site.httpd.children()), "old children to end", PATIENCE)
        except AssertionError as e:
            self.ledger.failures.append(f"the last reload: {e}")

    def kill(self):
        """Kills a child that is stopped first, so that what it is serving is known."""
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

    def few_descriptors(self):
        """Leaves the children hardly a descriptor, for a moment."""
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
        """A soft limit, set by the user that the process belongs to: root may not do so in every container."""
        user, group = owner(pid)
        command = ["prlimit", "--pid", str(pid), f"--nofile={soft}:"]
        subprocess.run(command, user=user, group=group, extra_groups=[], capture_output=True)
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert re.search(rf"Max open files +{soft} ", limits), f"no limit was set:\n{limits}"

    def full_disk(self):
        """Fills the file system that uploads and the logs of their host are on."""
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
        """The logs are kept elsewhere, so that the file system has room."""
        log = self.site.tmpfs / name
        with open(self.site.root / f"upload_{name}", "ab") as kept:
            kept.write(log.read_bytes())
        os.truncate(log, 0)

    def backend_restart(self):
        """A backend goes away, with all of its connections, and comes back."""
        name = self.rng.choice(["echo", "tunnel"])
        backend = getattr(self.site, name)
        with self.windows.window(BACKEND):
            backend.stop()
            time.sleep(self.rng.uniform(0.1, 2))
            setattr(self.site, name, backend.restarted())
