# SPDX-License-Identifier: Apache-2.0
"""Sessions are resumed: in any child, over reloads, by ticket and by session id."""

import os
import ssl
import subprocess

import pytest

from harness.clients import connect, context, read_all, request, s_client
from harness.httpd import wait_for

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
VARIABLES = 'Header always set X-Resumed "%{SSL_SESSION_RESUMED}s"\nHeader always set X-Pid "%{PID}e"'


def fetch(httpd, ctx, session=None, host="a.test"):
    """One request; returns whether its session was resumed in the client's and in our opinion, and the session."""
    with connect(httpd, host, ctx=ctx, session=session) as tls:
        tls.sendall(request(host))
        response = read_all(tls)
        ours = b"X-Resumed: Resumed" in response
        assert ours == tls.session_reused
        return ours, tls.session


def start(httpd, *lines, children=3, **options):
    limits = f"StartServers {children}\nThreadsPerChild 25\nMinSpareThreads {25 * children}"
    httpd.start(f"TLSEngine {httpd.port}", *lines, httpd.vhost("a.test", VARIABLES), limits=limits, **options)


def no_tickets(ctx):
    ctx.options |= ssl.OP_NO_TICKET
    return ctx


class TestTickets:
    @pytest.mark.parametrize("version", [TLS12, TLS13])
    def test_01_in_any_child(self, httpd, version):
        start(httpd)
        ctx = context(httpd, version)
        resumed, session = fetch(httpd, ctx)
        assert not resumed
        assert all(fetch(httpd, ctx, session)[0] for _ in range(20))

    @pytest.mark.parametrize("version", [TLS12, TLS13])
    def test_02_after_a_graceful_restart(self, httpd, version):
        start(httpd)
        ctx = context(httpd, version)
        _, session = fetch(httpd, ctx)
        httpd.graceful()
        assert fetch(httpd, ctx, session)[0]

    @pytest.mark.parametrize("version", [TLS12, TLS13])
    def test_03_switched_off(self, httpd, version):
        start(httpd, "TLSSessionTickets off", "TLSSessionCache none")
        ctx = context(httpd, version)
        _, session = fetch(httpd, ctx)
        assert not fetch(httpd, ctx, session)[0]

    def test_04_only_by_a_server_with_the_same_keys(self, httpd):
        start(httpd)
        ctx = context(httpd, TLS13)
        _, session = fetch(httpd, ctx)
        httpd.stop()
        httpd.log.begin()
        start(httpd)
        assert not fetch(httpd, ctx, session)[0]

    @pytest.mark.parametrize("version", [TLS12, TLS13])
    def test_05_key_file(self, httpd, version):
        httpd.root.joinpath("seed").write_bytes(os.urandom(48))
        start(httpd, "TLSSessionTicketKeyFile seed")
        ctx = context(httpd, version)
        _, session = fetch(httpd, ctx)
        httpd.stop()
        httpd.log.begin()
        start(httpd, "TLSSessionTicketKeyFile seed")
        assert fetch(httpd, ctx, session)[0]

    @pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
    def test_06_openssl(self, httpd, version):
        start(httpd)
        file = str(httpd.root / "session")
        assert not s_client(httpd, version, "-sess_out", file, name="a.test", send=request("a.test")).reused
        assert s_client(httpd, version, "-sess_in", file, name="a.test", send=request("a.test")).reused

    def test_07_not_for_another_host(self, httpd):
        httpd.start(f"TLSEngine {httpd.port}", httpd.vhost("a.test", VARIABLES), httpd.vhost("b.test", VARIABLES))
        ctx = context(httpd, TLS13)
        _, session = fetch(httpd, ctx)
        assert not fetch(httpd, ctx, session, "b.test")[0]


class TestSessionIds:
    @pytest.mark.parametrize("line", ["", "TLSSessionCache default", "TLSSessionCache shmcb:{root}/cache(512000)"])
    def test_01_in_any_child(self, httpd, line):
        start(httpd, line.format(root=httpd.root))
        ctx = no_tickets(context(httpd, TLS12))
        resumed, session = fetch(httpd, ctx)
        assert not resumed
        assert all(fetch(httpd, ctx, session)[0] for _ in range(20))

    def test_02_switched_off(self, httpd):
        start(httpd, "TLSSessionCache none")
        ctx = no_tickets(context(httpd, TLS12))
        _, session = fetch(httpd, ctx)
        assert not fetch(httpd, ctx, session)[0]

    def test_03_dbm(self, httpd):
        # A provider that needs a lock between processes.
        directory = httpd.root / "dbm"
        directory.mkdir()
        directory.chmod(0o777)
        start(httpd, f"TLSSessionCache dbm:{directory}/cache", modules=["socache_dbm"])
        ctx = no_tickets(context(httpd, TLS12))
        _, session = fetch(httpd, ctx)
        assert all(fetch(httpd, ctx, session)[0] for _ in range(10))

    def test_04_no_provider_is_a_warning(self, httpd):
        httpd.configure(f"TLSEngine {httpd.port}", httpd.vhost("a.test", VARIABLES))
        conf = httpd.conf_file.read_text()
        httpd.conf_file.write_text("\n".join(line for line in conf.split("\n") if "socache_shmcb" not in line))
        httpd.start()
        httpd.log.expect("no session cache: there is no provider")
        ctx = context(httpd, TLS12)
        _, session = fetch(httpd, ctx)
        assert fetch(httpd, ctx, session)[0], "tickets need no cache"

    def test_05_tls13_without_tickets(self, httpd):
        start(httpd, "TLSSessionTickets off")
        ctx = context(httpd, TLS13)
        _, session = fetch(httpd, ctx)
        assert fetch(httpd, ctx, session)[0]


def test_early_data_is_skipped(httpd, ports):
    """A client that brings another server's session sends early data, which is skipped (RFC 8446 section 4.2.10)."""
    httpd.start(f"TLSEngine {httpd.port}", httpd.vhost("a.test", VARIABLES))
    cert, key = httpd.root / "a.test.pem", httpd.root / "a.test.key"
    other = ports.take()
    command = ["openssl", "s_server", "-accept", str(other), "-cert", cert, "-key", key, "-early_data"]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    session, early = str(httpd.root / "session"), httpd.root / "early"
    early.write_bytes(request("a.test", "/never"))
    try:
        # The session comes after the handshake, perhaps after the client has gone.
        arguments = ("-sess_out", session)
        wait_for(
            lambda: s_client(httpd, *arguments, name="a.test", port=other) and os.path.exists(session), "a session"
        )
        result = s_client(httpd, "-sess_in", session, "-early_data", str(early), name="a.test", send=request("a.test"))
    finally:
        server.kill()
        server.communicate()
    assert "Early data was rejected" in result.output
    assert "200 OK" in result.output and "hello" in result.output
    assert not any("/never" in line for line in httpd.access_lines())
