# SPDX-License-Identifier: Apache-2.0
"""Keys of sessions and tickets: core dumps do not have them, and they do not outlive their connections."""

import hashlib
import hmac
import os
import resource
import shutil
import signal
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from harness.clients import connect, context, read_response, request
from harness.httpd import wait_for
from harness.memory import expand, search, secrets_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may read the memory of httpd's processes")

VERSIONS = {"1.3": ssl.TLSVersion.TLSv1_3, "1.2": ssl.TLSVersion.TLSv1_2}
# What the server keeps while a connection is open.
KEPT = {
    "1.3": {"CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"}
    | {"key of CLIENT_TRAFFIC_SECRET_0", "key of SERVER_TRAFFIC_SECRET_0"},
    "1.2": {"CLIENT_RANDOM"},
}


class Client:
    """Connections of one client, which remembers its secrets and its last session."""

    def __init__(self, httpd, version):
        self._httpd, self._session = httpd, None
        self._context = context(httpd, VERSIONS[version])
        self._sock = self._key_log = None

    def open(self, resume=False):
        """Returns the secrets of a new connection, over which one request was made."""
        self._key_log = self._httpd.root / f"keys-{time.monotonic_ns()}"
        self._context.keylog_filename = str(self._key_log)
        self._sock = connect(self._httpd, "a.test", ctx=self._context, session=self._session if resume else None)
        assert self._sock.session_reused == resume
        self._sock.sendall(request("a.test", close=False))
        with self._sock.makefile("rb") as stream:
            assert read_response(stream)[0] == 200
        self._session = self._sock.session
        return secrets_of(self._key_log)

    def close(self):
        self._sock.close()


@pytest.fixture
def serve(httpd):
    def start(*lines):
        httpd.start(f"TLSEngine {httpd.port}", "KeepAliveTimeout 300", *lines, httpd.vhost("a.test"))
        return httpd

    return start


def processes(httpd):
    """httpd's processes. tls-keyd, which writes no core dumps, is none of them."""
    program = os.readlink(f"/proc/{httpd.pid}/exe")
    return [pid for pid in [httpd.pid, *httpd.children()] if os.readlink(f"/proc/{pid}/exe") == program]


def search_all(httpd, secrets):
    """Like `search`, for all of httpd's processes."""
    found = [search(pid, secrets) for pid in processes(httpd)]
    return set().union(*(dumped for dumped, _ in found)), set().union(*(excluded for _, excluded in found))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("resume", [False, True], ids=["new", "resumed"])
def test_01_connections(serve, version, resume):
    """While a connection is open, its secrets are in memory that core dumps do not have, and only there. Afterwards
    they are nowhere."""
    httpd = serve()
    client = Client(httpd, version)
    if resume:
        client.open()
        client.close()
    secrets = client.open(resume)
    dumped, excluded = search_all(httpd, secrets)
    assert not dumped
    assert excluded >= KEPT[version]
    client.close()
    wait_for(lambda: search_all(httpd, secrets) == (set(), set()), "the secrets to be gone")


def ticket_secrets(seed):
    """The states of the ticket keys that are derived from a seed file, and their keys, for the current time."""
    state = expand(hmac.new(b"mod_tls ticket seed", seed, hashlib.sha256).digest(), b"mod_tls ticket state", 32)
    found = {}
    # Periods of six hours since 2026; sessions last for two of them.
    for period in range(int(time.time() - 1_767_225_600) // (6 * 3600) + 1):
        found[f"state {period}"] = state
        found[f"key {period}"] = expand(state, b"mod_tls ticket key", 32)
        state = expand(state, b"mod_tls ticket ratchet", 32)
    return {"seed": seed} | dict(list(found.items())[-6:])


def test_02_tickets(serve, httpd):
    """The keys of tickets, in the parent and in child processes."""
    seed = os.urandom(48)
    file = httpd.root / "seed"
    file.write_bytes(seed)
    file.chmod(0o600)
    serve(f"TLSSessionTicketKeyFile {file}")
    secrets = ticket_secrets(seed)
    client = Client(httpd, "1.3")
    client.open()
    client.close()
    client.open(resume=True)
    dumped, excluded = search_all(httpd, secrets)
    assert not dumped
    newest = list(secrets)[-1]
    assert {newest, newest.replace("key", "state")} <= excluded
    client.close()


def test_05_a_new_seed(serve, httpd):
    """The keys of the seed of before are gone. Those of the new one are not in the file that tells child processes."""
    old, new = os.urandom(48), os.urandom(48)
    file = httpd.root / "seed"
    file.write_bytes(old)
    file.chmod(0o600)
    serve(f"TLSSessionTicketKeyFile {file}")
    client = Client(httpd, "1.3")
    client.open()
    client.close()
    file.write_bytes(new)
    wait_for(lambda: "keys of the new seed" in httpd.log.text(), "the new seed", 10)
    for resume in (False, True):
        client.open(resume)
        client.close()
    secrets = ticket_secrets(new)
    dumped, excluded = search_all(httpd, secrets)
    assert not dumped and list(secrets)[-1] in excluded
    assert search_all(httpd, ticket_secrets(old)) == (set(), set())
    links = Path(f"/proc/{httpd.pid}/fd").iterdir()
    (journal, *_) = (link for link in links if "files that were read again" in os.readlink(link))
    told = journal.read_bytes()
    assert told and not [name for name, secret in secrets.items() if secret in told]


def serving_child(httpd, secrets):
    return next(pid for pid in processes(httpd) if search(pid, secrets)[1])


def check_core(core, httpd, secrets):
    content = core.read_bytes()
    assert not [name for name, secret in secrets.items() if secret in content]
    # It is a complete one.
    assert str(httpd.docs).encode() in content


def test_03_core_of_a_debugger(serve):
    if not shutil.which("gcore"):
        pytest.skip("gdb is not installed")
    httpd = serve()
    client = Client(httpd, "1.3")
    secrets = client.open()
    pid = serving_child(httpd, secrets)
    subprocess.run(["gcore", "-o", httpd.root / "core", str(pid)], check=True, capture_output=True, timeout=120)
    check_core(httpd.root / f"core.{pid}", httpd, secrets)
    client.close()


@pytest.fixture
def core_limit():
    """Processes that are started now may write core dumps."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    if hard == 0:
        pytest.skip("core dumps are forbidden")
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def test_04_core_of_the_system(serve, httpd, core_limit):
    """A child process crashes."""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if "/" in pattern or pattern.startswith("|"):
        pytest.skip("the system does not write core dumps into CoreDumpDirectory")
    directory = httpd.root / "cores"
    directory.mkdir()
    directory.chmod(0o777)
    serve(f"CoreDumpDirectory {directory}")
    client = Client(httpd, "1.3")
    secrets = client.open()
    pid = serving_child(httpd, secrets)
    httpd.log.allow("exit signal Segmentation fault")
    os.kill(pid, signal.SIGSEGV)
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), "the child process to end")
    [core] = directory.iterdir()
    check_core(core, httpd, secrets)
    client.close()
