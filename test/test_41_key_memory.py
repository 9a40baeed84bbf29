# SPDX-License-Identifier: Apache-2.0
"""Private keys are in the memory of tls-keyd and of no process of httpd."""

import os
import secrets
import ssl

import pytest

from harness.backends import PROXY_MODULES
from harness.certs import key_pem, new_key
from harness.cgi import ENVIRONMENT, add_cgi
from harness.client_certs import ClientCa
from harness.clients import connect, context, curl, plain_get, read_all, request
from harness.keyd import keyd, kill, workers
from harness.process_memory import Secrets

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="reads the memory of processes of other users")

MPMS = pytest.mark.parametrize("mpm", ["event", "worker", "prefork"])
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


class Site:
    """A configuration with keys of all kinds in all the places where a configuration can have them."""

    def __init__(self, httpd, backend):
        self.httpd, self.root, self.authority = httpd, httpd.root, httpd.authority
        self.held, self.strays = Secrets(), Secrets()
        self.hosts = {}
        for add in (self._own_directives, self._mod_ssls_directives, self._encrypted, self._misplaced):
            add()
        self._machines(backend)
        seed = secrets.token_bytes(48)
        self.strays.add("ticket seed", seed)
        (self.root / "seed").write_bytes(seed)

    # --- files ---

    def new_key(self, name, kind):
        """A key that tls-keyd is to have."""
        key = new_key(kind)
        self.held.add_key(f"{name} ({kind})", key)
        return key

    def stray(self, name, kind):
        """The PEM text of a key that no process needs, because the configuration does not name it."""
        key = new_key(kind)
        self.strays.add_key(f"{name} ({kind})", key)
        return key_pem(key)

    def files(self, name, kind, key=None):
        """Writes NAME.pem and NAME.key. Returns the certificate with its key."""
        issued = self.authority.issue_for(f"{name}.test", key or self.new_key(name, kind))
        issued.write(self.root, name)
        return issued

    def own(self, name, kind, arguments=None):
        self.files(name, kind)
        self.hosts[name] = self.httpd.vhost(f"{name}.test", cert=arguments or f"{name}.pem {name}.key")

    def ssl(self, name, *lines):
        lines = [f"ServerName {name}.test", "SSLEngine on", f"SSLCertificateFile {name}.pem", *lines]
        self.hosts[name] = "\n".join([f"<VirtualHost *:{self.httpd.port}>", *lines, "</VirtualHost>"])

    def _own_directives(self):
        for kind in ("p256", "p384", "ed25519", "rsa2048"):
            self.own(f"own-{kind}", kind)
        issued = self.files("joined", "p256")
        issued.write(self.root, "joined", combined=True)
        (self.root / "joined.key").unlink()
        self.hosts["joined"] = self.httpd.vhost("joined.test", cert="joined.pem")

    def _mod_ssls_directives(self):
        for kind in ("p256", "rsa2048"):
            self.files(f"ssl-{kind}", kind)
            self.ssl(f"ssl-{kind}", f"SSLCertificateKeyFile ssl-{kind}.key")
        issued = self.files("ssl-joined", "rsa2048")
        issued.write(self.root, "ssl-joined", combined=True)
        self.ssl("ssl-joined")

    def _encrypted(self):
        """The pass phrase is printed by a program."""
        phrase = secrets.token_hex(24)
        self.strays.add("pass phrase", phrase.encode())
        (self.root / "phrase").write_text(phrase + "\n")
        program = self.root / "ask"
        program.write_text(f"#!/bin/sh\ncat {self.root}/phrase\n")
        program.chmod(0o755)
        for kind in ("p256", "rsa2048"):
            name = f"encrypted-{kind}"
            issued = self.files(name, kind)
            (self.root / f"{name}.key").write_bytes(key_pem(issued.key, password=phrase.encode()))
            self.ssl(name, f"SSLCertificateKeyFile {name}.key")

    def _misplaced(self):
        """Files of certificates that also have keys: the same one, and one of something else."""
        issued = self.files("twice", "p256")
        stray = self.stray("beside the certificate", "p384")
        (self.root / "twice.pem").write_bytes(issued.chain_pem + key_pem(issued.key) + stray)
        self.hosts["twice"] = self.httpd.vhost("twice.test", cert="twice.pem twice.key")
        issued = self.files("chain", "p256")
        (self.root / "chain.pem").write_bytes(issued.cert_pem)
        (self.root / "chain.ca").write_bytes(issued.chain_pem + self.stray("in the chain file", "rsa2048"))
        self.ssl("chain", "SSLCertificateKeyFile chain.key", "SSLCertificateChainFile chain.ca")

    def _machines(self, backend):
        """Towards a backend."""
        ca = ClientCa("Machines")
        (self.root / "machines.pem").write_bytes(ca.pem)
        self.backend = backend(client_ca=self.root / "machines.pem")
        for name in ("own-machine", "ssl-machine"):
            issued = ca.client(name, key=self.new_key(name, "p256"))
            issued.write(self.root, name)
            (self.root / f"{name}.pem").write_bytes(issued.chain_pem + key_pem(issued.key))

    # --- running ---

    def plain_host(self, name, *lines):
        proxy = f"ProxyPass / https://localhost:{self.backend.port}/"
        lines = [f"ServerName {name}.test", *lines, proxy]
        return "\n".join([f"<VirtualHost *:{self.httpd.plain_port}>", *lines, "</VirtualHost>"])

    def lines(self):
        trust = [f"SSLProxyCACertificateFile {self.httpd.ca_file}", "SSLProxyVerify require", "SSLProxyVerifyDepth 2"]
        return [
            f"TLSEngine {self.httpd.port}",
            "TLSSessionTicketKeyFile seed",
            f"SSLPassPhraseDialog exec:{self.root}/ask",
            self.plain_host(
                "own-machine",
                "TLSProxyEngine on",
                f"TLSProxyCA {self.httpd.ca_file}",
                "TLSProxyMachineCertificate own-machine.pem",
            ),
            self.plain_host(
                "ssl-machine", "SSLProxyEngine on", "SSLProxyMachineCertificateFile ssl-machine.pem", *trust
            ),
            *self.hosts.values(),
        ]

    def configure(self, *lines, mpm="event", modules=()):
        protocols = "Protocols http/1.1" if mpm == "prefork" else "Protocols h2 http/1.1"
        if mpm == "prefork":
            self.httpd.log.expect("AH10034")  # mod_http2 requires threads
        modules = [*PROXY_MODULES, *modules]
        self.httpd.configure(*self.lines(), protocols, *lines, mpm=mpm, modules=modules, records=("tls", "ssl"))

    def start(self, *lines, **options):
        self.configure(*lines, **options)
        self.httpd.start()
        return self

    def use(self):
        """Uses each key, in each version of TLS, and resumes sessions."""
        for version in VERSIONS:
            ctx = context(self.httpd, version)
            for name in self.hosts:
                session = self.fetch(name, ctx)
                assert self.fetch(name, ctx, session)
        for name in ("own-p256", "ssl-rsa2048"):
            assert curl(self.httpd, f"{name}.test", "/", "--http2").code == 200
        for name in ("own-machine", "ssl-machine"):
            assert f"client={name}" in plain_get(self.httpd, "/", "-H", f"Host: {name}.test")[1]

    def fetch(self, name, ctx, session=None):
        with connect(self.httpd, f"{name}.test", ctx=ctx, session=session) as tls:
            tls.sendall(request(f"{name}.test"))
            assert read_all(tls).endswith(b"hello\n")
            assert tls.session_reused == (session is not None)
            return tls.session

    def check(self):
        """tls-keyd has all keys, and httpd has none."""
        processes = workers(self.httpd)
        assert len(processes) > 1
        for pid in processes:
            assert not self.held.in_process(pid)
            assert not self.strays.in_process(pid)
        there = {name.partition(":")[0] for name in self.held.in_process(keyd(self.httpd))}
        assert there == self.held.names


