# SPDX-License-Identifier: Apache-2.0
"""The hooks that mod_md uses: certificates, stopgaps, challenges and OCSP responses. A C module of the tests acts as
mod_md."""

import pytest

from harness.client_certs import ClientCa
from harness.clients import connect, curl, request, s_client


def subject(httpd, name, *args):
    return s_client(httpd, *args, name=name).subject.replace(" ", "")


class TestCertificates:
    def test_01_supplied(self, httpd, authority, test_module):
        cert = authority.server("a.test").write(httpd.root, "supplied")
        httpd.start(
            test_module, f"TLSEngine {httpd.port}", httpd.vhost("a.test", f"TestCertificate {cert}", cert=False)
        )
        assert curl(httpd, "a.test").text == "hello"

    def test_02_instead_of_configured(self, httpd, authority, test_module):
        cert = authority.server("a.test", "supplied.test").write(httpd.root, "supplied")
        httpd.start(test_module, f"TLSEngine {httpd.port}", httpd.vhost("a.test", f"TestCertificate {cert}"))
        with connect(httpd, "a.test") as tls:
            assert ("DNS", "supplied.test") in tls.getpeercert()["subjectAltName"]

    def test_03_stopgap(self, httpd, authority, test_module):
        stopgap = authority.server("stopgap.test", self_signed=True).write(httpd.root, "stopgap")
        httpd.start(test_module, f"TLSEngine {httpd.port}", httpd.vhost("a.test", f"TestStopgap {stopgap}", cert=False))
        assert subject(httpd, "a.test") == "CN=stopgap.test"
        assert curl(httpd, "a.test", "/", "-k").code == 503


def test_04_challenge(httpd, authority, test_module):
    """RFC 8737: a client that offers only acme-tls/1 gets the challenge certificate."""
    cert = authority.server("challenged.test", "answer.test", self_signed=True).write(httpd.root, "challenge")
    httpd.start(
        test_module,
        f"TestChallenge {cert}",
        "Protocols http/1.1 acme-tls/1",
        f"TLSEngine {httpd.port}",
        httpd.vhost("a.test"),
        httpd.vhost("challenged.test"),
    )
    session = s_client(httpd, "-alpn", "acme-tls/1", name="challenged.test")
    assert session.alpn == "acme-tls/1"
    assert "self-signed certificate" in session.output
    assert "self-signed" not in s_client(httpd, "-alpn", "http/1.1", name="challenged.test").output
    assert subject(httpd, "a.test", "-alpn", "acme-tls/1") == "CN=a.test"


def test_05_challenge_where_certificates_are_required(httpd, authority, test_module):
    """The validating CA has no client certificate. It cannot make requests."""
    ca = ClientCa()
    httpd.root.joinpath("people.pem").write_bytes(ca.pem)
    cert = authority.server("challenged.test", "answer.test", self_signed=True).write(httpd.root, "challenge")
    httpd.start(
        test_module,
        f"TestChallenge {cert}",
        f"TLSEngine {httpd.port}",
        "Protocols acme-tls/1 http/1.1",
        httpd.vhost("challenged.test", "TLSClientCA people.pem", "TLSClientCertificate required"),
    )
    question = request("challenged.test")
    session = s_client(httpd, "-alpn", "acme-tls/1", name="challenged.test", send=question)
    assert "self-signed" in session.output and session.alpn == "acme-tls/1"
    assert "HTTP/1.1 200" not in session.output
    assert "hello" not in session.output


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_06_ocsp(httpd, authority, test_module, version):
    issued = authority.server("a.test")
    httpd.root.joinpath("ocsp.der").write_bytes(authority.ocsp_response(issued))
    cert = issued.write(httpd.root, "own")
    httpd.start(
        test_module,
        f"TLSEngine {httpd.port}",
        httpd.vhost("a.test", f"TestOcspResponse {httpd.root}/ocsp.der", cert=cert),
        httpd.vhost("b.test"),
    )
    assert "primed id of 32 bytes, issuer included" in httpd.log.text()
    output = s_client(httpd, "-status", version, name="a.test").output
    assert "OCSP Response Status: successful" in output and "Cert Status: good" in output
    assert "OCSP response: no response sent" in s_client(httpd, "-status", version, name="b.test").output
