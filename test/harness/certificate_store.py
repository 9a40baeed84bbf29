# SPDX-License-Identifier: Apache-2.0
"""A store of certificates in files, in which names are looked up."""

import contextlib
import ssl
import threading

from harness.certs import key_pem
from harness.clients import connect

# The codes of failures.
NOT_FOUND = r"\[TLS1202\]"
FAILED = r"\[TLS1203\]"


class Store:
    """A directory of certificates, and an httpd that uses it for *.test and all other names."""

    def __init__(self, httpd, authority):
        self.httpd, self.authority = httpd, authority
        self.directory = httpd.root / "sites"
        self.directory.mkdir()
        self.is_private = True

    def put(self, name, *names, number=0, **options):
        """Writes the files for a name, as a program that renews certificates does. Returns the certificate."""
        issued = self.authority.server(*(names or [name]), number=number, **options)
        self.write(f"{name}.pem", issued.chain_pem)
        self.write(f"{name}.key", key_pem(issued.key))
        return issued

    def write(self, file, content):
        new = self.directory / "new"
        new.write_bytes(content)
        new.chmod(0o600 if self.is_private else 0o644)
        new.rename(self.directory / file)

    def start(self, *lines, place="keyd", mpm="event", host=(), **options):
        if mpm == "prefork":
            self.httpd.log.allow("AH10034")  # mod_http2 requires threads
        self.is_private = place == "keyd"
        for file in self.directory.iterdir():
            file.chmod(0o600 if self.is_private else 0o644)
        self.directory.chmod(0o700 if self.is_private else 0o755)
        body = [
            "ServerAlias *.test",
            f"TLSCertificateStore {self.directory}/%n.pem {self.directory}/%n.key",
            *host,
        ]
        self.httpd.start(
            f"TLSEngine {self.httpd.port}",
            "TLSStrictSNI off",
            *(["TLSKeyProcess off"] if place == "httpd" else []),
            self.httpd.vhost("sites.test", *body, cert=False),
            *lines,
            mpm=mpm,
            **options,
        )


def presented(httpd, name, **options):
    """The serial number of the certificate that the client gets and has verified."""
    with connect(httpd, name, **options) as tls:
        return int(tls.getpeercert()["serialNumber"], 16)


def is_refused(httpd, name):
    try:
        presented(httpd, name)
    except ssl.SSLError as error:
        return "UNRECOGNIZED_NAME" in str(error)
    return False


@contextlib.contextmanager
def visited(httpd, name, known, clients=4):
    """Visits `name` all the time. No handshake fails, and all certificates are `known`, by their serial numbers.

    It was looked up before: a pair that is half written when it is first wanted cannot be used.
    """
    failures, done = [], threading.Event()
    assert presented(httpd, name) in known

    def visit():
        while not done.is_set():
            try:
                if presented(httpd, name) not in known:
                    failures.append("another certificate")
            except OSError as error:
                failures.append(error)

    threads = [threading.Thread(target=visit) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not failures, failures
