# SPDX-License-Identifier: Apache-2.0
"""A CA for clients whose revocation lists are fetched by http."""

from cryptography import x509

from harness.client_certs import DER, ClientCa
from harness.clients import curl
from harness.ocsp_responder import Responder


def distribution_point(url):
    """The extension by which a certificate names a revocation list."""
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)
    return x509.CRLDistributionPoints([point])


class Lists:
    """A CA for clients, and a server with its revocation list."""

    def __init__(self, httpd):
        self.httpd = httpd
        self.ca = ClientCa()
        self.server = Responder(self.ca).start()
        self.ca_file = httpd.root / "people.pem"
        self.ca_file.write_bytes(self.ca.pem)
        self.count = 0
        self.etag = 0
        self.publish()

    def publish(self, *revoked, path="/ca.crl", **options):
        self.etag += 1
        self.server.documents[path] = self.ca.crl(*revoked, encoding=DER, **options), f'"{self.etag}"'

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.port}/ca.crl"

    def client(self, url=None, **options):
        """A certificate, and arguments for curl."""
        self.count += 1
        extensions = [distribution_point(url or self.url)] if url != "" else []
        issued = self.ca.client(f"client{self.count}", extensions=extensions, **options)
        return issued, issued.write(self.httpd.root, f"client{self.count}")

    def start(self, *lines, own=(), mpm="event", timeout=2, **options):
        if mpm == "prefork":
            self.httpd.log.allow("AH10034")  # mod_http2 requires threads
        body = ["TLSClientCertificate required", f"TLSClientCA {self.ca_file}", *own]
        self.httpd.start(
            f"TLSEngine {self.httpd.port}",
            f"TLSRevocationTimeout {timeout}",
            self.httpd.vhost("a.test", *body),
            *lines,
            mpm=mpm,
            **options,
        )

    def code(self, client, host="a.test"):
        return curl(self.httpd, host, "/", *client[1]).code
