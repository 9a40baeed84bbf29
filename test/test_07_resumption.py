# SPDX-License-Identifier: Apache-2.0
"""Resumption: in any child, after reloads, by tickets and by session identifiers."""

import ctypes
import os
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from harness.clients import connect, context, read_all, request, s_client, session_text
from harness.httpd import wait_for

H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
VARIABLES = 'Header always set X-Resumed "%{SSL_SESSION_RESUMED}s"\nHeader always set X-Pid "%{PID}e"'


def fetch(httpd, ctx, session=None, host="a.test"):
    """Makes one request. Returns whether the session was resumed, by the client's and by the server's view, and the
    session."""
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

    def test_08_fresh_ones_are_kept(self, httpd):
        """In TLS 1.2 a client gets a new ticket only after half of the lifetime of the old one."""
        start(httpd, "TLSSessionLifetime 4")
        session = httpd.root / "session"

        def connect(option):
            args = ("-tls1_2", "-msg", option, str(session))
            return s_client(httpd, *args, name="a.test", send=request("a.test"))

        assert "NewSessionTicket" in connect("-sess_out").output
        began = time.monotonic()
        renewed = wait_for(lambda: self.renewed(connect("-sess_in")), "a new ticket", 4)
        assert renewed.reused and time.monotonic() - began > 1

    @staticmethod
    def renewed(connection):
        assert connection.reused
        return connection if "NewSessionTicket" in connection.output else None

    def test_09_a_new_one_if_the_old_one_is_not_known(self, httpd):
        start(httpd)
        session = httpd.root / "session"
        s_client(httpd, "-tls1_2", "-sess_out", str(session), name="a.test", send=request("a.test"))
        httpd.stop()
        httpd.log.begin()
        start(httpd)
        again = s_client(httpd, "-tls1_2", "-msg", "-sess_in", str(session), name="a.test", send=request("a.test"))
        assert not again.reused and "NewSessionTicket" in again.output


class TestAlpn:
    """A resumed connection negotiates its protocol again. The protocol of the original session does not count (RFC 7301
    section 3.1)."""

    OFFERS = {"none": None, "h2": ["h2"], "http/1.1": ["http/1.1"], "both": ["h2", "http/1.1"]}
    AGREED = {"none": None, "h2": "h2", "http/1.1": "http/1.1", "both": "h2"}

    def connect(self, httpd, version, offer, session=None):
        ctx = context(httpd, version) if session is None else session[0]
        if offer:
            ctx.set_alpn_protocols(offer)
        with connect(httpd, "a.test", ctx=ctx, session=session and session[1]) as tls:
            tls.sendall(H2_PREFACE if tls.selected_alpn_protocol() == "h2" else request("a.test"))
            tls.recv(1000)
            return tls.selected_alpn_protocol(), tls.session_reused, (ctx, tls.session)

    @pytest.mark.parametrize("version", [TLS12, TLS13])
    @pytest.mark.parametrize("first", OFFERS)
    @pytest.mark.parametrize("second", ["h2", "http/1.1", "both"])
    def test_01_any_after_any(self, httpd, version, first, second):
        start(httpd, "Protocols h2 http/1.1")
        agreed, _, session = self.connect(httpd, version, self.OFFERS[first])
        assert agreed == self.AGREED[first]
        assert self.connect(httpd, version, self.OFFERS[second], session)[:2] == (self.AGREED[second], True)

    @pytest.mark.parametrize("version", [TLS12, TLS13])
    def test_02_nothing_in_common(self, httpd, version):
        """The result is an alert, with or without resumption (RFC 7301 section 3.2). mod_ssl answers with a protocol
        that the client has not offered, and OpenSSL's clients refuse it."""
        start(httpd, "Protocols http/1.1")
        _, _, session = self.connect(httpd, version, ["http/1.1"])
        for resumed in (None, session):
            with pytest.raises(ssl.SSLError):
                self.connect(httpd, version, ["h2"], resumed)
        log = httpd.log.text()
        assert log.count("handshake failed") == 2


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
        assert fetch(httpd, ctx, session)[0], "tickets are independent of the cache"

    def test_05_tls13_without_tickets(self, httpd):
        start(httpd, "TLSSessionTickets off")
        ctx = context(httpd, TLS13)
        _, session = fetch(httpd, ctx)
        assert fetch(httpd, ctx, session)[0]


