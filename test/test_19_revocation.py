# SPDX-License-Identifier: Apache-2.0
"""Revocation lists, and sessions of clients with certificates."""

import os
import re
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from harness.client_certs import DAY, ClientCa, new_key, now
from harness.clients import connect, context, curl, read_response, request
from harness.httpd import wait_for

VERIFY = 'Header always set X-Verify "%{SSL_CLIENT_VERIFY}s %{SSL_CLIENT_S_DN}s %{SSL_SESSION_RESUMED}s"'


@pytest.fixture
def ca():
    return ClientCa()


@pytest.fixture
def serve(httpd, ca):
    """Starts a.test, which requires client certificates that are not revoked by people.crl."""

    def start(crl, *lines, mode="required", crl_name="people.crl", **options):
        httpd.root.joinpath("people.pem").write_bytes(ca.pem)
        file = httpd.root / crl_name
        if crl is not None:
            file.write_bytes(crl)
        host = httpd.vhost(
            "a.test",
            f"TLSClientCA {httpd.root}/people.pem",
            f"TLSClientCRL {file}",
            f"TLSClientCertificate {mode}",
            VERIFY,
            *lines,
        )
        httpd.start(f"TLSEngine {httpd.port}", host, **options)
        return file

    return start


def fetch(httpd, who, *args):
    return curl(httpd, "a.test", "/", *who.write(httpd.root, "who"), *args)


def replace(file, content):
    """Replaces a file atomically."""
    new = file.with_suffix(".new")
    new.write_bytes(content)
    os.rename(new, file)


