# SPDX-License-Identifier: Apache-2.0
"""Keys and certificates in tokens (PKCS#11), with SoftHSM."""

import stat
import subprocess

import pytest

from harness.client_certs import ClientCa
from harness.clients import curl, plain_get
from harness.httpd import wait_for
from harness.tokens import PIN, SoftHsm, find_module

pytestmark = pytest.mark.skipif(find_module() is None, reason="SoftHSM is not installed")


@pytest.fixture
def hsm(httpd):
    return SoftHsm(httpd).create()


@pytest.fixture
def in_token(hsm, authority):
    """Puts the key and certificate for a.test into the token. Returns them."""

    def put(kind="p256", **names):
        issued = authority.server("a.test", kind=kind)
        hsm.put(issued, **names)
        return issued

    return put


def write_chain(httpd, issued):
    file = httpd.root / "a.pem"
    file.write_bytes(issued.chain_pem)
    return file


class TestKeys:
    @pytest.mark.parametrize("kind", ["p256", "p384", "rsa2048"])
    @pytest.mark.parametrize("version", ["--tls-max=1.2", "--tlsv1.3"])
    def test_01_key(self, httpd, hsm, in_token, kind, version):
        file = write_chain(httpd, in_token(kind))
        host = httpd.vhost("a.test", cert=f'{file} "{hsm.uri_with_pin()}"')
        httpd.start(f"TLSEngine {httpd.port}", host)
        assert curl(httpd, "a.test", "/", *version.split("=")).code == 200

    def test_02_pin_value(self, httpd, hsm, in_token):
        file = write_chain(httpd, in_token())
        host = httpd.vhost("a.test", cert=f'{file} "{hsm.uri(f"pin-value={PIN}")}"')
        httpd.start(f"TLSEngine {httpd.port}", host)
        assert curl(httpd, "a.test").code == 200
        assert PIN not in httpd.log.text().replace(str(httpd.pid), "")

    def test_03_certificate_too(self, httpd, hsm, in_token):
        """The certificate and its issuer are in the token."""
        in_token()
        uri = hsm.uri_with_pin()
        httpd.start(f"TLSEngine {httpd.port}", httpd.vhost("a.test", cert=f'"{uri}" "{uri}"'))
        assert curl(httpd, "a.test").code == 200

    def test_04_names_of_mod_ssl(self, httpd, ssl_server, hsm, in_token):
        in_token()
        uri = hsm.uri_with_pin()
        certificate = [f'SSLCertificateFile "{uri}"', f'SSLCertificateKeyFile "{uri}"']
        ssl_server.start(ssl_server.vhost("a.test", certificate=certificate))
        assert curl(httpd, "a.test").code == 200

    def test_05_reload(self, httpd, hsm, in_token):
        file = write_chain(httpd, in_token())
        host = httpd.vhost("a.test", cert=f'{file} "{hsm.uri_with_pin()}"')
        httpd.start(f"TLSEngine {httpd.port}", host)
        httpd.graceful()
        assert curl(httpd, "a.test").code == 200

    def test_06_removed_and_back(self, httpd, hsm, in_token):
        """Handshakes fail while the token is away."""
        file = write_chain(httpd, in_token())
        host = httpd.vhost("a.test", cert=f'{file} "{hsm.uri_with_pin()}"')
        httpd.start(f"TLSEngine {httpd.port}", host)
        assert curl(httpd, "a.test").code == 200
        hsm.remove()
        httpd.log.expect('token "web" .* has gone: plug it in again')
        assert curl(httpd, "a.test").exit != 0
        hsm.put_back()
        wait_for(lambda: curl(httpd, "a.test").code == 200, "the token")

    def test_07_machine_certificate(self, httpd, hsm, proxy, backend):
        ca = ClientCa("Machines")
        file = httpd.root / "machines.pem"
        file.write_bytes(ca.pem)
        issued = ca.client("proxy")
        hsm.put(issued, label="proxy")
        certificate = httpd.root / "proxy.pem"
        certificate.write_bytes(issued.cert_pem)
        one = backend(client_ca=file)
        proxy(
            f'TLSProxyMachineCertificate {certificate} "{hsm.uri_with_pin(label="proxy")}"',
            f"ProxyPass / https://localhost:{one.port}/",
        )
        assert "client=proxy" in plain_get(httpd)[1]


class TestPins:
    @pytest.fixture
    def start_fails(self, httpd, authority):
        def fails(uri, *messages):
            file = write_chain(httpd, authority.server("a.test"))
            httpd.configure(f"TLSEngine {httpd.port}", httpd.vhost("a.test", cert=f'{file} "{uri}"'))
            for message in messages:
                httpd.log.expect(message)
            httpd.log.expect("the configuration has errors")
            assert httpd.run().wait(30) != 0

        return fails

    def test_01_wrong(self, hsm, in_token, start_fails):
        in_token()
        hsm.write_pin("4321")
        start_fails(hsm.uri_with_pin(), 'token "web" .* the token says that pin-source .*/pin is wrong')

    def test_02_missing_object(self, hsm, in_token, start_fails):
        in_token(label="other")
        start_fails(hsm.uri_with_pin(), 'has no private key "www", but private key "other" id=%01')

    def test_03_missing_token(self, hsm, start_fails):
        start_fails(hsm.uri_with_pin(token="web2"), 'has no token like that, but "web"')

    def test_04_no_terminal(self, hsm, in_token, start_fails):
        in_token()
        start_fails(hsm.uri(), "its PIN is not known: .*name a file that has it by pin-source")

    def test_05_program(self, hsm, start_fails):
        start_fails(hsm.uri("pin-source=%7C/bin/true"), "programs .* are not run for PINs")

    def test_06_dialog(self, httpd, ssl_server, hsm, in_token):
        in_token()
        program = httpd.root / "ask"
        program.write_text(f'#!/bin/sh\necho "$@" >> {httpd.root}/asked\necho {PIN}\n')
        program.chmod(program.stat().st_mode | stat.S_IEXEC)
        certificate = [f'SSLCertificateFile "{hsm.uri()}"', f'SSLCertificateKeyFile "{hsm.uri()}"']
        host = ssl_server.vhost("a.test", certificate=certificate)
        ssl_server.start(f"SSLPassPhraseDialog exec:{program}", host)
        assert curl(httpd, "a.test").code == 200
        assert len((httpd.root / "asked").read_text().splitlines()) == 1

    def test_07_terminal(self, httpd, hsm, in_token):
        file = write_chain(httpd, in_token())
        host = httpd.vhost("a.test", cert=f'{file} "{hsm.uri()}"')
        httpd.configure(f"TLSEngine {httpd.port}", host)
        command = f"{httpd.installation.program} -f {httpd.conf_file} -DFOREGROUND"
        answers = f'(sleep 1; echo {PIN}; sleep 3) | script -qec "{command}" /dev/null'
        options = {"stdout": subprocess.PIPE, "start_new_session": True, "env": httpd.environment}
        with subprocess.Popen(answers, shell=True, **options) as process:
            wait_for(lambda: "resuming normal operations" in httpd.log.text(), "httpd")
            assert curl(httpd, "a.test").code == 200
            subprocess.run(["kill", httpd.root.joinpath("pid").read_text().strip()], check=True)
            output = process.stdout.read().decode(errors="replace")
        assert 'Token "web" (serial ' in output and "Enter PIN:" in output and PIN not in output