def test_early_data_is_skipped(httpd, ports):
    """A client with the session of another server sends early data. The server ignores it (RFC 8446 section 4.2.10)."""
    httpd.start(f"TLSEngine {httpd.port}", httpd.vhost("a.test", VARIABLES))
    cert, key = httpd.root / "a.test.pem", httpd.root / "a.test.key"
    other = ports.take()
    command = ["openssl", "s_server", "-accept", str(other), "-cert", cert, "-key", key, "-early_data"]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    session, early = str(httpd.root / "session"), httpd.root / "early"
    early.write_bytes(request("a.test", "/never"))
    try:
        # The session is stored after the handshake, possibly after the client has closed.
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


def wish(ctx, new, resumed):
    """Makes a context request tickets (RFC 9149). Python has no function for it."""
    # A Python object begins with its reference count and its type. In a context, OpenSSL's SSL_CTX pointer follows.
    pointer = ctypes.c_void_p.from_address(id(ctx) + 2 * ctypes.sizeof(ctypes.c_void_p))
    void, unsigned, size = ctypes.c_void_p, ctypes.c_uint, ctypes.POINTER(ctypes.c_size_t)
    add = ctypes.CFUNCTYPE(
        ctypes.c_int,
        void,
        unsigned,
        unsigned,
        ctypes.POINTER(void),
        size,
        void,
        size,
        ctypes.POINTER(ctypes.c_int),
        void,
    )
    content = ctypes.create_string_buffer(bytes([new, resumed]), 2)

    @add
    def extension(connection, kind, where, out, length, *rest):
        out[0], length[0] = ctypes.addressof(content), 2
        return 1

    in_client_hello, ticket_request = 0x80, 58
    add_extension = ctypes.CDLL(ssl._ssl.__file__).SSL_CTX_add_custom_ext
    add_extension.argtypes = [void, unsigned, unsigned, add, void, void, void, void]
    assert add_extension(pointer, ticket_request, in_client_hello, extension, None, None, None, None) == 1
    ctx.extension = extension, content
    return ctx


class CountingContext(ssl.SSLContext):
    """A context with attributes, for objects that C code points to."""


class TestTicketCount:
    @staticmethod
    def count(httpd, session=None, asks=None):
        """Counts the tickets that a client gets. Returns the count and a session for the next connection."""
        ctx = CountingContext(ssl.PROTOCOL_TLS_CLIENT)
        ctx.load_verify_locations(httpd.ca_file)
        ctx.minimum_version = TLS13
        if asks:
            wish(ctx, *asks)
        seen = []
        ctx._msg_callback = lambda conn, direction, version, content, kind, data: seen.append((direction, kind))
        # A session belongs to its context. This context is not used with another session.
        first = fetch(httpd, ctx)[1]
        if session:
            seen.clear()
            assert fetch(httpd, ctx, first)[0]
        return seen.count(("read", ssl._TLSMessageType.NEWSESSION_TICKET))

    @pytest.mark.parametrize("number", [0, 1, 2, 5])
    def test_01_configured(self, httpd, number):
        start(httpd, f"TLSSessionTicketCount {number}")
        assert self.count(httpd) == number

    def test_02_two_by_default(self, httpd):
        start(httpd)
        assert self.count(httpd) == 2

    @pytest.mark.parametrize("line", ["", "TLSSessionTicketCount 5", "TLSSessionTickets off"])
    def test_06_one_for_the_one_that_was_used(self, httpd, line):
        start(httpd, line)
        assert self.count(httpd, session=True) == 1

    @pytest.mark.parametrize("line", ["", "TLSSessionTickets off", "TLSGroupsPrefer secp256r1"])
    def test_03_asked_for(self, httpd, line):
        start(httpd, line)
        assert self.count(httpd, asks=(3, 1)) == 3
        assert self.count(httpd, asks=(3, 1), session=True) == 1
        assert self.count(httpd, asks=(0, 0)) == 0
        assert self.count(httpd, asks=(255, 1)) == 8
        assert self.count(httpd) == 2

    def test_04_none_means_none(self, httpd):
        start(httpd, "TLSSessionTicketCount 0")
        assert self.count(httpd, asks=(3, 1)) == 0

    @pytest.mark.parametrize("number", ["-1", "9", "two"])
    def test_05_mistakes(self, httpd, number):
        httpd.configure(f"TLSEngine {httpd.port}", f"TLSSessionTicketCount {number}", httpd.vhost("a.test"))
        code, output = httpd.configtest()
        assert code != 0 and f'takes a number of tickets from 0 to 8, not "{number}"' in output


