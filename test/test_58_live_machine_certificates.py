# SPDX-License-Identifier: Apache-2.0
"""Certificates with which httpd logs in at backends, which are renewed while it runs."""

import threading

import pytest

from harness.certs import key_pem
from harness.client_certs import ClientCa
from harness.clients import plain_get
from harness.httpd import wait_for
from harness.live import MPMS, PLACES, THREE_CHILDREN, allow_prefork, replace


class Login:
    """A backend that asks for certificates of `ca`, and an httpd that logs in there."""

    def __init__(self, httpd, proxy, backend):
        self.httpd, self.ca = httpd, ClientCa("Machines")
        self._proxy = proxy
        httpd.root.joinpath("machines.pem").write_bytes(self.ca.pem)
        self.backend, self.kept = (backend(client_ca=httpd.root / "machines.pem") for _ in range(2))

    def write(self, name, file="us"):
        """Writes a certificate with its key into two files, as `name` for the backend."""
        issued = self.ca.client(name)
        replace(self.httpd.root / f"{file}.key", key_pem(issued.key))
        replace(self.httpd.root / f"{file}.pem", issued.chain_pem)

    def write_one(self, *names, file="all.pem"):
        """Writes certificates with their keys into one file."""
        issued = [self.ca.client(name) for name in names]
        replace(self.httpd.root / file, b"".join(one.chain_pem + key_pem(one.key) for one in issued))

    def start(self, *lines, place="tls-keyd", mpm="event", **options):
        allow_prefork(self.httpd, mpm)
        self._proxy(
            f"ProxyPass /kept https://localhost:{self.kept.port}/",
            f"ProxyPass / https://localhost:{self.backend.port}/ enablereuse=off",
            *PLACES[place],
            *lines,
            mpm=mpm,
            **options,
        )

    def who(self, path="/"):
        """As whom httpd logs in now."""
        code, body = plain_get(self.httpd, path)
        assert code == 200
        return body.split("client=")[1].split()[0]

    def is_used(self, name):
        wait_for(lambda: self.who() == name, f"{name}'s certificate", 10)


@pytest.fixture
def login(httpd, proxy, backend):
    return Login(httpd, proxy, backend)


