# SPDX-License-Identifier: Apache-2.0
"""A connection that ends because of the client's mistake ends with an alert. The client can read the alert whatever it
has sent after the mistake: the connection is not reset."""

import pytest

from harness.cgi import add_cgi
from harness.clients import plaintext_alert, read_all, records, request
from harness.records import (
    ALERT,
    APPLICATION_DATA,
    CHANGE_CIPHER_SPEC,
    HANDSHAKE,
    WARNING,
    Rogue,
    handshake_message,
    record,
)

CLIENT_HELLO, CLIENT_KEY_EXCHANGE, FINISHED, KEY_UPDATE = 1, 16, 20, 24
USER_CANCELED, NO_RENEGOTIATION = 90, 100
# Data that the server has not read when it finds the mistake.
BEHIND = record(APPLICATION_DATA, bytes(16_000)) * 12


def padded(keys):
    return keys.seal_inner(bytes(20))


def interrupted_key_update(keys):
    message = handshake_message(KEY_UPDATE, b"\0")
    return keys.seal(HANDSHAKE, message[:2]) + keys.seal(APPLICATION_DATA, b"x") + keys.seal(HANDSHAKE, message[2:])


def warnings(description, count=20):
    return lambda keys: b"".join(keys.seal(ALERT, bytes([WARNING, description])) for _ in range(count))


def sealed(kind, payload):
    return lambda keys: keys.seal(kind, payload)


def broken(keys):
    sealed_record = keys.seal(APPLICATION_DATA, b"x" * 100)
    return sealed_record[:-1] + bytes([sealed_record[-1] ^ 1])


def too_long(keys):
    return keys.seal(APPLICATION_DATA, bytes(16_385))


def endless_key_updates(keys):
    return b"".join(keys.seal(HANDSHAKE, handshake_message(KEY_UPDATE, b"\0")) for _ in range(40))


def empty_records(keys):
    return b"".join(keys.seal(APPLICATION_DATA, b"") for _ in range(100))


MISTAKES_13 = {
    "empty-inner-plaintext": (padded, "UNEXPECTED_MESSAGE"),
    "data-within-key-update": (interrupted_key_update, "UNEXPECTED_MESSAGE"),
    "warnings": (warnings(USER_CANCELED), "UNEXPECTED_MESSAGE"),
    "one-warning": (warnings(NO_RENEGOTIATION, 1), "DECODE_ERROR"),
    "no-content-type": (sealed(99, b"x"), "UNEXPECTED_MESSAGE|DECODE_ERROR"),
    "change-cipher-spec": (sealed(CHANGE_CIPHER_SPEC, b"\1"), "UNEXPECTED_MESSAGE"),
    "bad-key-update": (sealed(HANDSHAKE, handshake_message(KEY_UPDATE, b"\7")), "ILLEGAL_PARAMETER|DECODE_ERROR"),
    "long-key-update": (sealed(HANDSHAKE, handshake_message(KEY_UPDATE, b"\0\0")), "DECODE_ERROR"),
    "hello": (sealed(HANDSHAKE, handshake_message(CLIENT_HELLO, bytes(50))), "DECODE_ERROR|UNEXPECTED_MESSAGE"),
    "finished": (sealed(HANDSHAKE, handshake_message(FINISHED, bytes(48))), "UNEXPECTED_MESSAGE"),
    "huge-message": (sealed(HANDSHAKE, b"\4\xff\xff\xff" + bytes(9000)), "DECODE_ERROR"),
    "unreadable": (broken, "BAD_RECORD_MAC"),
    "too-long": (too_long, "RECORD_OVERFLOW"),
    "short-alert": (sealed(ALERT, b"\1"), "DECODE_ERROR"),
    "empty-records": (empty_records, "UNEXPECTED_MESSAGE"),
}

MISTAKES_12 = {
    "warnings": (warnings(USER_CANCELED), "UNEXPECTED_MESSAGE"),
    "bad-content-type": (sealed(99, b"x"), "UNEXPECTED_MESSAGE|DECODE_ERROR"),
    "change-cipher-spec": (sealed(CHANGE_CIPHER_SPEC, b"\1"), "UNEXPECTED_MESSAGE|DECODE_ERROR"),
    "finished": (sealed(HANDSHAKE, handshake_message(FINISHED, bytes(12))), "UNEXPECTED_MESSAGE"),
    "huge-message": (sealed(HANDSHAKE, b"\1\xff\xff\xff" + bytes(9000)), "DECODE_ERROR"),
    "unreadable": (broken, "BAD_RECORD_MAC"),
    "too-long": (too_long, "RECORD_OVERFLOW|DECODE_ERROR"),
    "short-alert": (sealed(ALERT, b"\1"), "DECODE_ERROR"),
    "empty-records": (empty_records, "UNEXPECTED_MESSAGE"),
}