@pytest.fixture
def site(httpd, backend):
    return Site(httpd, backend)


@MPMS
def test_01_httpd_never_has_keys(site, httpd, mpm):
    site.start(mpm=mpm)
    site.use()
    site.check()


@MPMS
def test_02_after_reloads(site, httpd, mpm):
    """A new key, a removed one, and one that has changed."""
    site.start(mpm=mpm)
    site.use()
    del site.hosts["ssl-p256"]
    site.files("own-p256", "p256", new_key("p256"))
    site.own("added", "rsa2048")
    site.configure(mpm=mpm)
    httpd.graceful()
    site.use()
    site.check()
    httpd.full_restart()
    site.use()
    site.check()


@MPMS
def test_03_after_the_end_of_tls_keyd(site, httpd, mpm):
    site.start(mpm=mpm)
    site.use()
    kill(httpd)
    site.use()
    site.check()


def test_04_mod_cgids_daemon(site, httpd):
    """It is a process of httpd, and a parent of scripts."""
    script = add_cgi(httpd, "env", ENVIRONMENT)
    site.start(*script, modules=["cgid"])
    site.use()
    assert "SSL_TLS_SNI=own-p256.test" in curl(httpd, "own-p256.test", "/cgi-bin/env").text
    assert len(httpd.children()) > 1
    site.check()


@pytest.mark.parametrize("mpm", ["event", "prefork"])
def test_05_the_search_finds_keys(site, httpd, mpm):
    """Without tls-keyd, httpd has the keys."""
    site.start("TLSKeyProcess off", mpm=mpm)
    assert keyd(httpd) is None
    site.use()
    found = set()
    for pid in workers(httpd):
        found |= {name.partition(":")[0] for name in site.held.in_process(pid)}
    assert found == site.held.names