class TestMachineCertificates:
    @MPMS
    @pytest.mark.parametrize("place", PLACES)
    def test_01_renewed(self, httpd, login, mpm, place):
        """In all child processes, which stay."""
        login.write("first")
        login.start(
            f"TLSProxyMachineCertificate {httpd.root}/us.pem {httpd.root}/us.key",
            mpm=mpm,
            place=place,
            limits=THREE_CHILDREN[mpm],
        )
        children = set(httpd.children())
        assert login.who() == "first"
        login.write("second")
        login.is_used("second")
        wait_for(lambda: {login.who() for _ in range(12)} == {"second"}, "all children", 10)
        assert children <= set(httpd.children())
        wait_for(lambda: "backends: the renewed certificate in" in httpd.log.text(), "the message")
        if place == "tls-keyd":
            assert httpd.log.text().count("the renewed certificate in") == 1
        login.write("third")
        login.is_used("third")

    @pytest.mark.parametrize("place", PLACES)
    def test_02_not_whole(self, httpd, login, place):
        httpd.log.allow("has changed and is not used")
        login.write("first")
        login.start(f"TLSProxyMachineCertificate {httpd.root}/us.pem {httpd.root}/us.key", place=place)
        replace(httpd.root / "us.key", key_pem(login.ca.client("other").key))

        def is_warned():
            assert login.who() == "first"
            return "has changed and is not used" in httpd.log.text()

        wait_for(is_warned, "the warning", 10)
        assert "does not belong to this certificate" in httpd.log.text()
        expired = login.ca.client("second", start=-9, days=3)
        replace(httpd.root / "us.key", key_pem(expired.key))
        replace(httpd.root / "us.pem", expired.chain_pem)

        def is_refused():
            assert login.who() == "first"
            return "it has expired; the one of before is used" in httpd.log.text()

        wait_for(is_refused, "the refusal", 10)
        login.write("third")
        login.is_used("third")

    @pytest.mark.parametrize("place", PLACES)
    @pytest.mark.parametrize("kind", ["File", "Path"])
    def test_03_mod_ssls_directives(self, httpd, login, kind, place):
        """Several in a file; files in a directory, to which others are added."""
        httpd.log.allow("have changed and are not used")
        directory = httpd.root / "machines.d"
        directory.mkdir()
        login.write_one("first", file="machines.d/one.pem")
        directory.chmod(0o755)
        named = directory if kind == "Path" else directory / "one.pem"
        login.start(f"SSLProxyMachineCertificate{kind} {named}", place=place, records=("tls", "ssl"))
        assert login.who() == "first"
        login.write_one("second", "another", file="machines.d/one.pem")
        login.is_used("second")
        directory.joinpath("one.pem").write_bytes(b"")

        def is_warned():
            assert login.who() == "second"
            return "have changed and are not used" in httpd.log.text()

        wait_for(is_warned, "the warning", 10)
        login.write_one("third", file="machines.d/one.pem")
        login.is_used("third")
        if kind == "Path":
            # The first one that suits is used, by name of file.
            login.write_one("fourth", file="machines.d/a.pem")
            login.is_used("fourth")
            directory.joinpath("a.pem").unlink()
            login.is_used("third")

    def test_04_intermediate_certificates(self, httpd, login):
        """`SSLProxyMachineCertificateChainFile` belongs to it."""
        sub = ClientCa("Machines below", parent=login.ca)
        us = sub.client("us")
        httpd.root.joinpath("us.pem").write_bytes(us.cert_pem + key_pem(us.key))
        httpd.root.joinpath("chain.pem").write_bytes(ClientCa("Others").pem)
        login.start(
            f"SSLProxyMachineCertificateFile {httpd.root}/us.pem",
            f"SSLProxyMachineCertificateChainFile {httpd.root}/chain.pem",
            records=("tls", "ssl"),
        )
        httpd.log.allow("the backend does not take TLSProxyMachineCertificate|AH0")
        assert plain_get(httpd)[0] == 502
        replace(httpd.root / "chain.pem", sub.pem)
        wait_for(lambda: plain_get(httpd)[0] == 200, "the chain", 10)

    def test_05_connections_stay(self, httpd, login):
        """A connection that mod_proxy keeps is not touched."""
        login.write("first")
        login.start(f"TLSProxyMachineCertificate {httpd.root}/us.pem {httpd.root}/us.key")
        assert login.who("/kept") == "first"
        login.write("second")
        login.is_used("second")
        assert login.who("/kept") == "first"

    def test_06_under_requests(self, httpd, login):
        """None fails while both files are written again and again, piece by piece."""
        httpd.log.allow("has changed and is not used")
        login.write("first")
        login.start(f"TLSProxyMachineCertificate {httpd.root}/us.pem {httpd.root}/us.key")
        seen, failed, is_over = set(), [], threading.Event()

        def requests():
            while not is_over.is_set():
                code, body = plain_get(httpd)
                if code != 200:
                    failed.append(body)
                seen.add(body.split("client=")[-1].split()[0])

        threads = [threading.Thread(target=requests) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for number in range(4):
                issued = login.ca.client(f"renewed{number}")
                for kind, content in (("pem", issued.chain_pem), ("key", key_pem(issued.key))):
                    for part in (content[:100], content):
                        httpd.root.joinpath(f"us.{kind}").write_bytes(part)
                wait_for(lambda number=number: f"renewed{number}" in seen or failed, "the certificate", 20)
        finally:
            is_over.set()
            for thread in threads:
                thread.join()
        assert not failed

    def test_07_with_tls_for_clients(self, httpd, login):
        """The same files are those of a host."""
        both = httpd.vhost("a.test", cert=f"{httpd.root}/us.pem {httpd.root}/us.key")
        httpd.log.allow("the certificate has no subjectAltName|is not covered by")
        login.write("first")
        login.start(
            f"TLSEngine {httpd.port}",
            f"TLSProxyMachineCertificate {httpd.root}/us.pem {httpd.root}/us.key",
            both,
        )
        login.write("second")
        login.is_used("second")
        wait_for(lambda: httpd.log.text().count("the renewed certificate in") == 2, "both messages")

    def test_08_reloads(self, httpd, login):
        login.write("first")
        login.start(f"TLSProxyMachineCertificate {httpd.root}/us.pem {httpd.root}/us.key")
        for name in ("second", "third"):
            login.write(name)
            login.is_used(name)
            httpd.graceful()
            assert login.who() == name

    def test_09_not_watched(self, httpd, login):
        login.write("first")
        login.start(f"TLSProxyMachineCertificate {httpd.root}/us.pem {httpd.root}/us.key", "TLSWatch off")
        login.write("second")
        assert login.who() == "first"
        httpd.graceful()
        assert login.who() == "second"
