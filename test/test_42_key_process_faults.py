# SPDX-License-Identifier: Apache-2.0
"""tls-keyd is killed, does not answer, or lacks something."""

import os
import resource
import signal
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from harness.certs import key_pem
from harness.clients import connect, context, curl, read_response, request
from harness.crowd import INTERNAL_ERROR, OK, Crowd
from harness.h2peer import Client
from harness.httpd import wait_for
from harness.keyd import LOST, is_running, keyd, kill, stop

MPMS = pytest.mark.parametrize("mpm", ["event", "worker", "prefork"])
THREADED = pytest.mark.parametrize("mpm", ["event", "worker"])


def children(threads):
    """The limits for four children, all of which are ready, so that none is started during the test."""
    return (
        f"StartServers 4\nThreadsPerChild {threads}\nThreadLimit {threads}\nMaxRequestWorkers {4 * threads}\n"
        f"MinSpareThreads 1\nMaxSpareThreads {4 * threads}"
    )


# If all threads of a child are busy, the event MPM closes the connections that wait for a request.
LIMITS = {"event": children(200), "worker": children(25)}
PATIENCE = 2
# TLS1502: so many that not each has its line.
TOO_LATE = "has not signed within 2 seconds|most threads of this process wait for it already|more failures .* TLS1502"


def start(httpd, *lines, mpm="event", **options):
    protocols = "Protocols http/1.1" if mpm == "prefork" else "Protocols h2 http/1.1"
    if mpm == "prefork":
        httpd.log.allow("AH10034")  # mod_http2 requires threads
    lines = [f"TLSEngine {httpd.port}", protocols, "MaxKeepAliveRequests 0", httpd.vhost("a.test"), *lines]
    # The MPM says that there are many clients.
    httpd.log.allow("AH00286|AH00484|AH00161")
    httpd.start(*lines, mpm=mpm, **options)


def refusal(httpd, name="a.test"):
    """Makes a full handshake that fails. Returns the alert, and the time that it took."""
    begin = time.monotonic()
    with pytest.raises(ssl.SSLError) as error, connect(httpd, name):
        pass
    return error.value.reason, time.monotonic() - begin


class KeepAlive:
    """An open connection, for requests."""

    def __init__(self, httpd):
        self._tls = connect(httpd, "a.test")
        self._stream = self._tls.makefile("rb")
        self.get()

    def get(self):
        """Makes a request. Returns how long that took."""
        begin = time.monotonic()
        self._tls.sendall(request("a.test", close=False))
        status, _, body = read_response(self._stream)
        assert status == 200 and body == b"hello\n"
        return time.monotonic() - begin


class Bystanders:
    """Connections that need no signature: an open one, a stream of an open one, and one that resumes a session."""

    def __init__(self, httpd):
        self._httpd = httpd
        self._open, self._h2 = KeepAlive(httpd), Client(httpd)
        self._ctx = context(httpd)
        with connect(httpd, "a.test", ctx=self._ctx) as tls:
            tls.sendall(request("a.test", close=False))
            read_response(tls.makefile("rb"))
            self._session = tls.session

    def use(self):
        """Uses all of them. Returns how long the slowest one took."""
        return max(self._open.get(), self._stream(), self._resumed())

    def _stream(self):
        begin = time.monotonic()
        assert self._h2.get("/").status == 200
        return time.monotonic() - begin

    def _resumed(self):
        begin = time.monotonic()
        with connect(self._httpd, "a.test", ctx=self._ctx, session=self._session) as tls:
            assert tls.session_reused
        return time.monotonic() - begin


