# SPDX-License-Identifier: Apache-2.0
"""The socket by which tls-certs asks a running httpd: who may ask, and what happens to it."""

import os
import pwd
import shutil
import signal
import socket
import stat
import threading
import time

import pytest

from harness.certs_tool import SOCKET, CertsTool, renew, serial, start
from harness.httpd import wait_for
from harness.keyd import companion
from harness.unprivileged import run_as

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


class TestSocket:
    """Who may ask, and what happens to the socket."""

    @AS_ROOT
    def test_01_only_root(self, httpd):
        tool = start(httpd, httpd.vhost("a.test"))
        path = httpd.root / SOCKET
        assert stat.S_IMODE(path.stat().st_mode) == 0o600 and path.owner() == "root"
        nobody = pwd.getpwnam("nobody").pw_uid
        program = shutil.copy(tool.program, httpd.root)
        tool.program = program
        assert "permission denied: only root may ask" in tool.run("list", status=2, user=nobody)
        # The mode alone does not open it.
        path.chmod(0o666)
        assert "this user may not ask it" in tool.run("list", status=2, user=nobody)
        tool.run("list")

    @AS_ROOT
    def test_02_a_group(self, httpd):
        group = pwd.getpwnam("nobody").pw_gid
        tool = start(httpd, httpd.vhost("a.test"), f"TLSControl {httpd.root}/own.sock group {group}")
        path = httpd.root / "own.sock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o660 and path.stat().st_gid == group
        assert not (httpd.root / SOCKET).exists()
        tool.socket, tool.program = path, shutil.copy(tool.program, httpd.root)
        nobody, other = pwd.getpwnam("nobody"), pwd.getpwnam("daemon")
        tool.run("list", user=nobody.pw_uid, group=group, extra_groups=[])
        tool.run("wait", "a.test", user=nobody.pw_uid, group=group, extra_groups=[])
        # A supplementary group counts, too.
        tool.run("list", user=other.pw_uid, group=other.pw_gid, extra_groups=[group])
        text = tool.run("list", user=other.pw_uid, group=other.pw_gid, extra_groups=[], status=2)
        assert "permission denied" in text

    def test_03_it_goes_with_httpd(self, httpd):
        start(httpd, httpd.vhost("a.test"))
        path = httpd.root / SOCKET
        first = path.stat().st_ino
        httpd.graceful()
        httpd.full_restart()
        assert path.stat().st_ino == first
        httpd.stop()
        assert not path.exists()

    def test_04_what_a_killed_server_has_left(self, httpd):
        tool = start(httpd, httpd.vhost("a.test"))
        children = httpd.children()
        os.kill(httpd.pid, signal.SIGKILL)
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        httpd.stop()
        (httpd.root / "pid").unlink()
        assert (httpd.root / SOCKET).exists()
        wait_for(lambda: "nobody is there" in tool.run("list", status=2), "the end of the process that watches")
        httpd.start()
        assert set(tool.rows()) == {"a.test"}

    def test_05_another_server(self, httpd, second_httpd):
        """Its socket is not taken."""
        tool = start(httpd, httpd.vhost("a.test"))
        second_httpd.log.expect("TLSControl: tls-certs cannot ask this server, .* another server uses it")
        start(second_httpd, second_httpd.vhost("b.test"), f"TLSControl {httpd.root}/{SOCKET}")
        assert set(tool.rows()) == {"a.test"}
        second_httpd.stop()
        assert set(tool.rows()) == {"a.test"}

    def test_06_two_servers(self, httpd, second_httpd):
        one = start(httpd, httpd.vhost("a.test"))
        other = start(second_httpd, second_httpd.vhost("b.test"))
        assert set(one.rows()) == {"a.test"} and set(other.rows()) == {"b.test"}

    def test_07_off_and_on(self, httpd):
        lines = [f"TLSEngine {httpd.port}", httpd.vhost("a.test")]
        tool = start(httpd, *lines[1:], "TLSControl off")
        assert not (httpd.root / SOCKET).exists()
        for extra, exists in [("", True), ("TLSControl off", False), (f"TLSControl {SOCKET}", True)]:
            httpd.configure(*lines, extra)
            httpd.graceful()
            assert (httpd.root / SOCKET).exists() == exists
        tool.run("list")

    def test_08_it_was_removed(self, httpd):
        """A reload makes it anew."""
        tool = start(httpd, httpd.vhost("a.test"))
        (httpd.root / SOCKET).unlink()
        httpd.graceful()
        tool.run("list")

    def test_09_a_place_that_does_not_exist(self, httpd):
        httpd.log.expect("TLSControl: tls-certs cannot ask this server, because the socket .* cannot be made")
        start(httpd, httpd.vhost("a.test"), "TLSControl /nonexistent/socket")

    def test_10_mistakes(self, httpd):
        for line, message in [
            ("TLSControl a b", "takes off, or the path of a socket"),
            ("TLSControl a group no-such-group", 'has no group "no-such-group"'),
        ]:
            httpd.configure(f"TLSEngine {httpd.port}", httpd.vhost("a.test"), line)
            status, text = httpd.configtest()
            assert status == 1 and message in text
        httpd.configure(f"TLSEngine {httpd.port}", httpd.vhost("a.test"), "TLSControl off")
        assert "Socket of tls-certs: off" in httpd.configtest("DUMP_TLS")[1]
        assert not (httpd.root / SOCKET).exists()

    def test_11_the_process_that_watches_is_killed(self, httpd, authority):
        tool = start(httpd, httpd.vhost("a.test"))
        tool.rows()
        old = companion(httpd, "--watch")
        os.kill(old, signal.SIGKILL)
        wait_for(lambda: companion(httpd, "--watch") not in (None, old), "another one")
        assert set(tool.rows()) == {"a.test"}
        renew(httpd, authority.server("a.test", number=1))
        tool.run("wait", "a.test")

    def test_12_it_is_killed_while_the_tool_waits(self, httpd, authority):
        tool = start(httpd, httpd.vhost("a.test"))
        tool.rows()
        os.kill(httpd.pid, signal.SIGSTOP)
        waiting = []
        try:
            issued = authority.server("a.test", number=1)
            renew(httpd, issued)
            waiting.append(tool.start("wait", "a.test"))
            time.sleep(0.5)
            os.kill(companion(httpd, "--watch"), signal.SIGKILL)
        finally:
            os.kill(httpd.pid, signal.SIGCONT)
        assert waiting[0].wait(30) == 0, waiting[0].stdout.read()
        waiting[0].stdout.close()
        assert serial(httpd) == issued.cert.serial_number

    def test_13_a_server_of_another_version(self, httpd):
        tool = CertsTool(httpd)

        def answer():
            with listener.accept()[0] as client:
                client.recv(100)
                client.sendall((2).to_bytes(4, "little") + bytes([9, 1]))

        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(tool.socket))
            listener.listen()
            thread = threading.Thread(target=answer)
            thread.start()
            assert "another version" in tool.run("list", status=2)
            thread.join()

    def test_14_hostile_clients(self, httpd, authority):
        """They neither disturb handshakes nor renewals, nor keep others from asking."""
        tool = start(httpd, httpd.vhost("a.test"))
        tool.rows()
        path = str(httpd.root / SOCKET)
        pid = companion(httpd, "--watch")
        stop = threading.Event()

        def frame(payload, version=1):
            return (len(payload) + 1).to_bytes(4, "little") + bytes([version]) + payload

        def ask(data, read=True):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(5)
                client.connect(path)
                try:
                    client.sendall(data)
                    return client.recv(4096) if read else b""
                except OSError:
                    return b""

        hostile = [
            b"GET / HTTP/1.0\r\n\r\n",
            b"\0" * 5000,
            b"\xff" * 100_000,
            frame(b"\x63"),
            frame(b"\x00\x00"),
            frame(b"\x02\xff\xff\xff\xff\x0f"),
            frame(b"\x02" + b"\x81\x02" + b"\x01" * 257),
            frame(b"\x00") * 100,
            (4097).to_bytes(4, "little"),
            b"",
        ]

        def attack():
            at = 0
            while not stop.is_set():
                ask(hostile[at % len(hostile)], read=at % 3 > 0)
                at += 1

        attackers = [threading.Thread(target=attack) for _ in range(2)]
        for thread in attackers:
            thread.start()
        # These connect and say nothing, or half of something.
        silent = []
        try:
            for number in range(8):
                client = socket.socket(socket.AF_UNIX)
                client.connect(path)
                client.sendall(frame(b"\x00")[:number])
                silent.append(client)
            for number in range(1, 4):
                issued = authority.server("a.test", number=number)
                renew(httpd, issued)
                wait_for(lambda issued=issued: serial(httpd) == issued.cert.serial_number, "the new certificate", 10)
                tool.run("wait", "a.test")
        finally:
            stop.set()
            for thread in attackers:
                thread.join()
            for client in silent:
                client.close()
        assert companion(httpd, "--watch") == pid
        # The answers to what is of another version, and to too much.
        assert b"another version of mod_tls" in ask(frame(b"\x00", version=9))
        assert b"at most 256 certificates" in ask(frame(b"\x02" + b"\x81\x02" + b"\x01" * 257))

    def test_15_many_silent_clients_are_given_up(self, httpd):
        """As many as are served at a time, and some more."""
        tool = start(httpd, httpd.vhost("a.test"))
        clients = []
        try:
            for _ in range(20):
                client = socket.socket(socket.AF_UNIX)
                client.connect(str(httpd.root / SOCKET))
                clients.append(client)
            begin = time.monotonic()
            tool.run("list")
            assert time.monotonic() - begin < 20
            clients[0].settimeout(20)
            assert clients[0].recv(1) == b""
        finally:
            for client in clients:
                client.close()

    @AS_ROOT
    def test_16_httpd_without_root(self, httpd, authority):
        """Its user may ask, and root."""
        httpd.configure(f"TLSEngine {httpd.port}", "Protocols http/1.1", httpd.vhost("a.test"))
        run_as(httpd, "nobody")
        httpd.start()
        tool = CertsTool(httpd)
        tool.program = shutil.copy(tool.program, httpd.root)
        nobody, other = pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("daemon").pw_uid
        for user in (nobody, 0):
            assert set(tool.rows(user=user)) == {"a.test"}
        assert "permission denied" in tool.run("list", status=2, user=other)
        assert (httpd.root / SOCKET).stat().st_uid == nobody
