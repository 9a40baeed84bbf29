# SPDX-License-Identifier: Apache-2.0
"""OCSP responders are asked about the certificates of clients: TLSClientOCSP."""

import os
import signal
import time

import pytest
from cryptography import x509

from harness.certs import ocsp_responder
from harness.client_certs import ClientCa
from harness.clients import connect, context, curl, request, s_client
from harness.httpd import wait_for
from harness.keyd import companion
from harness.ocsp_responder import MISBEHAVING, Responder

VERSIONS = pytest.mark.parametrize("version", ["1.2", "1.3"])
MPMS = pytest.mark.parametrize("mpm", ["event", "worker", "prefork"])


def client_options(client):
    """Arguments of curl as those of OpenSSL."""
    return ["-cert", client[1], "-key", client[3], "-cert_chain", client[1]]


class People:
    """A CA for clients with its responder, and a host that asks it."""

    def __init__(self, httpd):
        self.httpd = httpd
        self.ca = ClientCa()
        self.responder = Responder(self.ca).start()
        self.ca_file = httpd.root / "people.pem"
        self.ca_file.write_bytes(self.ca.pem)
        self.count = 0

    def client(self, behaviour="good", status="good"):
        """Arguments for curl with a new certificate."""
        self.count += 1
        extensions = [ocsp_responder(self.responder.url(behaviour))] if behaviour else []
        issued = self.ca.client(f"client{self.count}", extensions=extensions)
        self.responder.statuses[issued.cert.serial_number] = status
        return issued.write(self.httpd.root, f"client{self.count}")

    def start(self, *lines, mpm="event", limits="", keys="on"):
        if mpm == "prefork":
            self.httpd.log.allow("AH10034")  # mod_http2 requires threads
        own, others = lines[0], lines[1:]
        body = ["TLSClientCertificate required", f"TLSClientCA {self.ca_file}", own]
        self.httpd.start(
            f"TLSEngine {self.httpd.port}",
            f"TLSKeyProcess {keys}",
            "TLSRevocationTimeout 2",
            self.httpd.vhost("a.test", *body),
            *others,
            mpm=mpm,
            limits=limits,
        )

    def get(self, client, version="1.3", *options):
        return curl(self.httpd, "a.test", "/", *client, f"--tlsv{version}", "--tls-max", version, *options)


@pytest.fixture
def people(httpd):
    people = People(httpd)
    yield people
    people.responder.stop()