class TestKilled:
    @THREADED
    def test_01_under_load(self, httpd, mpm):
        """Handshakes wait for the next one. Those that do not get a signature in time end with internal_error."""
        start(httpd, mpm=mpm, limits=LIMITS[mpm])
        httpd.log.allow(TOO_LATE)
        bystanders = Bystanders(httpd)
        with Crowd(httpd, 100, is_endless=True) as crowd:
            for _ in range(3):
                before = crowd.done()
                wait_for(lambda before=before: crowd.done() > before + 100, "handshakes")
                kill(httpd, wait=False)
                for _ in range(10):
                    assert bystanders.use() < PATIENCE
                wait_for(lambda before=before: crowd.done() > before + 300, "handshakes after it was killed")
        assert set(crowd.end()) <= {OK, INTERNAL_ERROR}
        assert curl(httpd, "a.test").text == "hello"

    def test_02_crowd_after_the_end(self, httpd):
        """More connections wait than fit into the queue of the socket."""
        start(httpd, limits=LIMITS["event"])
        httpd.log.allow(TOO_LATE)
        with Crowd(httpd, 300, is_waiting=True) as crowd:
            kill(httpd, wait=False)
        found = crowd.end()
        assert set(found) <= {OK, INTERNAL_ERROR} and found[OK] > 200, found

    def test_03_at_most_five_times_a_minute(self, httpd):
        start(httpd)
        httpd.log.expect(r"was started 5 times within a minute; the next attempt is made later")
        for _ in range(5):
            kill(httpd)
        kill(httpd, wait=False)
        wait_for(lambda: "5 times within a minute" in httpd.log.text(), "the message")
        others = [Path(f"/proc/{pid}/cmdline").read_text() for pid in httpd.key_processes() if is_running(pid)]
        assert all("--watch" in other or "--bell" in other for other in others)
        httpd.log.expect("has not signed within 2 seconds")
        reason, seconds = refusal(httpd)
        assert reason == INTERNAL_ERROR and PATIENCE <= seconds < PATIENCE + 1

    def test_04_short_of_memory(self, httpd, authority):
        """Its limit is what it has. It ends if it needs more, and the next one has another limit."""
        start(httpd)
        pid = keyd(httpd)
        statm = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
        resource.prlimit(pid, resource.RLIMIT_AS, (statm, statm))
        httpd.log.allow(LOST)
        httpd.log.allow("AH00052: child pid .* exit signal Abort")
        hosts = [httpd.vhost(f"h{i}.test") for i in range(300)]
        httpd.configure(f"TLSEngine {httpd.port}", httpd.vhost("a.test"), *hosts)
        httpd.graceful()
        for name in ("a.test", "h7.test", "h299.test"):
            assert curl(httpd, name).text == "hello"


class TestStopped:
    """SIGSTOP: it neither answers nor ends."""

    @MPMS
    def test_01_it_is_replaced(self, httpd, mpm):
        start(httpd, mpm=mpm)
        old = keyd(httpd)
        httpd.log.expect(f"{LOST}does not answer and is killed")
        httpd.log.expect("has not signed within 2 seconds")
        stop(old)
        begin = time.monotonic()
        reason, seconds = refusal(httpd)
        assert reason == INTERNAL_ERROR and PATIENCE <= seconds < PATIENCE + 1
        wait_for(lambda: keyd(httpd) != old, "another one", 6)
        assert time.monotonic() - begin < 6
        assert not is_running(old)
        assert curl(httpd, "a.test").text == "hello"

    @THREADED
    def test_02_others_are_served(self, httpd, mpm):
        """Most threads wait in vain, but not all."""
        start(httpd, mpm=mpm, limits=LIMITS[mpm])
        httpd.log.expect(f"{LOST}does not answer and is killed")
        httpd.log.allow(TOO_LATE)
        bystanders = Bystanders(httpd)
        old = keyd(httpd)
        times = []
        with Crowd(httpd, 200, is_waiting=True) as crowd:
            stop(old)
            crowd.begin()
            while keyd(httpd) == old:
                times.append(bystanders.use())
        found = crowd.end()
        assert set(found) <= {OK, INTERNAL_ERROR} and found[INTERNAL_ERROR], found
        assert len(times) > 10 and max(times) < 1, times
        assert curl(httpd, "a.test").text == "hello"

    def test_03_it_goes_on(self, httpd):
        """One that answers again in time stays."""
        start(httpd)
        stop(keyd(httpd))
        crowd = Crowd(httpd, 1)
        os.kill(keyd(httpd), signal.SIGCONT)
        assert crowd.end() == {OK: 1}


def set_descriptors(pid, limit):
    """Sets the limit of descriptors of a process, as its own user. Root needs a capability to do so."""
    fields = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    user, group = (int(fields[name].split()[0]) for name in ("Uid", "Gid"))
    as_user = {"user": user, "group": group, "extra_groups": []} if os.geteuid() == 0 else {}
    subprocess.run(["prlimit", f"--nofile={limit}:", f"--pid={pid}"], check=True, **as_user)


def limit_descriptors(pid, more):
    """Lets a process open that many more descriptors."""
    used = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    free = [number for number in range(len(used) + more + 1) if number not in used]
    set_descriptors(pid, free[more])


class TestDescriptors:
    def test_01_of_a_child(self, httpd):
        """There is one for the client, but none for a connection to tls-keyd."""
        start(httpd)
        open_one = KeepAlive(httpd)
        (child,) = httpd.children()
        httpd.log.expect("cannot connect to tls-keyd.*Too many open files.*raise the limit of open files: ulimit -n")
        limit_descriptors(child, 2)
        # The thread that has served the first connection has its own.
        wait_for(lambda: refused(httpd), "a new thread")
        assert open_one.get() < 1
        set_descriptors(child, 1024)
        for _ in range(30):
            assert curl(httpd, "a.test").text == "hello"

    def test_02_of_tls_keyd(self, httpd):
        start(httpd)
        open_one = KeepAlive(httpd)
        pid = keyd(httpd)
        limit_descriptors(pid, 0)
        httpd.log.expect("closes connections of this process at once: the messages of httpd's parent process")
        httpd.log.expect("has no descriptors for another thread of httpd.*raise the limit of open files")
        wait_for(lambda: refused(httpd), "a new thread")
        assert open_one.get() < 1
        wait_for(lambda: "has no descriptors" in httpd.log.text(), "the message of tls-keyd")
        set_descriptors(pid, 1024)
        for _ in range(30):
            assert curl(httpd, "a.test").text == "hello"
        assert keyd(httpd) == pid


