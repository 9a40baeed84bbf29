# SPDX-License-Identifier: Apache-2.0
"""Revocation lists that fetch themselves: TLSClientRevocation, TLSProxyRevocation."""

import os
import signal

import pytest
from cryptography import x509

from harness.client_certs import DER, SERVER, ClientCa
from harness.clients import curl
from harness.fetched_lists import Lists, distribution_point
from harness.httpd import wait_for
from harness.keyd import companion

MPMS = pytest.mark.parametrize("mpm", ["event", "worker", "prefork"])


@pytest.fixture
def lists(httpd):
    lists = Lists(httpd)
    yield lists
    lists.server.stop()


FETCH = ["TLSClientRevocation fetch"]


class TestClients:
    @MPMS
    def test_01_list_of_the_certificate(self, httpd, lists, mpm):
        httpd.log.expect(r"it is on the revocation list http://127.*\[TLS1305\]")
        good, bad = lists.client(), lists.client()
        lists.publish(bad[0])
        lists.start(own=FETCH, mpm=mpm)
        assert [lists.code(good), lists.code(bad), lists.code(good)] == [200, 0, 200]
        assert len(lists.server.requests) == 1

    def test_02_named_list(self, httpd, lists):
        """It is fetched before the first client comes."""
        httpd.log.expect(r"\[TLS1305\]")
        good, bad = lists.client(""), lists.client("")
        lists.publish(bad[0])
        lists.start(own=[f"TLSClientRevocation fetch {lists.url}"])
        wait_for(lambda: lists.server.requests, "the list to be fetched")
        assert [lists.code(good), lists.code(bad)] == [200, 0]

    def test_03_no_list(self, httpd, lists):
        httpd.log.expect(r"names no revocation list.*TLSClientRevocation names none.*\[TLS1306\]")
        soft = ["TLSClientCertificate required", f"TLSClientCA {lists.ca_file}", "TLSClientRevocation fetch soft-fail"]
        lists.start(httpd.vhost("b.test", *soft), own=FETCH)
        client = lists.client("")
        assert [lists.code(client), lists.code(client, "b.test")] == [0, 200]

    @pytest.mark.parametrize(
        "path, why",
        [
            ("stall", "no answer within 2 seconds"),
            ("drip", "no answer within 2 seconds"),
            ("garbage", "not one revocation list"),
            ("html", "not"),
            ("error-404", "404"),
            ("loop", "more than 3 redirections"),
            ("to-file", "only http and https"),
            ("stranger.crl", "not a list of its issuer"),
            ("forged.crl", "not signed by the CA that it names as issuer"),
            ("delta.crl", "delta CRL"),
            ("expired.crl", "has expired"),
        ],
    )
    def test_04_lists_that_cannot_be_used(self, httpd, lists, path, why):
        """Nobody is let in, unless that is configured."""
        httpd.log.expect(why + r".*\[TLS1306\]")
        httpd.log.allow("could not be fetched")
        lists.server.documents["/stranger.crl"] = ClientCa("Another").crl(encoding=DER), None
        lists.publish(path="/forged.crl", key=ClientCa().key)
        lists.publish(path="/delta.crl", extensions=[(x509.DeltaCRLIndicator(1), True)])
        lists.publish(path="/expired.crl", start=-9)
        soft = ["TLSClientCertificate required", f"TLSClientCA {lists.ca_file}", "TLSClientRevocation fetch soft-fail"]
        lists.start(httpd.vhost("b.test", *soft), own=FETCH)
        client = lists.client(lists.server.url(path))
        assert [lists.code(client), lists.code(client, "b.test")] == [0, 200]

    def test_05_renewed_list(self, httpd, lists):
        """A list is fetched again before it expires. One that has not changed is not sent again."""
        httpd.log.expect(r"it is on the revocation list")
        httpd.log.allow("could not be fetched|has expired|TLS130")
        client = lists.client()
        lists.publish(days=8 / 86400, start=0)
        lists.start(own=FETCH)
        assert lists.code(client) == 200
        wait_for(lambda: any(one[2] for one in lists.server.requests), "a question for a newer list")
        lists.publish(client[0], start=0)
        wait_for(lambda: lists.code(client) == 0, "the newer list")

    def test_12_forged_lists_replace_nothing(self, httpd, lists):
        """Who stands between this server and that of the CA cannot lock clients out."""
        httpd.log.expect(
            "could not be fetched: it is not signed by the CA that it names as issuer; the one of before is good"
        )
        client = lists.client()
        lists.publish(days=30 / 86400, start=0)
        lists.start(own=FETCH)
        assert lists.code(client) == 200
        lists.publish(start=0, key=ClientCa().key)
        wait_for(lambda: "it is not signed by the CA" in httpd.log.text(), "the forged list")
        assert lists.code(client) == 200

    def test_06_server_that_comes_back(self, httpd, lists):
        httpd.log.expect(r"could not be fetched: .*[Cc]onnection refused")
        httpd.log.allow("TLS1306")
        client = lists.client()
        lists.server.stop()
        lists.start(own=FETCH)
        assert lists.code(client) == 0
        wait_for(lambda: "could not be fetched" in httpd.log.text(), "the message")
        lists.server.start()
        wait_for(lambda: lists.code(client) == 200, "the list")
        wait_for(lambda: "could be fetched again" in httpd.log.text(), "the message")

    def test_07_restart(self, httpd, lists):
        """The list is on disk."""
        httpd.log.expect(r"\[TLS1305\]")
        good, bad = lists.client(), lists.client()
        lists.publish(bad[0])
        lists.start(own=[f"TLSClientRevocation fetch {lists.url}"])
        assert lists.code(good) == 200
        httpd.stop()
        lists.server.stop()
        httpd.start()
        assert [lists.code(good), lists.code(bad)] == [200, 0]

    def test_08_expired_and_not_to_be_fetched(self, httpd, lists):
        httpd.log.expect(r"has expired, and no current one can be fetched there.*\[TLS1307\]")
        httpd.log.expect("could not be fetched")
        soft = ["TLSClientCertificate required", f"TLSClientCA {lists.ca_file}", "TLSClientRevocation fetch soft-fail"]
        client = lists.client()
        lists.publish(days=6 / 86400, start=0)
        lists.start(httpd.vhost("b.test", *soft), own=FETCH)
        assert lists.code(client) == 200
        lists.server.stop()
        wait_for(lambda: lists.code(client) == 0, "the end of the list")
        assert lists.code(client, "b.test") == 200
        wait_for(lambda: "could not be fetched" in httpd.log.text(), "the message")

    def test_09_with_lists_in_files(self, httpd, lists):
        """A certificate is refused that is on either of them."""
        httpd.log.expect(r"\[TLS1305\]")
        in_file, fetched, good = lists.client(), lists.client(), lists.client()
        file = httpd.root / "ca.crl"
        file.write_bytes(lists.ca.crl(in_file[0]))
        lists.publish(fetched[0])
        lists.start(own=[*FETCH, f"TLSClientCRL {file}"])
        assert [lists.code(one) for one in (in_file, fetched, good)] == [0, 0, 200]

    def test_10_chain(self, httpd, lists):
        """The certificate of an intermediate CA names the list of its issuer, which is fetched ahead of time."""
        httpd.log.expect(r"its issuer .*it is on the revocation list.*\[TLS1305\]")
        extensions = [
            (x509.BasicConstraints(ca=True, path_length=None), True),
            (distribution_point(lists.url), False),
        ]
        middle = ClientCa("Middle", lists.ca, extensions=extensions)
        lists.server.documents["/middle.crl"] = middle.crl(encoding=DER), None
        issued = middle.client("bob", extensions=[distribution_point(lists.server.url("middle.crl"))])
        client = issued, issued.write(httpd.root, "bob")
        both = httpd.root / "both.pem"
        both.write_bytes(lists.ca.pem + middle.pem)
        lists.publish(middle.cert.serial_number)
        lists.start(
            httpd.vhost(
                "b.test", "TLSClientCertificate required", f"TLSClientCA {both}", *FETCH, "TLSClientCRLCheck leaf"
            ),
            own=[*FETCH, "TLSClientVerifyDepth 2"],
        )
        wait_for(lambda: lists.server.requests, "the list that the CA names")
        assert [lists.code(client), lists.code(client, "b.test")] == [0, 200]

    def test_11_the_process_is_killed(self, httpd, lists):
        httpd.log.expect(r"--revocation \(process \d+\).*has ended")
        httpd.log.allow("TLS1306")
        client = lists.client()
        lists.start(own=FETCH)
        assert lists.code(client) == 200
        os.kill(companion(httpd, "--revocation"), signal.SIGKILL)
        assert lists.code(client) == 200
        wait_for(lambda: "has ended" in httpd.log.text(), "the message")
        assert lists.code(client) == 200


