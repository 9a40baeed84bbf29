# SPDX-License-Identifier: Apache-2.0
"""The life of tls-keyd: when it is started, goes on, is replaced, and ends."""

import os
import pwd
import shutil
import signal
from pathlib import Path

import pytest

from harness.clients import connect, context, curl, request
from harness.daemon import control, start_as_daemon
from harness.httpd import resident, wait_for
from harness.keyd import companion, descriptors, is_running, keyd, kill
from harness.unprivileged import run_as

MPMS = pytest.mark.parametrize("mpm", ["event", "worker", "prefork"])
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
DAEMON = pytest.mark.parametrize("daemon", [False, True], ids=["foreground", "daemon"])


@pytest.fixture
def program(installation):
    return installation.module.with_name("tls-keyd")


def configure(httpd, *lines, mpm="event", **options):
    protocols = "Protocols http/1.1" if mpm == "prefork" else "Protocols h2 http/1.1"
    if mpm == "prefork":
        httpd.log.allow("AH10034")  # mod_http2 requires threads
    httpd.configure(f"TLSEngine {httpd.port}", protocols, httpd.vhost("a.test"), *lines, mpm=mpm, **options)


def start(httpd, *lines, daemon=False, **options):
    configure(httpd, *lines, **options)
    if daemon:
        start_as_daemon(httpd)
    else:
        httpd.start()


def refused(httpd):
    """Starts httpd with a configuration that it refuses. Returns what it says."""
    httpd.log.allow("")
    process = httpd.run()
    assert process.wait(30) != 0
    return process.stdout.read().decode() + httpd.log.text()


def executable(pid):
    return os.readlink(f"/proc/{pid}/exe")


class TestWhere:
    """Whether there is a tls-keyd, and which one."""

    @MPMS
    def test_01_by_default(self, httpd, program, mpm):
        start(httpd, mpm=mpm)
        assert executable(keyd(httpd)) == str(program.resolve())
        assert keyd(httpd) in httpd.key_processes()
        assert curl(httpd, "a.test").text == "hello"
        assert f"Private keys: in {program}" in httpd.configtest("DUMP_TLS")[1]

    def test_02_off(self, httpd):
        start(httpd, "TLSKeyProcess off")
        assert "the private keys are in httpd's processes" in httpd.log.text()
        assert not httpd.key_processes()
        assert curl(httpd, "a.test").text == "hello"
        assert "Private keys: in httpd's processes" in httpd.configtest("DUMP_TLS")[1]

    def test_03_a_path(self, httpd, program):
        other = shutil.copy(program, httpd.root / "my-keyd")
        start(httpd, f"TLSKeyProcess {other}")
        assert executable(keyd(httpd)) == str(other)
        assert curl(httpd, "a.test").text == "hello"

    def test_04_a_wrong_path(self, httpd):
        configure(httpd, "TLSKeyProcess /nowhere/tls-keyd")
        said = refused(httpd)
        assert "TLSKeyProcess takes on, off or the path of tls-keyd: there is no file /nowhere/tls-keyd" in said

    def test_05_another_program(self, httpd):
        configure(httpd, "TLSKeyProcess /bin/false")
        said = refused(httpd)
        assert "/bin/false cannot be started: it has ended at once; " in said
        assert "`TLSKeyProcess off` leaves the private keys in httpd's processes" in said

    def test_06_not_installed(self, httpd, installation):
        module = shutil.copy(installation.module, httpd.root)
        start(httpd, module=module)
        assert "the private keys are in httpd's processes" in httpd.log.text()
        assert curl(httpd, "a.test").text == "hello"

    def test_07_required_but_not_installed(self, httpd, installation):
        module = shutil.copy(installation.module, httpd.root)
        configure(httpd, "TLSKeyProcess on", module=module)
        assert f"TLSKeyProcess {httpd.root}/tls-keyd cannot be started: No such file" in refused(httpd)

    @pytest.mark.parametrize("defines", [(), ("DUMP_TLS",), ("DUMP_VHOSTS",), ("DUMP_MODULES",)])
    def test_08_tests_start_none(self, httpd, defines):
        trace = httpd.root / "trace"
        other = httpd.root / "other"
        other.write_text(f"#!/bin/sh\ntouch {trace}\nexit 1\n")
        other.chmod(0o755)
        configure(httpd, f"TLSKeyProcess {other}")
        assert httpd.configtest(*defines)[0] == 0
        assert not trace.exists()
        assert "ended at once" in refused(httpd)
        assert trace.exists()

    def test_09_without_keys_there_is_none(self, httpd):
        httpd.start("ServerSignature off")
        assert not httpd.key_processes()

    def test_10_what_it_could_not_give_up(self, httpd):
        """It is logged once: child processes do not repeat what their parent process has to say."""
        limits = "StartServers 3\nServerLimit 4\nThreadsPerChild 5\nMinSpareThreads 15\nMaxRequestWorkers 20"
        start(httpd, limits=limits)
        wait_for(lambda: len(httpd.children()) >= 3, "child processes")
        for _ in range(20):
            assert curl(httpd, "a.test").text == "hello"
        lines = [line for line in httpd.log.text().splitlines() if " tls: tls-keyd: " in line]
        assert all(f"[pid {httpd.pid}:" in line for line in lines), lines
        said = [line.partition(" tls: tls-keyd: ")[2] for line in lines]
        assert len(said) == len(set(said)), said

    def test_11_a_file_that_is_too_large(self, httpd):
        with open(httpd.root / "seed", "wb") as file:
            file.truncate(17 << 20)
        configure(httpd, "TLSSessionTicketKeyFile seed")
        said = refused(httpd)
        assert f"TLSSessionTicketKeyFile {httpd.root}/seed: cannot be read: it is larger than 16 MiB" in said