class TestLists:
    @pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
    def test_01_revoked(self, serve, httpd, ca, encoding):
        alice, mallory = ca.client("alice"), ca.client("mallory")
        serve(ca.crl(mallory, encoding=encoding))
        assert fetch(httpd, alice).code == 200
        refused = fetch(httpd, mallory)
        assert refused.exit != 0 and "certificate revoked" in refused.trace
        assert re.search(
            r'subject "CN=mallory", serial [0-9A-F]+, .* on the revocation list .*people.crl', httpd.log.text()
        )

    def test_02_several_issuers(self, httpd, ca):
        """A directory with the lists of two CAs, two of them in one file."""
        other = ClientCa("Other CA")
        good = [ca.client("alice"), other.client("bob")]
        bad = [ca.client("mallory"), other.client("oscar")]
        cas, crls = httpd.root / "cas", httpd.root / "crls"
        cas.mkdir()
        crls.mkdir()
        cas.joinpath("one").write_bytes(ca.pem + other.pem)
        crls.joinpath("one.crl").write_bytes(ca.crl(bad[0]) + other.crl(bad[1]))
        crls.joinpath("older.der").write_bytes(other.crl(start=-3, encoding=Encoding.DER))
        host = httpd.vhost("a.test", f"TLSClientCA {cas}", f"TLSClientCRL {crls}", "TLSClientCertificate required")
        httpd.start(f"TLSEngine {httpd.port}", host)
        assert [fetch(httpd, who).code for who in good] == [200, 200]
        assert all(fetch(httpd, who).exit for who in bad)

    def test_03_no_list_of_the_issuer(self, httpd, ca):
        """Without a list of the issuer clients are refused, unless the configuration allows it."""
        other = ClientCa("Other CA")
        httpd.root.joinpath("cas.pem").write_bytes(ca.pem + other.pem)
        httpd.root.joinpath("people.crl").write_bytes(ca.crl())
        lines = ["TLSClientCA cas.pem", "TLSClientCRL people.crl", "TLSClientCertificate required"]
        httpd.start(
            f"TLSEngine {httpd.port}",
            httpd.vhost("a.test", *lines),
            httpd.vhost("b.test", *lines, "TLSClientCRLCheck chain no_crl_for_cert_ok"),
        )
        httpd.log.expect(r"\[tls:warn\].*no revocation list in TLSClientCRL is from its issuer")
        bob = other.client("bob")
        assert fetch(httpd, bob).exit != 0
        assert curl(httpd, "b.test", "/", *bob.write(httpd.root, "bob")).code == 200

    @pytest.mark.parametrize("check", ["leaf", "chain", "none"])
    def test_04_revoked_issuer(self, httpd, ca, check):
        sub = ClientCa("Sub CA", ca)
        httpd.root.joinpath("ca.crl").write_bytes(ca.crl(sub) + sub.crl())
        httpd.root.joinpath("people.pem").write_bytes(ca.pem)
        lines = ["TLSClientCA people.pem", "TLSClientCRL ca.crl", "TLSClientVerifyDepth 2"]
        httpd.start(
            f"TLSEngine {httpd.port}",
            httpd.vhost("a.test", *lines, "TLSClientCertificate required", f"TLSClientCRLCheck {check}"),
        )
        response = fetch(httpd, sub.client("alice"))
        if check == "chain":
            assert "certificate revoked" in response.trace
            assert 'its issuer subject "CN=Sub CA"' in httpd.log.text()
        else:
            assert response.code == 200

    def test_05_expired_list_fails_closed(self, serve, httpd, ca):
        alice = ca.client("alice")
        httpd.log.expect("people.crl: this revocation list has expired")
        httpd.log.expect("the revocation list .*people.crl has expired: fetch the CA's current CRL")
        serve(ca.crl(start=-10, days=5))
        assert fetch(httpd, alice).exit != 0

    def test_06_location_says_why(self, serve, httpd, ca):
        mallory = ca.client("mallory")
        serve(ca.crl(mallory), "<Location /index.html>\nTLSClientCertificate required\n</Location>", mode="none")
        response = fetch(httpd, mallory)
        assert response.headers["x-verify"] == "FAILED:certificate revoked CN=mallory Initial"
        assert curl(httpd, "a.test", "/index.html", *mallory.write(httpd.root, "m")).code == 403

    POINT = x509.UniformResourceIdentifier("http://crl.test/1")
    EXTENSIONS = {
        "delta": (x509.DeltaCRLIndicator(1), "it is a delta CRL"),
        "indirect": (
            x509.IssuingDistributionPoint([POINT], None, False, False, None, True, False),
            "lists certificates of other issuers",
        ),
        "reasons": (
            x509.IssuingDistributionPoint(
                [POINT], None, False, False, frozenset([x509.ReasonFlags.key_compromise]), False, False
            ),
            "for some reasons only",
        ),
        "unknown": (
            x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"),
            "a critical extension that is not known",
        ),
    }

    @pytest.mark.parametrize("kind", EXTENSIONS)
    def test_07_lists_that_cannot_be_used(self, httpd, ca, kind):
        extension, text = self.EXTENSIONS[kind]
        httpd.root.joinpath("people.pem").write_bytes(ca.pem)
        httpd.root.joinpath("bad.crl").write_bytes(ca.crl(extensions=[(extension, True)]))
        lines = ["TLSClientCA people.pem", "TLSClientCRL bad.crl", "TLSClientCertificate required"]
        httpd.configure(f"TLSEngine {httpd.port}", httpd.vhost("a.test", *lines))
        code, output = httpd.configtest()
        assert code != 0 and re.search(rf"TLSClientCRL .*bad.crl: .*{text}", output), output

    def test_08_forged_list(self, httpd, ca):
        httpd.root.joinpath("people.pem").write_bytes(ca.pem)
        httpd.root.joinpath("bad.crl").write_bytes(ca.crl(key=new_key()))
        lines = ["TLSClientCA people.pem", "TLSClientCRL bad.crl", "TLSClientCertificate required"]
        httpd.configure(f"TLSEngine {httpd.port}", httpd.vhost("a.test", *lines))
        code, output = httpd.configtest()
        assert code != 0 and "it is not signed by the CA that it names as issuer" in output

    def test_09_distribution_points(self, serve, httpd, ca):
        """A CA with several lists, by distribution point. Each list counts only for certificates that name it."""

        def client(name, point):
            uri = x509.UniformResourceIdentifier(f"http://crl.test/{point}")
            points = x509.CRLDistributionPoints([x509.DistributionPoint([uri], None, None, None)])
            return ca.client(name, extensions=[points])

        mallory, alice, bob = client("mallory", 1), client("alice", 1), client("bob", 2)
        point = x509.IssuingDistributionPoint([self.POINT], None, False, False, None, False, False)
        serve(ca.crl(mallory, extensions=[(point, True)]))
        httpd.log.expect("no revocation list in TLSClientCRL is from its issuer")
        assert fetch(httpd, alice).code == 200
        assert fetch(httpd, mallory).exit != 0
        assert fetch(httpd, bob).exit != 0

    def test_10_many_entries(self, serve, httpd, ca):
        """The first entry, the last one and one in the middle of 100,000."""
        revoked = [ca.client("mallory", serial=serial) for serial in (1, 50_000, 100_000)]
        alice = ca.client("alice", serial=100_001)
        serve(ca.crl(*range(1, 100_001)))
        assert fetch(httpd, alice).code == 200
        assert all("certificate revoked" in fetch(httpd, who).trace for who in revoked)