class TestBackends:
    @pytest.mark.parametrize("policy, codes", [("fetch", [200, 502, 502]), ("fetch soft-fail", [200, 502, 200])])
    def test_01_backends(self, httpd, lists, ports, policy, codes):
        httpd.log.expect("is on the revocation list")
        httpd.log.allow("AH01084|AH00898|AH01114|AH00961|AH01097|TLS23|could not be fetched|handshake")
        hosts, proxies = [], []
        revoked = []
        for name, url in [("good", lists.url), ("bad", lists.url), ("lost", lists.server.url("error-404"))]:
            port = ports.take()
            issued = lists.ca.client(
                name,
                usages=SERVER,
                extensions=[distribution_point(url), x509.SubjectAlternativeName([x509.DNSName("localhost")])],
            )
            if name == "bad":
                revoked.append(issued)
            cert = issued.write(httpd.root, name)
            hosts += [
                f"Listen {port}",
                f"TLSEngine {port}",
                # All of them are localhost, so that a session with one could be resumed with another.
                httpd.vhost(f"{name}.test", "TLSSessionTickets off", cert=f"{cert[1]} {cert[3]}", port=port),
            ]
            proxies.append(f"ProxyPass /{name} https://localhost:{port}/")
        lists.publish(*revoked)
        httpd.log.allow("is not covered by|no subjectAltName")
        httpd.start(
            f"TLSEngine {httpd.port}",
            "TLSStrictSNI off",
            "TLSSessionCache none",
            *hosts,
            httpd.vhost(
                "a.test", "TLSProxyEngine on", f"TLSProxyCA {lists.ca_file}", f"TLSProxyRevocation {policy}", *proxies
            ),
            modules=["proxy", "proxy_http"],
        )
        got = [curl(httpd, "a.test", f"/{name}").code for name in ("good", "bad", "lost")]
        assert got == codes, lists.server.requests
