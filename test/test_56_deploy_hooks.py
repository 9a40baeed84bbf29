# SPDX-License-Identifier: Apache-2.0
"""The hooks in conf-examples/hooks: each with the files of its program, while clients connect all the time."""

import contextlib
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from harness.certs import key_pem
from harness.certs_tool import CertsTool
from harness.clients import connect
from harness.httpd import wait_for

HOOKS = Path(__file__).resolve().parent.parent / "conf-examples/hooks"
CERTBOT = Path(__file__).resolve().parent / "harness/certbot_store.py"
REFUSED = "has changed and is not used"


class Programs:
    """The hooks, and what they run: tls-certs, and a `logger` that writes a file."""

    def __init__(self, httpd):
        self.tool = CertsTool(httpd)
        self._bin = httpd.root / "bin"
        self._bin.mkdir()
        self._alerts = httpd.root / "alerts"
        (self._bin / "tls-certs").symlink_to(self.tool.program)
        self._script("logger", f'shift 4; echo "$*" >>{self._alerts}')
        self.environment = {
            **os.environ,
            "PATH": f"{self._bin}:{os.environ['PATH']}",
            "TLS_CERTS_SOCKET": str(self.tool.socket),
        }

    def _script(self, name, body):
        path = self._bin / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def sudo(self, body):
        """What `sudo` does."""
        self._script("sudo", body)

    def hook(self, name, *arguments, status=0, **variables):
        """Runs a hook. Returns what it prints."""
        environment = {**self.environment, **{key: str(value) for key, value in variables.items()}}
        run = subprocess.run([HOOKS / name, *arguments], env=environment, capture_output=True, text=True, timeout=90)
        assert run.returncode == status, run.stdout + run.stderr
        return run.stdout + run.stderr

    def alerts(self):
        return self._alerts.read_text() if self._alerts.exists() else ""


@contextlib.contextmanager
def handshakes(httpd, name="a.test"):
    """Clients that connect all the time. Yields the serial numbers that they have seen; none of them may fail."""
    seen, failures, stop = [], [], threading.Event()

    def run():
        while not stop.is_set():
            try:
                with connect(httpd, name) as tls:
                    seen.append(int(tls.getpeercert()["serialNumber"], 16))
            except OSError as error:
                failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures


def start(httpd, cert, *lines):
    httpd.start(f"TLSEngine {httpd.port}", "Protocols http/1.1", httpd.vhost("a.test", cert=cert), *lines)
    return Programs(httpd)