class TestChanges:
    """Lists are replaced while the server runs. The server checks them at most once a second."""

    def test_01_picked_up(self, serve, httpd, ca):
        alice = ca.client("alice")
        file = serve(ca.crl())
        assert fetch(httpd, alice).code == 200
        replace(file, ca.crl(alice))
        wait_for(lambda: fetch(httpd, alice).exit != 0, "the revocation")
        assert "the revocation lists have changed and were read again" in httpd.log.text()
        replace(file, ca.crl())
        wait_for(lambda: fetch(httpd, alice).code == 200, "the end of the revocation")

    BAD = {
        "garbage": lambda ca: b"\x30\x03nonsense",
        "cut off": lambda ca: ca.crl()[:-40],
        "forged": lambda ca: ca.crl(key=new_key()),
        "empty": lambda ca: b"",
    }

    def check_old_lists_are_kept(self, httpd, alice, mallory):
        """Waits for the message. Until then, and after it, the previous lists apply."""

        def is_logged():
            assert fetch(httpd, alice).code == 200
            return "are kept" in httpd.log.text()

        wait_for(is_logged, "the message")
        assert "certificate revoked" in fetch(httpd, mallory).trace

    @pytest.mark.parametrize("kind", BAD)
    def test_02_bad_ones_are_not_taken(self, serve, httpd, ca, kind):
        alice, mallory = ca.client("alice"), ca.client("mallory")
        file = serve(ca.crl(mallory))
        replace(file, self.BAD[kind](ca))
        httpd.log.expect(r"\[tls:error\].*people.crl.*the revocation lists that were read before are kept")

        self.check_old_lists_are_kept(httpd, alice, mallory)
        replace(file, ca.crl(alice))
        wait_for(lambda: fetch(httpd, alice).exit != 0, "the new list")

    def test_03_gone(self, serve, httpd, ca):
        alice, mallory = ca.client("alice"), ca.client("mallory")
        file = serve(ca.crl(mallory))
        file.unlink()
        httpd.log.expect(r"people.crl: no such file.*are kept")

        self.check_old_lists_are_kept(httpd, alice, mallory)

    def test_04_new_files_in_a_directory(self, httpd, ca):
        crls = httpd.root / "crls"
        crls.mkdir()
        crls.joinpath("one.crl").write_bytes(ca.crl(start=-3))
        httpd.root.joinpath("people.pem").write_bytes(ca.pem)
        lines = ["TLSClientCA people.pem", "TLSClientCRL crls", "TLSClientCertificate required"]
        httpd.start(f"TLSEngine {httpd.port}", httpd.vhost("a.test", *lines))
        alice = ca.client("alice")
        assert fetch(httpd, alice).code == 200
        crls.joinpath("two.crl").write_bytes(ca.crl(alice, start=-2))
        wait_for(lambda: fetch(httpd, alice).exit != 0, "the revocation")

    def test_05_every_child(self, serve, httpd, ca):
        """Prefork has a child for each connection. All children have to read the new list."""
        httpd.log.expect("AH10034")
        alice = ca.client("alice")
        file = serve(ca.crl(), mpm="prefork", limits="StartServers 4\nMinSpareServers 4\nMaxSpareServers 4")
        wait_for(lambda: len(httpd.children()) >= 4, "four children")
        assert all(fetch(httpd, alice).code == 200 for _ in range(8))
        replace(file, ca.crl(alice))
        wait_for(lambda: all(fetch(httpd, alice).exit for _ in range(12)), "all children to know")


