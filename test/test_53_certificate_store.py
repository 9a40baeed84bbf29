# SPDX-License-Identifier: Apache-2.0
"""Certificates that are looked up by name when a client asks for them: TLSCertificateStore."""

import os
import ssl
import struct
import threading

import pytest

from harness.certificate_store import FAILED, NOT_FOUND, Store, is_refused, presented, visited
from harness.certs import key_pem
from harness.clients import connect, context, curl, plaintext_alert, raw_connection, read_all, request
from harness.httpd import resident, wait_for
from harness.keyd import keyd

PLACES = pytest.mark.parametrize("place", ["keyd", "httpd"])
MPMS = pytest.mark.parametrize("mpm", ["event", "worker", "prefork"])


@pytest.fixture
def store(httpd, authority):
    return Store(httpd, authority)


def client_hello(name):
    """A ClientHello of TLS 1.2 with a server name of any bytes."""
    entry = b"\0" + struct.pack(">H", len(name)) + name
    sni = struct.pack(">HHH", 0, len(entry) + 2, len(entry)) + entry
    groups = b"\0\x0a\0\x04\0\x02\0\x17"
    schemes = b"\0\x0d\0\x04\0\x02\x04\x03"
    extensions = sni + groups + schemes
    body = b"\x03\x03" + bytes(32) + b"\0\0\x02\xc0\x2b\x01\0" + struct.pack(">H", len(extensions)) + extensions
    message = b"\x01" + struct.pack(">I", len(body))[1:] + body
    return b"\x16\x03\x01" + struct.pack(">H", len(message)) + message


class TestLookup:
    @PLACES
    @MPMS
    def test_01_found_and_not_found(self, httpd, store, place, mpm):
        issued = {name: store.put(name, number=number) for number, name in enumerate(["a.test", "b.test"])}
        httpd.log.expect(NOT_FOUND)
        store.start(place=place, mpm=mpm)
        for _ in range(3):
            for name, one in issued.items():
                assert presented(httpd, name) == one.cert.serial_number
        assert is_refused(httpd, "c.test")
        assert curl(httpd, "A.test").code == 200

    @PLACES
    def test_02_both_in_one_file(self, httpd, store, place):
        issued = store.put("a.test")
        store.write("a.test.both", issued.chain_pem + key_pem(issued.key))
        store.start(place=place, host=[f"TLSCertificateStore {store.directory}/%n.both"])
        assert presented(httpd, "a.test") == issued.cert.serial_number

    def test_03_parts_of_the_name(self, httpd, store):
        issued = store.put("a.b.test")
        (store.directory / "test" / "b").mkdir(parents=True)
        for kind in ("pem", "key"):
            (store.directory / f"a.b.test.{kind}").rename(store.directory / "test" / "b" / f"a.{kind}")
        pattern = f"{store.directory}/%-1/%-2/%1"
        store.start(host=[f"TLSCertificateStore {pattern}.pem {pattern}.key"])
        assert presented(httpd, "a.b.test") == issued.cert.serial_number

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    @pytest.mark.parametrize("kind", ["p256", "p384", "rsa2048"])
    def test_04_kinds_of_keys(self, httpd, store, kind, version):
        issued = store.put("a.test", kind=kind)
        store.start()
        ctx = context(httpd, version)
        assert presented(httpd, "a.test", ctx=ctx) == issued.cert.serial_number

    def test_05_names_of_the_hosts_own_certificate(self, httpd, store, authority):
        """They are not looked up. It is also for clients without a server name, and for names that are not there."""
        store.put("a.test")
        in_store = store.put("b.test")
        own = authority.server("a.test", "own.test", number=3)
        store.start(host=[f"TLSCertificate {own.write(httpd.root, 'own')}"])
        assert presented(httpd, "a.test") == own.cert.serial_number
        assert presented(httpd, "b.test") == in_store.cert.serial_number
        ctx = context(httpd)
        ctx.check_hostname = False
        for name in (None, "c.test"):
            assert presented(httpd, name, ctx=ctx) == own.cert.serial_number

    def test_06_without_a_server_name(self, httpd, store):
        store.put("a.test")
        httpd.log.expect(f"sent no server name.*{NOT_FOUND}")
        store.start()
        ctx = context(httpd)
        ctx.check_hostname = False
        with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
            presented(httpd, None, ctx=ctx)

    def test_07_hosts_have_their_own_settings(self, httpd, store):
        """The host is selected as ever; only the certificate comes from the store."""
        store.put("a.test")
        store.put("old.example", number=1)
        old = httpd.vhost(
            "old.example",
            "TLSProtocol TLSv1.2",
            f"TLSCertificateStore {store.directory}/%n.pem {store.directory}/%n.key",
            cert=False,
        )
        store.start(old)
        with connect(httpd, "a.test") as tls:
            assert tls.version() == "TLSv1.3"
        with connect(httpd, "old.example") as tls:
            assert tls.version() == "TLSv1.2"

    def test_08_sessions_are_of_one_name(self, httpd, store):
        store.put("a.test")
        store.put("b.test", number=1)
        store.start()
        ctx = context(httpd, ssl.TLSVersion.TLSv1_2)
        with connect(httpd, "a.test", ctx=ctx) as tls:
            tls.sendall(request("a.test"))
            read_all(tls)
            session = tls.session
        with connect(httpd, "a.test", ctx=ctx, session=session) as tls:
            assert tls.session_reused
        with connect(httpd, "b.test", ctx=ctx, session=session) as tls:
            assert not tls.session_reused

    def test_09_with_mod_vhost_alias(self, httpd, store):
        """Any number of sites by two directives."""
        for number in range(20):
            name = f"site{number}.test"
            store.put(name, number=number)
            (httpd.docs / name).mkdir()
            (httpd.docs / name / "index.html").write_text(f"this is {name}")
        store.start(host=["UseCanonicalName Off", f"VirtualDocumentRoot {httpd.docs}/%0"], modules=["vhost_alias"])
        for number in range(20):
            name = f"site{number}.test"
            assert curl(httpd, name).text == f"this is {name}"

    def test_10_in_mod_ssls_place(self, httpd, store, authority):
        issued = store.put("a.test")
        own = authority.server("sites.test", number=2).write(httpd.root, "own")
        file, key = own.split()
        host = "\n".join(
            [
                f"<VirtualHost *:{httpd.port}>",
                "ServerName sites.test",
                "ServerAlias *.test",
                "SSLEngine on",
                f"SSLCertificateFile {file}",
                f"SSLCertificateKeyFile {key}",
                f"TLSCertificateStore {store.directory}/%n.pem {store.directory}/%n.key",
                "</VirtualHost>",
            ]
        )
        httpd.start(host, records=("ssl", "tls"))
        assert presented(httpd, "a.test") == issued.cert.serial_number