class TestUser:
    def test_01_not_root(self, httpd):
        configure(httpd)
        run_as(httpd, "nobody")
        httpd.start()
        assert keyd(httpd) in httpd.key_processes()
        assert curl(httpd, "a.test").text == "hello"
        if os.geteuid() == 0:
            old = keyd(httpd)
            assert kill(httpd) != old
            assert curl(httpd, "a.test").text == "hello"

    @AS_ROOT
    @pytest.mark.parametrize("name", ["nobody", "65534:65534"])
    def test_02_another_user(self, httpd, name):
        start(httpd, f"TLSKeyProcessUser {name}")
        ids = [line.split()[1:] for line in status(keyd(httpd)) if line.startswith(("Uid:", "Gid:"))]
        nobody = pwd.getpwnam("nobody")
        assert ids == [[str(nobody.pw_uid)] * 4, [str(nobody.pw_gid)] * 4]
        kill(httpd)
        assert curl(httpd, "a.test").text == "hello"

    @AS_ROOT
    def test_03_unknown(self, httpd):
        configure(httpd, "TLSKeyProcessUser nosuchuser")
        said = refused(httpd)
        assert "has no user nosuchuser" in said
        assert "a user from elsewhere goes as UID:GID" in said

    @AS_ROOT
    def test_04_only_root_can_change_users(self, httpd):
        configure(httpd, "TLSKeyProcessUser root")
        run_as(httpd, "nobody")
        said = refused(httpd)
        assert "the user could not be changed to 0:0" in said
        assert "httpd has to be started as root" in said


def status(pid):
    return Path(f"/proc/{pid}/status").read_text().splitlines()


class TestReloads:
    @MPMS
    def test_01_it_stays(self, httpd, authority, mpm):
        """Its keys stay, new ones come, changed ones are read again."""
        start(httpd, mpm=mpm)
        first = keyd(httpd)
        configure(httpd, httpd.vhost("b.test"), mpm=mpm)
        httpd.graceful()
        for name in ("a.test", "b.test"):
            assert curl(httpd, name).text == "hello"
        authority.server("a.test", number=1).write(httpd.root, "a.test")
        before = serial(httpd)
        httpd.graceful()
        wait_for(lambda: serial(httpd) != before, "the new certificate")
        httpd.full_restart()
        assert curl(httpd, "a.test").text == "hello"
        assert keyd(httpd) == first and is_running(first)

    @MPMS
    def test_02_nothing_grows(self, httpd, authority, mpm):
        """Each reload has a new key."""
        start(httpd, mpm=mpm)
        pid = keyd(httpd)
        sizes, counts = [], []
        for number in range(20):
            authority.server("a.test", number=number % 4).write(httpd.root, "a.test")
            httpd.graceful()
            assert curl(httpd, "a.test").text == "hello"
            sizes.append(resident(pid))
            counts.append(descriptors(pid))
        assert keyd(httpd) == pid and len(httpd.key_processes()) == 3
        assert max(counts[10:]) <= max(counts[:10]), counts
        assert max(sizes[15:]) - max(sizes[5:15]) < 600, sizes

    @MPMS
    def test_03_off_and_on(self, httpd, mpm):
        start(httpd, "TLSKeyProcess off", mpm=mpm)
        httpd.log.expect("traces of them may be left: stop and start httpd")
        for _ in range(2):
            configure(httpd, mpm=mpm)
            httpd.graceful()
            pid = wait_for(lambda: keyd(httpd), "tls-keyd")
            assert is_running(pid)
            assert curl(httpd, "a.test").text == "hello"
            configure(httpd, "TLSKeyProcess off", mpm=mpm)
            httpd.graceful()
            assert curl(httpd, "a.test").text == "hello"
            wait_for(lambda: not httpd.key_processes(), "the end of tls-keyd")

    def test_04_another_program(self, httpd, program):
        """Children of the old configuration are served until they end."""
        other = shutil.copy(program, httpd.root / "my-keyd")
        start(httpd)
        first = keyd(httpd)
        configure(httpd, f"TLSKeyProcess {other}")
        httpd.graceful()
        assert executable(keyd(httpd)) == str(other)
        assert curl(httpd, "a.test").text == "hello"
        wait_for(lambda: not is_running(first), "the end of the old tls-keyd")