class TestLifetime:
    @pytest.mark.parametrize("line", ["", "TLSSessionTickets off"])
    @pytest.mark.parametrize("version", [TLS12, TLS13])
    def test_01_sessions_end(self, httpd, version, line):
        start(httpd, "TLSSessionLifetime 2", line)
        ctx = context(httpd, version)
        session = fetch(httpd, ctx)[1]
        assert fetch(httpd, ctx, session)[0] or line, "only single-use tickets may be gone"
        wait_for(lambda: not fetch(httpd, ctx, session)[0], "the end of the session")

    @pytest.mark.parametrize("line,hint", [("TLSSessionLifetime 100000", 100_000), ("", 43_200)])
    def test_02_clients_are_told(self, httpd, line, hint):
        start(httpd, line)
        file = httpd.root / "session"
        s_client(httpd, "-sess_out", str(file), name="a.test", send=request("a.test"))
        assert f"lifetime hint: {hint} (seconds)" in session_text(file)

    @pytest.mark.parametrize("value", ["0", "604801", "1h"])
    def test_03_mistakes(self, httpd, value):
        httpd.configure(f"TLSEngine {httpd.port}", f"TLSSessionLifetime {value}", httpd.vhost("a.test"))
        code, output = httpd.configtest()
        assert code != 0 and "takes a number of seconds from 1 to 604800" in output


class TestFleet:
    """Servers that share a seed have the same keys at the same time, whenever they were started."""

    @staticmethod
    def start(machine, seed, hours=None):
        machine.root.joinpath("seed").write_bytes(seed)
        if hours is not None:
            libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
            machine.environment |= {
                "LD_PRELOAD": str(libraries[0]),
                "FAKETIME": f"+{hours}h",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
        start(machine, "TLSSessionTicketKeyFile seed", children=1)

    @pytest.mark.parametrize("version", [TLS12, TLS13])
    def test_01_accept_each_other(self, httpd, second_httpd, version):
        seed = os.urandom(48)
        self.start(httpd, seed)
        self.start(second_httpd, seed)
        ctx = context(httpd, version)
        for one, other in ((httpd, second_httpd), (second_httpd, httpd)):
            session = fetch(one, ctx)[1]
            assert fetch(other, ctx, session)[0]

    def test_02_not_others(self, httpd, second_httpd):
        self.start(httpd, os.urandom(48))
        self.start(second_httpd, os.urandom(48))
        ctx = context(httpd, TLS13)
        assert not fetch(second_httpd, ctx, fetch(httpd, ctx)[1])[0]

    @pytest.mark.parametrize("hours,resumed", [(6.5, True), (13, False)])
    def test_03_rotate_by_the_clock(self, httpd, second_httpd, hours, resumed):
        """The keys of the next period, and the older keys for as long as tickets are valid."""
        seed = os.urandom(48)
        self.start(httpd, seed)
        self.start(second_httpd, seed, hours)
        ctx = context(httpd, TLS13)
        assert fetch(second_httpd, ctx, fetch(httpd, ctx)[1])[0] is resumed
        # Keys of a later period are not known.
        assert not fetch(httpd, ctx, fetch(second_httpd, ctx)[1])[0]