class TestChanges:
    @PLACES
    def test_01_renewed_and_removed(self, httpd, store, place):
        store.put("a.test")
        httpd.log.expect(NOT_FOUND)
        store.start(place=place)
        children = httpd.children()
        presented(httpd, "a.test")
        issued = store.put("a.test", number=1)
        wait_for(lambda: presented(httpd, "a.test") == issued.cert.serial_number, "the new certificate", 5)
        wait_for(lambda: "a.test: the renewed certificate in" in httpd.log.text(), "the message")
        for kind in ("pem", "key"):
            (store.directory / f"a.test.{kind}").unlink()
        wait_for(lambda: is_refused(httpd, "a.test"), "refusal", 5)
        issued = store.put("a.test", number=2)
        wait_for(lambda: not is_refused(httpd, "a.test"), "the certificate", 5)
        assert presented(httpd, "a.test") == issued.cert.serial_number
        assert httpd.children() == children

    @PLACES
    @pytest.mark.parametrize(
        "text,change",
        [
            ("does not match|does not belong|belongs to", {"key": "other"}),
            ("has expired", {"days": 1, "start": -2}),
            ("is not valid yet", {"start": 1}),
            ("is not valid for this name", {"names": ["b.test"]}),
            ("no private key", {"key": b""}),
            ("certificate", {"certificate": b"garbage"}),
        ],
    )
    def test_02_what_is_not_whole_is_not_used(self, httpd, store, authority, place, text, change):
        before = store.put("a.test")
        httpd.log.expect(f"a.test: the certificate has changed and is not used: .*({text})")
        store.start(place=place)
        presented(httpd, "a.test")
        times = {name: change[name] for name in ("days", "start") if name in change}
        issued = authority.server(*change.get("names", ["a.test"]), number=1, **times)
        key = change.get("key", key_pem(issued.key))
        store.write("a.test.key", key_pem(authority.key("p256", 2)) if key == "other" else key)
        store.write("a.test.pem", change.get("certificate", issued.chain_pem))
        wait_for(lambda: presented(httpd, "a.test") and "is not used" in httpd.log.text(), "the message", 5)
        assert presented(httpd, "a.test") == before.cert.serial_number
        good = store.put("a.test", number=3)
        wait_for(lambda: presented(httpd, "a.test") == good.cert.serial_number, "the new certificate", 5)
        assert httpd.log.text().count("is not used") <= 2

    @PLACES
    @pytest.mark.parametrize("what", ["names", "key", "garbage", "encrypted", "directory", "huge"])
    def test_03_what_is_broken_from_the_start(self, httpd, store, authority, place, what):
        issued = store.put("a.test", *(["b.test"] if what == "names" else []))
        store.put("good.test", number=1)
        key = store.directory / "a.test.key"
        if what == "key":
            store.write("a.test.key", key_pem(authority.key("p256", 2)))
        elif what == "garbage":
            store.write("a.test.key", os.urandom(500))
        elif what == "encrypted":
            store.write("a.test.key", key_pem(issued.key, password=b"secret"))
        elif what == "directory":
            key.unlink()
            key.mkdir()
        elif what == "huge":
            key.unlink()
            with key.open("wb") as file:
                file.truncate(1 << 40)
        httpd.log.expect(f"the certificate for a.test cannot be used: .*a.test.*{FAILED}")
        store.start(place=place)
        assert is_refused(httpd, "a.test")
        presented(httpd, "good.test")

    def test_04_an_expired_one_is_presented(self, httpd, store):
        """As one that is configured. Clients refuse it, and the log has a warning."""
        store.put("a.test", days=1, start=-2)
        httpd.log.expect("a.test: the certificate in .* has expired: clients will refuse it")
        httpd.log.expect("TLS1403")
        store.start()
        with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
            presented(httpd, "a.test")

    def test_05_without_watching(self, httpd, store):
        before = store.put("a.test")
        after = store.put
        store.start("TLSWatch off")
        presented(httpd, "a.test")
        after("a.test", number=1)
        seen = []
        wait_for(lambda: seen.append(presented(httpd, "a.test")) or len(seen) > 200, "many handshakes")
        assert set(seen) == {before.cert.serial_number}
        httpd.graceful()
        wait_for(lambda: presented(httpd, "a.test") != before.cert.serial_number, "the new certificate")

    def test_06_renewed_under_load(self, httpd, store):
        """No handshake fails and none gets a certificate that is not one of those."""
        known = {store.put("a.test").cert.serial_number}
        store.start()
        httpd.log.allow("is not used")
        with visited(httpd, "a.test", known):
            for number in range(1, 6):
                issued = store.authority.server("a.test", number=number)
                known.add(issued.cert.serial_number)
                # First the key, as certbot does: meanwhile the pair does not match.
                store.write("a.test.key", key_pem(issued.key))
                store.write("a.test.pem", issued.chain_pem)
                wait_for(lambda one=issued: presented(httpd, "a.test") == one.cert.serial_number, "the new one", 10)