class TestClients:
    @VERSIONS
    @MPMS
    def test_01_good_and_revoked(self, httpd, people, version, mpm):
        httpd.log.expect(r"\[TLS1305\]")
        people.start("TLSClientOCSP leaf", mpm=mpm)
        assert people.get(people.client(), version).code == 200
        refused = people.get(people.client(status="revoked"), version)
        assert refused.exit != 0, refused
        assert people.get(people.client(), version).code == 200

    @VERSIONS
    @MPMS
    def test_02_answers_are_kept(self, httpd, people, version, mpm):
        people.start("TLSClientOCSP leaf", mpm=mpm)
        client = people.client()
        for _ in range(3):
            assert people.get(client, version).code == 200
        assert len(people.responder.requests) == 1

    @VERSIONS
    @MPMS
    @pytest.mark.parametrize("protocol", ["--http1.1", "--http2"])
    def test_03_connection_goes_on(self, httpd, people, version, mpm, protocol):
        """Requests, and a body, after a wait."""
        if mpm == "prefork":
            protocol = "--http1.1"
        httpd.docs.joinpath("large").write_bytes(b"x" * 300_000)
        people.start("TLSClientOCSP leaf\nProtocols h2 http/1.1", mpm=mpm)
        again = [f"https://a.test:{httpd.port}/large", "-o", httpd.root / "got", "-o", "/dev/null"]
        got = people.get(people.client("slow"), version, protocol, *again)
        assert got.exit == 0 and got.trace.count("Connected to") == 1, got.trace
        assert (httpd.root / "got").stat().st_size == 300_000
        body = httpd.root / "body"
        body.write_bytes(b"y" * 100_000)
        sent = people.get(people.client("slow"), version, "--http1.1", "--data-binary", f"@{body}")
        assert sent.code == 200

    @VERSIONS
    def test_04_refused_with_an_alert_and_no_response(self, httpd, people, version):
        httpd.log.expect(r"OCSP responder says that it is revoked.*\[TLS1305\]")
        people.start("TLSClientOCSP leaf")
        refused = people.get(people.client("slow", "revoked"), version)
        assert refused.code == 0 and "certificate revoked" in refused.trace, refused.trace
        assert "200" not in httpd.access_log.read_text()

    @pytest.mark.parametrize("behaviour, why", MISBEHAVING.items())
    def test_05_responders_that_misbehave(self, httpd, people, behaviour, why):
        """Nobody is let in without an answer, unless that is configured."""
        httpd.log.expect(why + r".*\[TLS1320\]")
        soft = ["TLSClientCertificate required", f"TLSClientCA {people.ca_file}", "TLSClientOCSP leaf soft-fail"]
        people.start("TLSClientOCSP leaf", httpd.vhost("b.test", *soft))
        client = people.client(behaviour)
        assert people.get(client).code == 0
        assert curl(httpd, "b.test", "/", *client).code == 200

    @pytest.mark.parametrize("behaviour", ["delegated", "no-next-update", "redirect", "post-only"])
    def test_06_odd_but_right(self, httpd, people, behaviour):
        people.start("TLSClientOCSP leaf")
        assert people.get(people.client(behaviour)).code == 200

    def test_07_nobody_listens(self, httpd, people):
        httpd.log.expect(r"[Cc]onnection refused.*\[TLS1320\]")
        httpd.log.allow("were not logged")
        people.start("TLSClientOCSP leaf")
        client = people.client()
        people.responder.stop()
        assert people.get(client).code == 0
        people.responder.start()
        wait_for(lambda: people.get(client).code == 200, "the client to be accepted", 20)

    def test_08_unknown(self, httpd, people):
        httpd.log.expect(r"does not know it.*\[TLS1320\]")
        people.start("TLSClientOCSP leaf")
        assert people.get(people.client(status="unknown")).code == 0

    def test_09_certificates_without_responder(self, httpd, people):
        httpd.log.expect(r"names no OCSP responder.*TLSClientOCSPResponder.*\[TLS1320\]")
        common = ["TLSClientCertificate required", f"TLSClientCA {people.ca_file}"]
        people.start(
            "TLSClientOCSP leaf",
            httpd.vhost("b.test", *common, "TLSClientOCSP leaf no_ocsp_for_cert_ok"),
            httpd.vhost(
                "c.test", *common, "TLSClientOCSP leaf", f"TLSClientOCSPResponder {people.responder.url('delegated')}"
            ),
            httpd.vhost(
                "d.test",
                *common,
                "TLSClientOCSP leaf",
                f"TLSClientOCSPResponder {people.responder.url('short')} override",
            ),
        )
        client = people.client(None)
        assert people.get(client).code == 0
        assert [curl(httpd, f"{host}.test", "/", *client).code for host in "bcd"] == [200] * 3
        named = people.client("good")
        assert [curl(httpd, f"{host}.test", "/", *named).code for host in "cd"] == [200] * 2
        asked = [one[1] for one in people.responder.requests]
        assert asked == ["delegated", "short", "good", "short"]

    @VERSIONS
    def test_10_resumed_sessions_are_asked_about_again(self, httpd, people, version):
        httpd.log.expect(r"\[TLS1305\]|client certificate refused")
        people.start("TLSClientOCSP leaf")
        client = people.client("short")
        session = httpd.root / "session"
        number = ["-tls1_2"] if version == "1.2" else ["-tls1_3"]
        send = request("a.test")
        first = s_client(httpd, *client_options(client), *number, "-sess_out", session, name="a.test", send=send)
        assert "200 OK" in first.output
        for serial in people.responder.statuses:
            people.responder.statuses[serial] = "revoked"

        def is_refused():
            again = s_client(httpd, *client_options(client), *number, "-sess_in", session, name="a.test", send=send)
            return again.reused and "200 OK" not in again.output

        wait_for(is_refused, "the session to be refused", 20)

    def test_11_location(self, httpd, people):
        """Only a location requires a certificate: the others are served."""
        httpd.log.expect(r"client certificate refused.*revoked")
        body = [
            f"TLSClientCA {people.ca_file}",
            "TLSClientOCSP leaf",
            "<Location /private>",
            "TLSClientCertificate required",
            "</Location>",
        ]
        httpd.docs.joinpath("private").write_text("private\n")
        httpd.start(f"TLSEngine {httpd.port}", httpd.vhost("a.test", *body))
        revoked, good = people.client(status="revoked"), people.client()
        assert [curl(httpd, "a.test", path, *revoked).code for path in ("/", "/private")] == [200, 403]
        assert [curl(httpd, "a.test", path, *good).code for path in ("/", "/private")] == [200, 200]
        assert curl(httpd, "a.test", "/").code == 200

    def test_12_chain(self, httpd, people):
        """The certificate of the intermediate CA is asked about, too."""
        httpd.log.expect(r"its issuer.*\[TLS1305\]")
        people.start("TLSClientOCSP chain\nTLSClientVerifyDepth 2")
        for status, code in [("good", 200), ("revoked", 0)]:
            extensions = [
                (x509.BasicConstraints(ca=True, path_length=None), True),
                (ocsp_responder(people.responder.url()), False),
            ]
            middle = ClientCa(f"Middle {status}", people.ca, extensions=extensions)
            people.responder.statuses[middle.cert.serial_number] = status
            responder = Responder(middle).start()
            issued = middle.client("bob", extensions=[ocsp_responder(responder.url())])
            assert people.get(issued.write(httpd.root, status)).code == code
            assert responder.count("good") == 1
            responder.stop()
        assert people.responder.count("good") == 2

    def test_13_variables(self, httpd, people):
        body = [
            f"TLSClientCA {people.ca_file}",
            "TLSClientOCSP leaf",
            'Header set Verify "%{SSL_CLIENT_VERIFY}s"',
            "<Location /private>",
            "TLSClientCertificate required",
            "</Location>",
        ]
        httpd.start(f"TLSEngine {httpd.port}", "TLSRevocationTimeout 1", httpd.vhost("a.test", *body))
        verified = [
            curl(httpd, "a.test", "/", *people.client(*how)).headers["verify"]
            for how in [("good",), ("good", "revoked"), ("garbage",)]
        ]
        assert verified == ["SUCCESS", "FAILED:certificate revoked", "FAILED:application verification failure"]