def refused(httpd):
    """Whether a full handshake fails, by internal_error."""
    try:
        with connect(httpd, "a.test"):
            return False
    except ssl.SSLError as error:
        assert error.reason == INTERNAL_ERROR
        return True


class TestFiles:
    """Files that have changed when a new tls-keyd reads them."""

    @pytest.fixture
    def two(self, httpd):
        """Starts a.test and b.test. Returns the key file of b.test."""
        start(httpd, httpd.vhost("b.test"))
        httpd.log.expect("does not have the private key: it could not be read again")
        httpd.log.allow("the certificate in .*b.test.pem has changed and is not used")
        return httpd.root / "b.test.key"

    def check(self, httpd):
        """The host without a key fails at once, the other one works."""
        assert curl(httpd, "a.test").text == "hello"
        reason, seconds = refusal(httpd, "b.test")
        assert reason == INTERNAL_ERROR and seconds < 1

    def test_01_another_key(self, httpd, two, authority):
        issued = authority.server("b.test", number=1)
        two.write_bytes(key_pem(issued.key))
        httpd.log.expect("b.test.key: the private key is another one than when httpd was started or reloaded: reload")
        kill(httpd)
        self.check(httpd)
        issued.write(httpd.root, "b.test")
        httpd.graceful()
        assert curl(httpd, "b.test").text == "hello"

    @pytest.mark.parametrize("content", [None, b"", b"nonsense\n", b"-----BEGIN PRIVATE KEY-----\nAAAA\n"])
    def test_02_no_key(self, httpd, two, content):
        before = two.read_bytes()
        two.unlink()
        if content is not None:
            two.write_bytes(content)
        httpd.log.expect("tls-keyd was started again but lacks a private key.*b.test.key: ")
        kill(httpd)
        self.check(httpd)
        two.write_bytes(before)
        httpd.graceful()
        assert curl(httpd, "b.test").text == "hello"

    def test_03_the_same_key(self, httpd):
        """In a new file, behind another key, in another form: it is the same for its certificate."""
        issued = httpd.authority.server("b.test", kind="rsa2048")
        issued.write(httpd.root, "b.test")
        start(httpd, httpd.vhost("b.test", cert="b.test.pem b.test.key"))
        file = httpd.root / "b.test.key"
        file.write_bytes(
            subprocess.run(["openssl", "rsa", "-traditional", "-in", file], check=True, capture_output=True).stdout
        )
        kill(httpd)
        assert curl(httpd, "b.test").text == "hello"


class TestPassPhrases:
    """Keys that are encrypted, after a crash."""

    @pytest.fixture
    def encrypted(self, ssl_server, httpd):
        """Starts a.test by mod_ssl's directives, with a dialog."""

        def start(dialog, script):
            program = ssl_server.root / "ask"
            program.write_text(f"#!/bin/sh\necho x >> {ssl_server.root}/asked\n{script}\n")
            program.chmod(0o755)
            certificate = ssl_server.certificate("a.test", password=b"secret")
            ssl_server.start(
                f"SSLPassPhraseDialog {dialog}{program}", ssl_server.vhost("a.test", certificate=certificate)
            )

        return start

    def test_01_exec(self, encrypted, httpd):
        encrypted("exec:", "echo secret")
        kill(httpd)
        assert curl(httpd, "a.test").text == "hello"
        assert (httpd.root / "asked").read_text() == "x\n" * 2

    def test_02_exec_fails(self, encrypted, httpd):
        encrypted("exec:", f"test -e {httpd.root}/away || echo secret")
        (httpd.root / "away").touch()
        httpd.log.expect(
            "the pass phrase that opened this private key is gone with tls-keyd, and .*stop and start httpd"
        )
        httpd.log.expect("does not have the private key: it could not be read again")
        kill(httpd)
        assert refusal(httpd)[0] == INTERNAL_ERROR

    def test_03_pipe(self, encrypted, httpd):
        encrypted("|", "while read -r line; do case $line in Enter*) echo secret;; esac; done")
        httpd.log.allow(
            "the pass phrase that opened this private key is gone with tls-keyd, and .*stop and start httpd"
        )
        httpd.log.allow("does not have the private key: it could not be read again")
        kill(httpd)
        said = "gone with tls-keyd" in httpd.log.text()
        assert said == refused(httpd)
