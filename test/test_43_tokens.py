# SPDX-License-Identifier: Apache-2.0
"""Keys and certificates in tokens (PKCS#11), with SoftHSM."""

import os
import re
import shutil
import signal
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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


def key_holder(httpd):
    """The process number of tls-keyd, as it was logged last."""
    return int(re.findall(r"(?:in tls-keyd|was started again) \(process (\d+)\)", httpd.log.text())[-1])


def command(pid):
    return Path(f"/proc/{pid}/cmdline").read_text()


def hanging_signatures(httpd):
    """How many threads of tls-keyd are in a token's module."""
    threads = Path(f"/proc/{key_holder(httpd)}/task").glob("*/comm")
    return [thread.read_text() for thread in threads].count("token\n")


def memory_has(pid, secret):
    """Whether the writable memory of a process has `secret`."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, access = line.split()[:2]
            if not access.startswith("rw"):
                continue
            start, end = (int(number, 16) for number in span.split("-"))
            memory.seek(start)
            try:
                if secret in memory.read(end - start):
                    return True
            except OSError:
                continue
    return False


class TestKeys:
    @pytest.mark.parametrize("kind", ["p256", "p384", "rsa2048"])
    @pytest.mark.parametrize("version", ["--tls-max=1.2", "--tlsv1.3"])
    def test_01_key(self, httpd, hsm, in_token, kind, version):
        file = write_chain(httpd, in_token(kind))
        host = httpd.vhost("a.test", cert=f'{file} "{hsm.uri_with_pin()}"')
        httpd.start(f"TLSEngine {httpd.port}", host)
        assert curl(httpd, "a.test", "/", *version.split("=")).code == 200

    def test_02_pin_value(self, httpd, hsm, in_token):
        """It works, with a warning, and is shown nowhere."""
        hsm.change_pin(secret := "84172935")
        file = write_chain(httpd, in_token())
        host = httpd.vhost("a.test", cert=f'{file} "{hsm.uri(f"pin-value={secret}")}"')
        httpd.log.expect(r"httpd.conf:\d+: TLSCertificate pkcs11:.*the PIN is in the configuration \(pin-value\)")
        httpd.start(f"TLSEngine {httpd.port}", host)
        assert curl(httpd, "a.test").code == 200
        # tls-keyd is told the PIN again.
        httpd.log.expect("tls-keyd .* has ended")
        os.kill(key_holder(httpd), signal.SIGKILL)
        wait_for(lambda: "was started again" in httpd.log.text(), "another tls-keyd")
        wait_for(lambda: curl(httpd, "a.test").code == 200, "the key")
        code, output = httpd.configtest("DUMP_TLS", "DUMP_CERTS")
        assert code == 0 and "pkcs11:" in output, output
        assert secret not in output + httpd.log.text()

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
        """A reload finds the key again. Another key is noticed then."""
        file = write_chain(httpd, in_token())
        host = httpd.vhost("a.test", cert=f'{file} "{hsm.uri_with_pin()}"')
        httpd.start(f"TLSEngine {httpd.port}", host)
        for _ in range(2):
            httpd.graceful()
            assert curl(httpd, "a.test").code == 200

    def test_06_removed_and_back(self, httpd, hsm, in_token):
        """Handshakes fail while the token is away. Other hosts go on."""
        file = write_chain(httpd, in_token())
        host = httpd.vhost("a.test", cert=f'{file} "{hsm.uri_with_pin()}"')
        httpd.start(f"TLSEngine {httpd.port}", host, httpd.vhost("b.test"))
        assert curl(httpd, "a.test").code == 200
        hsm.remove()
        gone = 'pkcs11:token=web;object=www.* token "web" .* has gone: plug it in again'
        httpd.log.expect(gone)
        httpd.log.expect("pkcs11:token=web;object=www.*: signs again")
        httpd.log.expect("tls-keyd cannot use the private key: .*its token is away")
        httpd.log.allow("more failures with the code TLS1501")
        assert curl(httpd, "a.test").exit != 0
        assert curl(httpd, "b.test").code == 200
        wait_for(lambda: re.search(gone, httpd.log.text()), "the message")
        hsm.put_back()
        wait_for(lambda: curl(httpd, "a.test").code == 200, "the token")
        wait_for(lambda: "signs again" in httpd.log.text(), "the message")

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

    def test_08_killed(self, httpd, hsm, in_token):
        """The next tls-keyd finds the key again."""
        file = write_chain(httpd, in_token())
        host = httpd.vhost("a.test", cert=f'{file} "{hsm.uri_with_pin()}"')
        httpd.start(f"TLSEngine {httpd.port}", host)
        httpd.log.expect("tls-keyd .* has ended")
        first = key_holder(httpd)
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: key_holder(httpd) != first, "another tls-keyd")
        wait_for(lambda: curl(httpd, "a.test").code == 200, "the key")

    def test_09_without_key_process(self, httpd, hsm, in_token):
        file = write_chain(httpd, in_token())
        host = httpd.vhost("a.test", cert=f'{file} "{hsm.uri_with_pin()}"')
        httpd.configure(f"TLSEngine {httpd.port}", "TLSKeyProcess off", host)
        code, output = httpd.configtest()
        assert code != 0
        assert "keys in tokens are used by tls-keyd alone" in output and "TLSKeyProcess on" in output, output

    def test_10_config_test(self, httpd, hsm, in_token, proxy):
        """It needs no token, but finds wrong URIs."""
        file = write_chain(httpd, in_token())
        uri = hsm.uri_with_pin()
        lines = [f'TLSProxyMachineCertificate "{uri}"', "ProxyPass / https://localhost:1/", "TLSProxyEngine on"]
        hsm.remove()
        httpd.configure(
            f"TLSEngine {httpd.port}",
            httpd.vhost("a.test", *lines, cert=f'{file} "{uri}"'),
            modules=["proxy", "proxy_http"],
        )
        code, output = httpd.configtest("DUMP_TLS")
        assert code == 0 and "pkcs11:token=web;object=www" in output, output
        for wrong, message in {
            "pkcs11:tokn=web": 'there is no attribute "tokn": perhaps token is meant',
            "pkcs11:token=web?pin-value=12 34": "pin-value: it is not UTF-8 in the encoding of a URI",
        }.items():
            httpd.configure(f"TLSEngine {httpd.port}", httpd.vhost("a.test", cert=f'{file} "{wrong}"'))
            code, output = httpd.configtest()
            assert code != 0 and "12 34" not in output
            assert re.search(rf"httpd.conf:\d+: TLSCertificate takes .*: {message}", output), output

    def test_11_wrong_certificate(self, httpd, hsm, in_token, authority):
        in_token()
        file = write_chain(httpd, authority.server("a.test", kind="p384"))
        host = httpd.vhost("a.test", cert=f'{file} "{hsm.uri_with_pin()}"')
        httpd.configure(f"TLSEngine {httpd.port}", host)
        httpd.log.expect("the private key in pkcs11:.* does not belong to this certificate")
        httpd.log.expect("the configuration has errors")
        assert httpd.run().wait(30) != 0

    @pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
    def test_12_module_hangs(self, httpd, hsm, in_token):
        """Other hosts go on, also if more signatures hang than tls-keyd has threads for keys in files."""
        file = write_chain(httpd, in_token())
        hangs = hsm.may_hang()
        host = httpd.vhost("a.test", cert=f'{file} "{hsm.uri_with_pin()}"')
        httpd.start(f"TLSEngine {httpd.port}", host, httpd.vhost("b.test"))
        assert curl(httpd, "a.test").code == 200
        hangs.touch()
        with ThreadPoolExecutor() as pool:
            waiting = [pool.submit(curl, httpd, "a.test") for _ in range(os.cpu_count() + 2)]
            wait_for(lambda: hanging_signatures(httpd) == len(waiting), "the signatures")
            assert curl(httpd, "b.test").code == 200
            assert hanging_signatures(httpd) == len(waiting)
            assert all(one.result().exit != 0 for one in waiting)
        httpd.log.expect("has not signed within 2 seconds")
        httpd.log.allow("most threads of this process wait for it already")
        hangs.unlink()
        wait_for(lambda: curl(httpd, "a.test").code == 200, "the token")
        # It was not replaced: that would have been logged as an error.
        wait_for(lambda: hanging_signatures(httpd) == 0, "the end of the threads")


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
        start_fails(
            hsm.uri(), "its PIN is not known: nobody is asked for it here: name a file that has it by pin-source"
        )

    def test_05_program(self, hsm, start_fails):
        start_fails(hsm.uri("pin-source=%7C/bin/true"), "programs .* are not run for PINs")

    @staticmethod
    def named(hsm):
        return [f'SSLCertificateFile "{hsm.uri()}"', f'SSLCertificateKeyFile "{hsm.uri()}"']

    @staticmethod
    def program(httpd, *commands):
        program = httpd.root / "ask"
        program.write_text("\n".join(["#!/bin/sh", *commands, ""]))
        program.chmod(program.stat().st_mode | stat.S_IEXEC)
        return program

    def test_06_exec(self, httpd, ssl_server, hsm, in_token):
        """The program is asked once: a reload and the second pass of a start need no PIN."""
        in_token()
        program = self.program(httpd, f'echo "$@" >> {httpd.root}/asked', f"echo {PIN}")
        host = ssl_server.vhost("a.test", certificate=self.named(hsm))
        ssl_server.start(f"SSLPassPhraseDialog exec:{program}", host)
        assert curl(httpd, "a.test").code == 200
        httpd.graceful()
        assert curl(httpd, "a.test").code == 200
        assert len((httpd.root / "asked").read_text().splitlines()) == 1

    def test_07_pipe(self, httpd, ssl_server, hsm, in_token):
        in_token()
        asked = httpd.root / "asked"
        program = self.program(httpd, f'read token; read prompt; echo "$token $prompt" >> {asked}', f"echo {PIN}")
        host = ssl_server.vhost("a.test", certificate=self.named(hsm))
        ssl_server.start(f"SSLPassPhraseDialog |{program}", host)
        assert curl(httpd, "a.test").code == 200
        assert re.fullmatch(r'Token "web" \(serial [0-9a-f]+\) Enter PIN:\n', asked.read_text())

    def test_08_terminal(self, httpd, ssl_server, hsm, in_token):
        in_token()
        ssl_server.configure(ssl_server.vhost("a.test", certificate=self.named(hsm)))
        command = f"{httpd.installation.program} -f {httpd.conf_file} -DFOREGROUND"
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "env": httpd.environment}
        with subprocess.Popen(["script", "-qefc", command, "/dev/null"], start_new_session=True, **options) as process:
            output = b""
            while b"Enter PIN:" not in output:
                output += (read := os.read(process.stdout.fileno(), 4096))
                assert read, output
            process.stdin.write(f"{PIN}\n".encode())
            process.stdin.flush()
            wait_for(lambda: "resuming normal operations" in httpd.log.text(), "httpd")
            assert curl(httpd, "a.test").code == 200
            os.kill(int(httpd.root.joinpath("pid").read_text()), signal.SIGTERM)
            output += process.stdout.read()
        assert output.count(b'Token "web" (serial ') == 1 and PIN.encode() not in output

    def test_09_no_terminal(self, httpd, ssl_server, hsm, in_token):
        in_token()
        ssl_server.configure(ssl_server.vhost("a.test", certificate=self.named(hsm)))
        httpd.log.expect(
            "its PIN is not known: its PIN cannot be asked for, .*, or name a file that has it by pin-source"
        )
        httpd.log.expect("the configuration has errors")
        assert httpd.run().wait(30) != 0

    def test_10_open_file(self, httpd, hsm, in_token):
        """A file with the PIN that everybody may read."""
        file = write_chain(httpd, in_token())
        hsm.pin_file.chmod(0o644)
        httpd.log.expect(r"/pin: all users of this machine can read it \(mode 0644\), .* use the token")
        httpd.start(f"TLSEngine {httpd.port}", httpd.vhost("a.test", cert=f'{file} "{hsm.uri_with_pin()}"'))
        assert curl(httpd, "a.test").code == 200

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root reads the memory of others")
    def test_11_secrecy(self, httpd, hsm, in_token):
        """A PIN from a file is in no message and in the memory of none of httpd's processes."""
        file = write_chain(httpd, in_token())
        hsm.change_pin(secret := "84172935")
        hsm.write_pin(secret)
        httpd.start(f"TLSEngine {httpd.port}", httpd.vhost("a.test", cert=f'{file} "{hsm.uri_with_pin()}"'))
        assert curl(httpd, "a.test").code == 200
        keyd = key_holder(httpd)
        servers = [pid for pid in [httpd.pid, *httpd.children()] if "tls-keyd" not in command(pid)]
        assert len(servers) > 1
        assert memory_has(keyd, secret.encode())
        assert [pid for pid in servers if memory_has(pid, secret.encode())] == []
        assert secret not in httpd.log.text()