class TestWaiting:
    def test_01_stalled_handshakes_hold_no_thread(self, httpd, people):
        """500 clients wait for a responder that does not answer; four threads serve others at once."""
        httpd.log.expect(r"\[TLS1320\]")
        httpd.log.allow("were not logged")
        limits = "\n".join(
            [
                "StartServers 1",
                "ServerLimit 1",
                "ThreadsPerChild 4",
                "MaxRequestWorkers 4",
                "MinSpareThreads 1",
                "MaxSpareThreads 4",
                "AsyncRequestWorkerFactor 1000",
            ]
        )
        people.start("TLSClientOCSP leaf", httpd.vhost("b.test"), "TLSRevocationTimeout 30", limits=limits)
        client = people.client("stall")
        ctx = context(httpd)
        ctx.load_cert_chain(client[1], client[3])
        waiting = [connect(httpd, "a.test", ctx=ctx) for _ in range(500)]
        wait_for(lambda: people.responder.count("stall"), "the responder to be asked")
        began = time.monotonic()
        assert curl(httpd, "b.test").code == 200
        assert time.monotonic() - began < 2
        assert people.responder.count("stall") == 1
        people.responder.stop()
        for sock in waiting:
            sock.settimeout(30)
            with pytest.raises(OSError):
                assert sock.recv(1) == b"x"
            sock.close()
        assert curl(httpd, "b.test").code == 200

    @MPMS
    def test_02_client_goes_away(self, httpd, people, mpm):
        httpd.log.allow(r"\[TLS1|closed the connection")
        people.start("TLSClientOCSP leaf", httpd.vhost("b.test"), mpm=mpm)
        client = people.client("stall")
        ctx = context(httpd)
        ctx.load_cert_chain(client[1], client[3])
        for _ in range(20 if mpm != "prefork" else 1):
            connect(httpd, "a.test", ctx=ctx).close()
        assert curl(httpd, "b.test").code == 200

    def test_03_the_process_is_killed(self, httpd, people):
        """Whoever waits is refused, and the next process answers."""
        httpd.log.expect(r"--revocation \(process \d+\).*has ended")
        httpd.log.allow(r"\[TLS1320\]")
        people.start("TLSClientOCSP leaf")
        assert people.get(people.client()).code == 200
        os.kill(companion(httpd, "--revocation"), signal.SIGKILL)
        wait_for(lambda: people.get(people.client()).code == 200, "another process", 20)

    def test_04_reload(self, httpd, people):
        people.start("TLSClientOCSP leaf")
        client = people.client()
        assert people.get(client).code == 200
        httpd.graceful()
        assert people.get(client).code == 200
        assert people.get(people.client()).code == 200
        assert people.responder.count("good") == 2

    def test_05_without_tls_keyd(self, httpd, people):
        people.start("TLSClientOCSP leaf", keys="off")
        assert people.get(people.client()).code == 200