def session_of(httpd, ctx, host="a.test", session=None):
    """Makes one request. Returns the server's result for the client, and the session for the next connection."""
    with connect(httpd, host, ctx=ctx, session=session) as tls:
        tls.sendall(request(host, close=True))
        with tls.makefile("rb") as stream:
            status, headers, _ = read_response(stream)
        return status, headers.get("x-verify"), tls.session, tls.session_reused


def client_context(httpd, who, version):
    ctx = context(httpd, version)
    _, cert, _, key = who.write(httpd.root, "session")
    ctx.load_cert_chain(cert, key)
    return ctx


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


class TestSessions:
    @pytest.mark.parametrize("version,tickets", [(VERSIONS[0], "off"), (VERSIONS[0], "on"), (VERSIONS[1], "on")])
    def test_01_identity_is_kept(self, serve, httpd, ca, version, tickets):
        serve(ca.crl(), f"TLSSessionTickets {tickets}")
        ctx = client_context(httpd, ca.client("alice"), version)
        _, verify, session, _ = session_of(httpd, ctx)
        assert verify == "SUCCESS CN=alice Initial"
        _, verify, _, reused = session_of(httpd, ctx, session=session)
        assert reused and verify == "SUCCESS CN=alice Resumed"

    @pytest.mark.parametrize("version", VERSIONS)
    def test_02_revocation_ends_it(self, serve, httpd, ca, version):
        alice = ca.client("alice")
        file = serve(ca.crl())
        ctx = client_context(httpd, alice, version)
        _, _, session, _ = session_of(httpd, ctx)
        replace(file, ca.crl(alice))

        # Within a second, older sessions are not resumed any more, and the certificate is revoked.
        def refused():
            try:
                status, verify, _, reused = session_of(httpd, ctx, session=session)
            except (ssl.SSLError, ConnectionError, IndexError):
                return True
            # Resumed just before the list was read again: the connection stays open, its requests are refused.
            assert reused and status in (200, 403)
            return status == 403

        wait_for(refused, "the end of the session")
        with pytest.raises((ssl.SSLError, ConnectionError, IndexError)):
            session_of(httpd, ctx, session=session)
        assert "on the revocation list" in httpd.log.text()

    def test_03_expiry_ends_it(self, httpd, ca):
        """A certificate that expires during the lifetime of its session: the session gives no access any more."""
        short = ca.client("short")
        builder = (
            x509.CertificateBuilder()
            .subject_name(short.cert.subject)
            .issuer_name(ca.cert.subject)
            .public_key(short.key.public_key())
            .serial_number(7)
            .not_valid_before(now() - DAY)
            .not_valid_after(now() + DAY / 24 / 60 / 60 * 4)
        )
        for extension in short.cert.extensions:
            builder = builder.add_extension(extension.value, extension.critical)
        short.cert = builder.sign(ca.key, hashes.SHA256())
        httpd.root.joinpath("people.pem").write_bytes(ca.pem)
        host = httpd.vhost("a.test", "TLSClientCA people.pem", "TLSClientCertificate required", VERIFY)
        httpd.start(f"TLSEngine {httpd.port}", host)
        ctx = client_context(httpd, short, ssl.TLSVersion.TLSv1_3)
        status, _, session, _ = session_of(httpd, ctx)
        assert status == 200
        wait_for(lambda: session_of(httpd, ctx, session=session)[0] == 403, "the end of the certificate")
        assert re.search(
            "request on a resumed session refused: client certificate refused: .*expired", httpd.log.text()
        )

    @pytest.mark.parametrize("version", VERSIONS)
    def test_04_other_hosts_do_not_take_it(self, httpd, ca, version):
        """A session with the CA of one virtual host is not accepted where another CA is trusted, or none."""
        other = ClientCa("Other CA")
        httpd.root.joinpath("one.pem").write_bytes(ca.pem)
        httpd.root.joinpath("two.pem").write_bytes(other.pem)
        httpd.start(
            f"TLSEngine {httpd.port}",
            VERIFY,
            httpd.vhost("a.test", "TLSClientCA one.pem", "TLSClientCertificate required"),
            httpd.vhost("b.test", "TLSClientCA two.pem", "TLSClientCertificate required"),
            httpd.vhost("c.test", "TLSClientCA one.pem", "TLSClientCertificate optional"),
            httpd.vhost("d.test"),
        )
        ctx = client_context(httpd, ca.client("alice"), version)
        _, _, session, _ = session_of(httpd, ctx)
        assert session_of(httpd, ctx, session=session)[3]
        with pytest.raises((ssl.SSLError, ConnectionError, IndexError)):
            session_of(httpd, ctx, host="b.test", session=session)
        for host, verdict in [("c.test", "SUCCESS CN=alice Initial"), ("d.test", "NONE (null) Initial")]:
            _, verify, _, reused = session_of(httpd, ctx, host=host, session=session)
            assert not reused and verify == verdict

    def test_05_anonymous_session_does_not_become_somebody(self, httpd, ca):
        """A client that came without a certificate where it was optional has to present one where it is required."""
        httpd.root.joinpath("one.pem").write_bytes(ca.pem)
        httpd.start(
            f"TLSEngine {httpd.port}",
            VERIFY,
            httpd.vhost("a.test", "TLSClientCA one.pem", "TLSClientCertificate optional"),
            httpd.vhost("b.test", "TLSClientCA one.pem", "TLSClientCertificate required"),
        )
        ctx = context(httpd, ssl.TLSVersion.TLSv1_3)
        _, verify, session, _ = session_of(httpd, ctx)
        assert verify == "NONE (null) Initial"
        with pytest.raises((ssl.SSLError, ConnectionError, IndexError)):
            session_of(httpd, ctx, host="b.test", session=session)

    def test_06_after_a_restart(self, httpd, ca):
        """A reload keeps sessions if the CAs are the same."""
        other = ClientCa("Other CA")
        file = httpd.root / "one.pem"
        file.write_bytes(ca.pem)
        host = httpd.vhost("a.test", "TLSClientCA one.pem", "TLSClientCertificate optional_no_ca", VERIFY)
        httpd.start(f"TLSEngine {httpd.port}", host)
        ctx = client_context(httpd, ca.client("alice"), ssl.TLSVersion.TLSv1_3)
        _, verify, session, _ = session_of(httpd, ctx)
        assert verify == "SUCCESS CN=alice Initial"
        httpd.graceful()
        wait_for(lambda: session_of(httpd, ctx, session=session)[1] == "SUCCESS CN=alice Resumed", "resumption")
        file.write_bytes(other.pem)
        httpd.graceful()
        wait_for(lambda: session_of(httpd, ctx, session=session)[1] == "GENEROUS CN=alice Initial", "the other CA")


