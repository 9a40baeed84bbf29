# SPDX-License-Identifier: Apache-2.0
"""httpd's processes: what they use, and which connections they have."""

import os
import re
from pathlib import Path


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


def connections(pid):
    """The TCP sockets of a process that are connected: their own port and the other end's."""
    return [ports for ports in _tcp_sockets(pid) if ports[1]]


def unix_sockets(pid):
    """The number of a process's Unix sockets: those to tls-keyd, one for each thread that has needed a signature, and a
    few that all processes have."""
    inodes = {f"socket:[{line.split()[6]}]" for line in Path("/proc/net/unix").read_text().splitlines()[1:]}
    return sum(target in inodes for target in _targets(pid))


def ports_of_clients(pid):
    """The ports of the clients whose connections a process has."""
    listening = {own for own, other in _tcp_sockets(pid) if not other}
    return {other for own, other in connections(pid) if own in listening}


def _tcp_sockets(pid):
    """The own port of each TCP socket of a process and the other end's, which is 0 for those that listen. Sockets that
    are no longer connected are missing."""
    inodes = set(_targets(pid))
    lines = map(str.split, Path("/proc/net/tcp").read_text().splitlines()[1:] + _tcp6())
    own = [fields for fields in lines if f"socket:[{fields[9]}]" in inodes]
    return [tuple(int(address.rsplit(":", 1)[1], 16) for address in fields[1:3]) for fields in own]


def _targets(pid):
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            yield os.readlink(fd)
        except OSError:
            continue


def _tcp6():
    file = Path("/proc/net/tcp6")
    return file.read_text().splitlines()[1:] if file.exists() else []


def child_of_log_line(line):
    """The process that a line of AH00052 is about, with its signal; None for other lines."""
    found = re.search(r"AH00052: child pid (\d+) exit signal (\w+)", line)
    return (int(found.group(1)), found.group(2)) if found else None