CASES = [(version, name) for version, all_of in (("1.3", MISTAKES_13), ("1.2", MISTAKES_12)) for name in all_of]


def check(alert, pattern):
    """Whether OpenSSL's name of the alert matches the pattern."""
    assert alert and alert.removeprefix("TLSV1_ALERT_").removeprefix("SSLV3_ALERT_") in pattern.split("|"), alert


def mistake(version, name):
    return (MISTAKES_13 if version == "1.3" else MISTAKES_12)[name]


def check_mistake(httpd, version, name, data=b"", **options):
    """Completes a handshake, sends `data` and the mistake, and checks the alert."""
    make, alert = mistake(version, name)
    rogue = Rogue(httpd, "a.test", version, **options)
    keys = rogue.complete()
    before = keys.seal(APPLICATION_DATA, data) if data else b""
    rogue.sock.sendall(before + make(keys) + BEHIND)
    check(rogue.last_alert(), alert)


def cut(flight, kind):
    """Splits a client's flight: the records before the first one of this type, its payload, and the records after
    it."""
    found = records(flight)
    at = next(i for i, (type_, _) in enumerate(found) if type_ == kind)
    join = [b"".join(record(*one) for one in part) for part in (found[:at], found[at + 1 :])]
    return join[0], found[at][1], join[1]


def no_point(flight):
    """A ClientKeyExchange with zeros, which are no point on the curve."""
    before, message, after = cut(flight, HANDSHAKE)
    return before + record(HANDSHAKE, message[:5] + bytes(len(message) - 5)) + after


def empty_point(flight):
    before, _, after = cut(flight, HANDSHAKE)
    return before + record(HANDSHAKE, handshake_message(CLIENT_KEY_EXCHANGE, b"\0")) + after


def cut_key_exchange(flight):
    before, message, after = cut(flight, HANDSHAKE)
    return before + record(HANDSHAKE, handshake_message(CLIENT_KEY_EXCHANGE, message[4:-3])) + after


def wrong_finished(flight):
    return flight[:-1] + bytes([flight[-1] ^ 1])


def data_first(flight):
    return record(APPLICATION_DATA, b"x" * 50) + flight


def second_hello(flight):
    return record(HANDSHAKE, handshake_message(CLIENT_HELLO, bytes(60))) + flight


FLIGHTS_12 = {
    "no-point": (no_point, "ILLEGAL_PARAMETER"),
    "empty-point": (empty_point, "ILLEGAL_PARAMETER|DECODE_ERROR"),
    "cut-key-exchange": (cut_key_exchange, "DECODE_ERROR"),
    "wrong-finished": (wrong_finished, "BAD_RECORD_MAC|DECRYPT_ERROR"),
    "data-first": (data_first, "UNEXPECTED_MESSAGE"),
    "second-hello": (second_hello, "UNEXPECTED_MESSAGE|DECODE_ERROR"),
}

FLIGHTS_13 = {
    "padding": (lambda keys: keys.seal_inner(bytes(20)), "UNEXPECTED_MESSAGE"),
    "wrong-finished": (sealed(HANDSHAKE, handshake_message(FINISHED, bytes(48))), "DECRYPT_ERROR"),
    "short-finished": (sealed(HANDSHAKE, handshake_message(FINISHED, b"")), "DECRYPT_ERROR|DECODE_ERROR"),
    "data-first": (sealed(APPLICATION_DATA, b"GET / HTTP/1.1\r\n"), "UNEXPECTED_MESSAGE"),
    "warnings": (warnings(USER_CANCELED), "UNEXPECTED_MESSAGE"),
    "unreadable": (broken, "BAD_RECORD_MAC"),
    "interleaved": (
        lambda keys: keys.seal(HANDSHAKE, b"\x14\0") + keys.seal(APPLICATION_DATA, b"x"),
        "UNEXPECTED_MESSAGE",
    ),
}


