# SPDX-License-Identifier: Apache-2.0
"""Thousands of virtual hosts: start, graceful reload, memory."""

from harness.certs import key_pem, new_key


def make(server, authority, count):
    """Certificates for `count` hosts, a key for each; returns the hosts."""
    directory = server.root / "certs"
    directory.mkdir(exist_ok=True)
    hosts = []
    for number in range(count):
        name, key = f"host{number}.example.test", new_key()
        issued = authority.issue_for(name, key)
        file, key_file = directory / f"{number}.pem", directory / f"{number}.key"
        file.write_bytes(issued.chain_pem)
        key_file.write_bytes(key_pem(key))
        hosts.append((name, f"{file} {key_file}"))
    return hosts


def measure(server, hosts):
    """Seconds to the first answer, seconds of a graceful reload, MiB of memory."""
    server.configure(hosts)
    try:
        start = server.start()
        memory = server.memory() / 1024
        return {"start": start, "reload": server.reload(), "memory": memory}
    finally:
        server.stop()
