# SPDX-License-Identifier: Apache-2.0
"""OCSP responders are asked about the certificates of clients: TLSClientOCSP."""

import pytest
from harness.certs import ocsp_responder
from harness.client_certs import ClientCa
from harness.clients import curl
from harness.ocsp_responder import Responder

VERSIONS = pytest.mark.parametrize("version", ["1.2", "1.3"])
MPMS = pytest.mark.parametrize("mpm", ["event", "worker", "prefork"])


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

    def start(self, *lines, mpm="event", limits="", **options):
        if mpm == "prefork":
            self.httpd.log.allow("AH10034")  # mod_http2 requires threads
        body = ["TLSClientCertificate required", f"TLSClientCA {self.ca_file}", *lines]
        self.httpd.start(
            f"TLSEngine {self.httpd.port}",
            "TLSRevocationTimeout 2",
            self.httpd.vhost("a.test", *body),
            mpm=mpm,
            limits=limits,
            **options,
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