class TestHostileNames:
    NAMES = [
        b"..",
        b"../a.test",
        b"a.test/",
        b"/etc/passwd",
        b"a.test\0.pem",
        b"a..test",
        b".a.test",
        b"192.0.2.1",
        b"a b.test",
        b"%n.test",
        b"-a.test",
        b"a" * 64 + b".test",
        b"\xff\xfe.test",
        b"",
    ]

    @PLACES
    @pytest.mark.parametrize("name", NAMES)
    def test_01_leave_the_store_alone(self, httpd, store, name, place):
        store.put("a.test")
        (store.directory.parent / "a.test.pem").write_bytes(b"x")
        httpd.log.expect(r"\[TLS1\d\d\d\]")
        store.start(place=place)
        with raw_connection(httpd) as sock:
            sock.sendall(client_hello(name))
            assert plaintext_alert(read_all(sock)) is not None
        assert "passwd" not in httpd.log.text().replace(repr(name), "")
        presented(httpd, "a.test")

    def test_02_upper_case_and_dot(self, httpd, store):
        store.put("a.test")
        store.start()
        with raw_connection(httpd) as sock:
            sock.sendall(client_hello(b"A.tEst"))
            assert sock.recv(1) == b"\x16"

    @PLACES
    def test_03_a_flood_of_random_names(self, httpd, store, place):
        """It takes no memory, and others are served meanwhile."""
        issued = store.put("a.test")
        httpd.log.expect(NOT_FOUND)
        httpd.log.expect("TLS3001")
        httpd.log.allow("TLS1001")
        store.start(place=place)

        def flood(count):
            for _ in range(count):
                with raw_connection(httpd) as sock:
                    sock.sendall(client_hello(os.urandom(10).hex().encode() + b".test"))
                    read_all(sock)

        flood(3000)
        pids = [pid for pid in [*httpd.children(), *httpd.key_processes(), keyd(httpd)] if pid]
        before = sum(resident(pid) for pid in pids)
        threads = [threading.Thread(target=flood, args=(1500,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            assert presented(httpd, "a.test") == issued.cert.serial_number
        after = sum(resident(pid) for pid in pids)
        assert after - before < 4 << 20, (before, after)
        httpd.full_restart()