class TestHandshake:
    """The server's answer to an invalid second flight. During the handshake no worker waits if the MPM can wait."""

    @pytest.fixture(params=["event", "worker", "prefork"])
    def server(self, httpd, request):
        httpd.log.allow("AH10034")
        httpd.start(f"TLSEngine {httpd.port}", httpd.vhost("a.test"), mpm=request.param)
        return httpd

    @pytest.mark.parametrize("name", FLIGHTS_12)
    def test_01_tls12(self, server, name):
        break_flight, alert = FLIGHTS_12[name]
        rogue = Rogue(server, "a.test", "1.2", ciphers="ECDHE+AESGCM")
        rogue.sock.sendall(break_flight(rogue.begin()) + BEHIND)
        check(rogue.last_alert(), alert)

    @pytest.mark.parametrize("name", FLIGHTS_13)
    def test_02_tls13(self, server, name):
        make, alert = FLIGHTS_13[name]
        rogue = Rogue(server, "a.test", "1.3")
        rogue.begin()
        rogue.sock.sendall(make(rogue.keys("CLIENT_HANDSHAKE_TRAFFIC_SECRET")) + BEHIND)
        check(rogue.last_alert(), alert)

    @pytest.mark.parametrize(
        "change,alert",
        [
            (lambda hello: hello[:43] + b"\xff" + hello[44:], 50),
            (lambda hello: hello.replace(b"a.test", b"x.test"), 112),
            (lambda hello: record(HANDSHAKE, b"\1\0\0\0"), 50),
            (lambda hello: record(APPLICATION_DATA, bytes(40)), 10),
            (lambda hello: record(ALERT, b"\2\x28"), 10),
        ],
        ids=["malformed", "unknown-name", "empty", "data", "alert"],
    )
    def test_03_hello(self, server, change, alert):
        rogue = Rogue(server, "a.test", "1.3")
        with rogue.sock as sock:
            sock.sendall(change(rogue.client.hello()) + BEHIND)
            assert plaintext_alert(read_all(sock)) == alert


class TestEstablished:
    @pytest.fixture(params=["event", "worker", "prefork"])
    def server(self, httpd, request):
        cat = add_cgi(httpd, "cat", "#!/bin/sh\necho 'Content-Type: text/plain'\necho\ncat\n")
        httpd.log.allow("AH10034")  # mod_http2 with prefork
        proxy = f"ProxyPass /proxied http://127.0.0.1:{httpd.plain_port}/cgi-bin/cat"
        modules = ["cgid", "proxy", "proxy_http"]
        httpd.start(f"TLSEngine {httpd.port}", *cat, httpd.vhost("a.test", proxy), mpm=request.param, modules=modules)
        return httpd

    @pytest.mark.parametrize("version,name", CASES)
    def test_01_instead_of_a_request(self, server, version, name):
        check_mistake(server, version, name)

    @pytest.mark.parametrize("version,name", CASES)
    def test_02_in_a_keepalive_connection(self, server, version, name):
        check_mistake(server, version, name, request("a.test", close=False))

    @pytest.mark.parametrize("path", ["/cgi-bin/cat", "/proxied"])
    @pytest.mark.parametrize("version,name", CASES)
    def test_03_in_a_body(self, server, version, name, path):
        """A script, or a backend, has received the beginning of the body."""
        server.log.allow("AH01270|Error reading request entity data|AH01225|AH02550|AH01257|AH01095|AH01097|AH02609")
        head = request("a.test", path, method="POST", headers="Content-Length: 1000000\r\n")
        check_mistake(server, version, name, head + bytes(1000))

    @pytest.mark.parametrize("version,name", CASES)
    def test_04_in_a_body_that_is_not_read(self, server, version, name):
        """httpd has answered with 405, and discards the body."""
        head = request("a.test", method="PUT", close=False, headers="Content-Length: 1000000\r\n")
        check_mistake(server, version, name, head + bytes(1000))


class TestHttp2:
    @pytest.mark.parametrize("version,name", CASES)
    def test_01_instead_of_the_preface(self, httpd, version, name):
        httpd.start(f"TLSEngine {httpd.port}", "Protocols h2", httpd.vhost("a.test"))
        check_mistake(httpd, version, name, alpn=["h2"])

    @pytest.mark.parametrize("version,name", CASES)
    def test_02_in_a_session(self, httpd, version, name):
        httpd.start(f"TLSEngine {httpd.port}", "Protocols h2", httpd.vhost("a.test"))
        preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
        check_mistake(httpd, version, name, preface, alpn=["h2"])
