# SPDX-License-Identifier: Apache-2.0
"""httpd's processes: what they use, and which connections they have."""

import os
import re
from pathlib import Path


def resident(pid):
    """Resident memory, in KiB."""
    return _field(f"/proc/{pid}/status", "VmRSS")


def proportional(pid):
    """Memory, in KiB: what is shared counts in part."""
    return _field(f"/proc/{pid}/smaps_rollup", "Pss")


def _field(path, name):
    return next(int(line.split()[1]) for line in Path(path).read_text().splitlines() if line.startswith(f"{name}:"))


def owner(pid):
    """The user and the group that a process runs as."""
    return _field(f"/proc/{pid}/status", "Uid"), _field(f"/proc/{pid}/status", "Gid")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def ports_of_clients(pid, own_ports):
    """The ports of the clients whose connections to `own_ports` a process has."""
    inodes = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            inodes.add(os.readlink(fd))
        except OSError:
            continue
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:] + _tcp6():
        fields = line.split()
        local, remote = (int(address.rsplit(":", 1)[1], 16) for address in fields[1:3])
        if local in own_ports and f"socket:[{fields[9]}]" in inodes:
            found.add(remote)
    return found


def _tcp6():
    file = Path("/proc/net/tcp6")
    return file.read_text().splitlines()[1:] if file.exists() else []


def child_of_log_line(line):
    """The process that a line of AH00052 is about, with its signal; None for other lines."""
    found = re.search(r"AH00052: child pid (\d+) exit signal (\w+)", line)
    return (int(found.group(1)), found.group(2)) if found else None