class Certbot:
    def __init__(self, httpd):
        self.directory = httpd.root / "letsencrypt"
        (self.directory / "next").mkdir(parents=True)
        self.live = self.directory / "live/a.test"

    def prepare(self, issued):
        """The next certificate."""
        for name, content in {
            "cert": issued.cert_pem,
            "privkey": key_pem(issued.key),
            "chain": issued.chain_pem[len(issued.cert_pem) :],
        }.items():
            (self.directory / f"next/{name}.pem").write_bytes(content)

    def run(self, *arguments, environment=None):
        run = subprocess.run(
            [sys.executable, CERTBOT, self.directory, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=60,
            env=environment,
        )
        assert run.returncode == 0, run.stderr
        return run.stdout + run.stderr

    def certificate(self):
        return f"{self.live}/fullchain.pem {self.live}/privkey.pem"


class TestCertbot:
    """certbot's own code writes the files, and runs the hook."""

    @pytest.fixture
    def certbot(self, httpd, authority):
        certbot = Certbot(httpd)
        certbot.prepare(authority.server("a.test"))
        certbot.run("new", "a.test")
        deploy = certbot.directory / "renewal-hooks/deploy"
        deploy.mkdir(parents=True)
        shutil.copy(HOOKS / "certbot-deploy", deploy / "mod_tls")
        return certbot

    def test_01_step_by_step(self, httpd, authority, certbot):
        """certbot turns its four links one after the other: in between, certificate and key do not belong together."""
        programs = start(httpd, certbot.certificate())
        httpd.log.allow(REFUSED)
        with handshakes(httpd) as seen:
            for number in (1, 2):
                issued = authority.server("a.test", number=number, days=60)
                certbot.prepare(issued)
                certbot.run("write", "a.test")
                # The new files in archive/ are nothing that the server uses.
                programs.tool.run("wait", certbot.live)
                assert issued.cert.serial_number not in seen
                for link in range(3):
                    certbot.run("link", "a.test", link)
                    result = programs.tool.json("wait", certbot.live, status=0 if link == 0 else 1)
                    assert result["certificates"][0]["state"] == ("used" if link == 0 else "refused")
                assert issued.cert.serial_number not in seen
                certbot.run("link", "a.test", 3)
                certbot.run("deploy", "a.test", environment=programs.environment)
                assert programs.alerts() == ""
                wait_for(lambda issued=issued: issued.cert.serial_number in seen[-3:], "the new certificate")

    def test_02_all_at_once(self, httpd, authority, certbot):
        programs = start(httpd, certbot.certificate())
        httpd.log.allow(REFUSED)
        issued = authority.server("a.test", number=1)
        certbot.prepare(issued)
        with handshakes(httpd) as seen:
            certbot.run("write", "a.test")
            for link in range(4):
                certbot.run("link", "a.test", link)
            programs.hook("certbot-deploy", RENEWED_LINEAGE=certbot.live, RENEWED_DOMAINS="a.test")
            begin = len(seen)
            wait_for(lambda: len(seen) > begin + 10, "clients")
            # What began after the hook has ended gets the new certificate.
            assert set(seen[begin + 2 :]) == {issued.cert.serial_number}

    def test_03_alert(self, httpd, authority, certbot):
        """The renewed certificate has lost the host's name. certbot shows what the hook says."""
        programs = start(httpd, certbot.certificate())
        httpd.log.expect(REFUSED)
        certbot.prepare(authority.server("b.test", number=1))
        certbot.run("write", "a.test")
        for link in range(4):
            certbot.run("link", "a.test", link)
        assert "it is not for a.test" in certbot.run("deploy", "a.test", environment=programs.environment)
        assert "renewed, but not used by httpd" in programs.alerts() and "it is not for a.test" in programs.alerts()

    def test_04_not_of_this_server(self, httpd, authority, certbot):
        """Another server uses the certificate, or none."""
        cert = authority.server("a.test").write(httpd.root, "other")
        programs = start(httpd, cert)
        text = programs.hook("certbot-deploy", status=1, RENEWED_LINEAGE=certbot.live)
        assert "the server uses no certificate from there" in text


def test_05_acme_sh(httpd, authority):
    """acme.sh has its own copies in ~/.acme.sh/NAME_ecc, and writes the files that httpd uses, the key first."""
    copies = httpd.root / ".acme.sh/a.test_ecc"
    copies.mkdir(parents=True)
    files = authority.server("a.test").write(httpd.root, "a")
    cert, key = map(Path, files.split())
    programs = start(httpd, files)
    httpd.log.allow(REFUSED)

    def install(issued, status=0):
        copied = {
            "a.test.cer": issued.cert_pem,
            "a.test.key": key_pem(issued.key),
            "ca.cer": issued.chain_pem[len(issued.cert_pem) :],
            "fullchain.cer": issued.chain_pem,
        }
        for name, content in copied.items():
            (copies / name).write_bytes(content)
        key.write_bytes(key_pem(issued.key))
        cert.write_bytes(issued.chain_pem)
        variables = {
            "CERT_PATH": copies / "a.test.cer",
            "CERT_KEY_PATH": copies / "a.test.key",
            "CA_CERT_PATH": copies / "ca.cer",
            "CERT_FULLCHAIN_PATH": copies / "fullchain.cer",
            "Le_Domain": "a.test",
        }
        for arguments in ([cert], []):
            programs.hook("acme.sh-reload", *arguments, status=status, **variables)

    with handshakes(httpd) as seen:
        issued = authority.server("a.test", number=1)
        install(issued)
        wait_for(lambda: issued.cert.serial_number in seen[-3:], "the new certificate")
    assert programs.alerts() == ""
    install(authority.server("b.test", number=2), status=1)
    assert "it is not for a.test" in programs.alerts()


@pytest.mark.parametrize("variable", ["LEGO_CERT_PATH", "LEGO_HOOK_CERT_PATH"])
def test_06_lego(httpd, authority, variable):
    """lego writes NAME.crt with the issuers, NAME.issuer.crt, NAME.key and NAME.json into .lego/certificates."""
    directory = httpd.root / ".lego/certificates"
    directory.mkdir(parents=True)

    def write(issued):
        for suffix, content in {
            "crt": issued.chain_pem,
            "issuer.crt": issued.chain_pem[len(issued.cert_pem) :],
            "key": key_pem(issued.key),
            "json": b'{"domain": "a.test"}',
        }.items():
            (directory / f"a.test.{suffix}").write_bytes(content)

    write(authority.server("a.test"))
    programs = start(httpd, f"{directory}/a.test.crt {directory}/a.test.key")
    httpd.log.allow(REFUSED)
    with handshakes(httpd) as seen:
        issued = authority.server("a.test", number=1)
        write(issued)
        programs.hook("lego-hook", LEGO_CERT_DOMAIN="a.test", **{variable: directory / "a.test.crt"})
        wait_for(lambda: issued.cert.serial_number in seen[-3:], "the new certificate")
    write(authority.server("a.test", start=-3, days=2))
    assert "it has expired" in programs.hook("lego-hook", status=1, **{variable: directory / "a.test.crt"})
    assert "it has expired" in programs.alerts()


def test_07_mod_md(httpd, authority):
    """mod_md has a renewed certificate in staging/NAME, and moves it to domains/NAME when httpd reloads."""
    store = httpd.root / "md"
    domain, staged = store / "domains/a.test", store / "staging/a.test"

    def write(directory, issued):
        directory.mkdir(parents=True)
        (directory / "pubcert.pem").write_bytes(issued.chain_pem)
        (directory / "privkey.pem").write_bytes(key_pem(issued.key))

    write(domain, authority.server("a.test"))
    programs = start(httpd, f"{domain}/pubcert.pem {domain}/privkey.pem")
    httpd.log.allow(REFUSED)
    issued = authority.server("a.test", number=1)
    write(staged, issued)
    programs.sudo(f'test "$*" = "-n systemctl reload apache2" && mv {domain} {store}/archived && mv {staged} {domain}')
    with handshakes(httpd) as seen:
        programs.hook("mod_md-message", "renewed", "a.test", MD_STORE=store)
        httpd.graceful()
        programs.hook("mod_md-message", "installed", "a.test", MD_STORE=store)
        wait_for(lambda: issued.cert.serial_number in seen[-3:], "the new certificate")
    # It confirms in the background.
    programs.hook("mod_md-message", "installed", "c.test", MD_STORE=store)
    wait_for(lambda: "no host of this name" in programs.alerts(), "the alert")
    assert programs.alerts().count("not used by httpd") == 1
    programs.sudo("exit 1")
    programs.hook("mod_md-message", "renewed", "a.test", status=1)
    assert "reload httpd to use it" in programs.alerts()
    programs.hook("mod_md-message", "expiring", "a.test")
    assert "a.test: mod_md reports: expiring" in programs.alerts()
    programs.hook("mod_md-message", "ocsp-renewed", "a.test")


@pytest.mark.parametrize("hook", sorted(path.name for path in HOOKS.iterdir()))
def test_08_without_a_server(httpd, hook):
    """httpd does not run: the hook says so, and fails."""
    programs = Programs(httpd)
    arguments = ["installed", "a.test"] if hook.startswith("mod_md") else ["/a/file"]
    status = 0 if hook.startswith("mod_md") else 1
    variables = {"RENEWED_LINEAGE": "/a", "LEGO_CERT_PATH": "/a/b"}
    programs.hook(hook, *arguments, status=status, **variables)
    wait_for(lambda: "no such socket" in programs.alerts(), "the alert")
