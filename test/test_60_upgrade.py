# SPDX-License-Identifier: Apache-2.0
"""The installed files are replaced by those of another build while httpd runs. It goes on with the module that it has,
also over reloads; a tls-keyd that is started later is of the other build."""

import os
import shutil
import stat
import sys

import pytest

from harness.clients import connect, context, curl, read_all, read_response, request
from harness.httpd import wait_for
from harness.keyd import LOST, REPLACED, keyd, kill

# Another build whose protocol has another version. It answers each order and each request in that version.
OTHER_VERSION = """#!{python}
import socket

peer = socket.socket(fileno=0)
while True:
    head = peer.recv(4, socket.MSG_WAITALL)
    if len(head) < 4:
        break
    peer.recv(int.from_bytes(head, "little"), socket.MSG_WAITALL)
    peer.sendall(bytes([2, 0, 0, 0, 255, 0]))
"""


class Installed:
    """The directory of modules: what runs at first is the tested build."""

    def __init__(self, installation, directory):
        self._build = installation.module.parent
        self._panics = installation.panic_module
        self.module, self.program = directory / "mod_tls.so", directory / "tls-keyd"
        directory.mkdir()
        directory.chmod(0o755)
        self._replace(self.module, installation.module)
        self._replace(self.program, self._build / "tls-keyd")

    @staticmethod
    def _replace(path, source):
        """As a package manager or `make install` does it: a file is there at each moment."""
        new = path.with_name(f"{path.name}.new")
        shutil.copy(source, new)
        new.chmod(0o755)
        new.rename(path)

    def upgrade(self):
        """Replaces the module by one with another Rust library, and the program by a copy with other bytes."""
        self._replace(self.module, self._panics)
        self._replace(self.program, self._build / "tls-keyd")
        with self.program.open("ab") as file:
            file.write(b"another build")

    def replace_program(self, text):
        new = self.program.with_name("tls-keyd.new")
        new.write_text(text)
        new.chmod(new.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
        new.rename(self.program)

    def is_mapped(self, pid):
        """Whether the process has the module that is installed now; None if it has none."""
        with open(f"/proc/{pid}/maps") as maps:
            lines = [line.split() for line in maps if "/mod_tls.so" in line]
        return {int(line[4]) for line in lines} == {self.module.stat().st_ino} if lines else None

    def is_running(self, pid):
        """Whether the process is the tls-keyd that is installed now."""
        return os.stat(f"/proc/{pid}/exe").st_ino == self.program.stat().st_ino


@pytest.fixture
def installed(installation, tmp_path):
    tmp_path.chmod(0o755)
    return Installed(installation, tmp_path / "modules")


@pytest.fixture
def server(httpd, installed):
    lines = [f"TLSEngine {httpd.port}", "Protocols h2 http/1.1", httpd.vhost("a.test")]
    return httpd.start(*lines, module=installed.module)


def test_01_reloads_keep_the_module(server, installed):
    """-z nodelete: the module stays in memory, and glibc does not load another file of the same name beside it."""
    ctx = context(server)
    with connect(server, "a.test", ctx=ctx) as tls:
        tls.sendall(request("a.test"))
        read_all(tls)
        session = tls.session
    with connect(server, "a.test") as open_before:
        stream = open_before.makefile("rb")
        installed.upgrade()
        for _ in range(3):
            before = keyd(server)
            server.graceful()
            assert curl(server, "a.test").text == "hello"
            assert keyd(server) == before
        open_before.sendall(request("a.test"))
        assert read_response(stream)[0] == 200
    assert not any(installed.is_mapped(pid) for pid in [server.pid, *server.children()])
    assert not installed.is_running(keyd(server))
    with connect(server, "a.test", ctx=ctx, session=session) as tls:
        assert tls.session_reused


def test_02_a_full_restart_of_the_process_takes_the_new_one(server, installed):
    installed.upgrade()
    server.stop()
    server.start()
    assert curl(server, "a.test").text == "hello"
    assert all(installed.is_mapped(pid) for pid in [server.pid, *server.children()])
    assert installed.is_running(keyd(server))


def test_03_the_old_module_with_a_new_tls_keyd(server, installed):
    """The protocol is the same: nobody notices."""
    installed.upgrade()
    server.log.expect(REPLACED)
    assert installed.is_running(kill(server))
    assert curl(server, "a.test").text == "hello"
    server.graceful()
    assert curl(server, "a.test").text == "hello"


def test_04_the_old_module_with_a_tls_keyd_of_another_protocol(server, installed):
    """Handshakes fail, and the log says what to do. Sessions and open connections go on."""
    ctx = context(server)
    with connect(server, "a.test", ctx=ctx) as tls:
        tls.sendall(request("a.test"))
        read_all(tls)
        session = tls.session
    with connect(server, "a.test") as open_before:
        installed.replace_program(OTHER_VERSION.format(python=sys.executable))
        server.log.expect("another version of tls-keyd: install the module and the program together, and restart httpd")
        server.log.allow(f"{LOST}|tls-keyd")
        kill(server, wait=False)
        wait_for(lambda: "another version of tls-keyd" in server.log.text(), "the message")
        open_before.sendall(request("a.test"))
        assert read_all(open_before).endswith(b"hello\n")
        with connect(server, "a.test", ctx=ctx, session=session) as tls:
            assert tls.session_reused
        assert curl(server, "a.test").code == 0
    # What an administrator does then.
    installed.upgrade()
    server.stop()
    server.start()
    assert curl(server, "a.test").text == "hello"