class TestLoad:
    def test_01_reloads_under_load(self, serve, httpd, ca):
        """10,000 requests, resumed or not, of a valid and of a revoked client, while the list is replaced all the time:
        no answer is wrong."""
        alice, mallory = ca.client("alice"), ca.client("mallory")
        file = serve(ca.crl(mallory), limits="StartServers 2\nThreadsPerChild 25\nMinSpareThreads 50")
        errors, done = [], threading.Event()
        good, bad = (client_context(httpd, who, ssl.TLSVersion.TLSv1_3) for who in (alice, mallory))

        def replace_lists():
            number = 1000
            while not done.is_set():
                number += 1
                replace(file, ca.crl(mallory, number))
                done.wait(0.3)

        def ask_as_alice(count):
            session = None
            for _ in range(count):
                try:
                    status, verify, session, _ = session_of(httpd, good, session=session)
                    if status != 200 or not verify.startswith("SUCCESS CN=alice"):
                        errors.append((status, verify))
                except OSError as error:
                    errors.append(error)

        def ask_as_mallory(count):
            for _ in range(count):
                try:
                    status, *_ = session_of(httpd, bad)
                    errors.append(f"mallory got {status}")
                except (OSError, IndexError):
                    pass

        threads = [threading.Thread(target=ask_as_alice, args=(1250,)) for _ in range(7)]
        threads += [threading.Thread(target=ask_as_mallory, args=(1250,))]
        changer = threading.Thread(target=replace_lists)
        for thread in [changer, *threads]:
            thread.start()
        for thread in threads:
            thread.join()
        done.set()
        changer.join()
        assert not errors[:5]
        assert httpd.log.text().count("the revocation lists have changed") >= 2