def serial(httpd):
    with connect(httpd, "a.test") as tls:
        return tls.getpeercert()["serialNumber"]


class TestEnd:
    """It ends with httpd, and not before."""

    @MPMS
    @DAEMON
    def test_01_stop(self, httpd, mpm, daemon):
        start(httpd, mpm=mpm, daemon=daemon)
        assert curl(httpd, "a.test").text == "hello"
        both = [keyd(httpd), *httpd.key_processes()]
        control(httpd, "stop")
        httpd._process.wait(30)
        wait_for(lambda: not any(map(is_running, both)), "the end of tls-keyd", 3)
        assert "child came home" not in httpd.log.text()

    def test_02_graceful_stop(self, httpd):
        """A request in progress is completed."""
        start(httpd)
        pid = keyd(httpd)
        with connect(httpd, "a.test") as tls:
            tls.sendall(request("a.test", close=False)[:-2])
            httpd._process.send_signal(signal.SIGWINCH)
            wait_for(lambda: "AH00491" in httpd.log.text() or "shutting down" in httpd.log.text(), "the signal")
            tls.sendall(b"\r\n")
            assert b"hello" in tls.recv(10000)
        httpd._process.wait(30)
        wait_for(lambda: not is_running(pid), "the end of tls-keyd", 3)

    @MPMS
    @DAEMON
    def test_03_the_parent_is_killed(self, httpd, mpm, daemon):
        start(httpd, mpm=mpm, daemon=daemon)
        both = [keyd(httpd), *httpd.key_processes()]
        others = httpd.children()
        os.kill(httpd.pid, signal.SIGKILL)
        wait_for(lambda: not any(map(is_running, both)), "the end of tls-keyd", 5)
        for pid in others:
            os.kill(pid, signal.SIGKILL)

    def test_04_signals_of_a_terminal(self, httpd):
        start(httpd)
        pid = keyd(httpd)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGWINCH):
            os.kill(pid, number)
        assert curl(httpd, "a.test").text == "hello"
        assert is_running(pid) and keyd(httpd) == pid

    def test_05_one_process(self, httpd):
        """httpd -X"""
        configure(httpd)
        httpd.arguments = ["-X"]
        httpd.run()
        wait_for(lambda: keyd(httpd) and curl(httpd, "a.test").text == "hello", "httpd")
        pid = keyd(httpd)
        assert not httpd.children()
        httpd.stop()
        wait_for(lambda: not is_running(pid), "the end of tls-keyd", 3)


class TestReplacement:
    @MPMS
    @DAEMON
    def test_01_killed(self, httpd, mpm, daemon):
        """It is replaced within seconds, each time, and leaves no zombie. Sessions are resumed."""
        start(httpd, mpm=mpm, daemon=daemon)
        ctx = context(httpd)
        for _ in range(3):
            with connect(httpd, "a.test", ctx=ctx):
                pass
            kill(httpd)
            assert curl(httpd, "a.test").text == "hello"
            count = 2 if daemon and keyd(httpd) not in httpd.key_processes() else 3
            wait_for(lambda count=count: list(map(is_running, httpd.key_processes())) == [True] * count, "no zombie", 5)
        assert "child came home" not in httpd.log.text()

    @pytest.mark.parametrize("role", ["--watch", "--bell"])
    def test_02_the_watcher_or_the_bell_is_killed(self, httpd, role):
        start(httpd)
        pid = keyd(httpd)
        victim = companion(httpd, role)
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: victim not in httpd.key_processes(), "no zombie")
        wait_for(lambda: list(map(is_running, httpd.key_processes())) == [True] * 3, "another one")
        assert keyd(httpd) == pid and curl(httpd, "a.test").text == "hello"

    def test_03_after_a_reload(self, httpd):
        """Children of the old configuration find the new process too."""
        start(httpd)
        with connect(httpd, "a.test") as tls, tls.makefile("rb"):
            httpd.graceful()
            kill(httpd)
            tls.sendall(request("a.test"))
            assert b"hello" in tls.recv(10000)
        assert curl(httpd, "a.test").text == "hello"
        httpd.graceful()
        assert curl(httpd, "a.test").text == "hello"
