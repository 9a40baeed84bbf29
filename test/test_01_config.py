# SPDX-License-Identifier: Apache-2.0
"""The configuration: what is accepted, and the messages about mistakes."""

import base64
import os
import re
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption

from harness.certs import PEM, PKCS8, TRADITIONAL, key_pem
from harness.clients import connect, curl, s_client
from harness.httpd import wait_for
from harness.unprivileged import run_as


def errors(httpd, *lines):
    """The messages of `httpd -t` about `lines`, which must be refused."""
    httpd.configure(*lines)
    status, text = httpd.configtest()
    assert status != 0, text
    return text


def with_secret_of(key, other, form):
    """The PEM of a key whose secret number is that of another key."""
    der = key.private_bytes(Encoding.DER, form, NoEncryption())

    def secret(key):
        numbers = key.private_numbers()
        number, size = (numbers.d, 256) if hasattr(numbers, "d") else (numbers.private_value, 32)
        return number.to_bytes(size, "big")

    assert secret(key) in der
    label = {PKCS8: "", TRADITIONAL: "RSA " if key.key_size == 2048 else "EC "}[form] + "PRIVATE KEY"
    body = base64.encodebytes(der.replace(secret(key), secret(other))).decode()
    return f"-----BEGIN {label}-----\n{body}-----END {label}-----\n".encode()


class TestEngine:
    def test_01_no_directive_is_no_tls(self, httpd):
        httpd.configure("")
        assert httpd.configtest()[0] == 0
        httpd.start()
        assert curl(httpd, "a.test").code == 0

    @pytest.mark.parametrize("address", ["", "*:", "127.0.0.1:", "[::]:"])
    def test_02_address_forms(self, httpd, address):
        httpd.start(f"TLSEngine {address}{httpd.port}", httpd.vhost("a.test"))
        assert curl(httpd, "a.test").text == "hello"

    def test_03_ipv6(self, httpd):
        httpd.start(f"TLSEngine [::1]:{httpd.port}", httpd.vhost("a.test"))
        assert curl(httpd, "a.test", address="::1").text == "hello"
        assert curl(httpd, "a.test", address="127.0.0.1").code == 0

    def test_04_several(self, httpd, ports):
        other = ports.take()
        httpd.start(
            f"Listen {other}",
            f"TLSEngine {httpd.port}",
            f"tlsengine {other}",
            httpd.vhost("a.test"),
            httpd.vhost("b.test", port=other),
        )
        assert curl(httpd, "a.test").text == "hello"
        assert curl(httpd, "b.test", port=other).text == "hello"

    def test_05_plain_port_beside(self, httpd):
        httpd.start(f"TLSEngine {httpd.port}", httpd.vhost("a.test"))
        run = subprocess.run(["curl", "-s", f"http://127.0.0.1:{httpd.plain_port}/"], capture_output=True)
        assert run.stdout == b"hello\n"

    def test_06_plain_http_on_tls_port(self, httpd):
        httpd.start(f"TLSEngine {httpd.port}", httpd.vhost("a.test"))
        run = subprocess.run(["curl", "-si", f"http://127.0.0.1:{httpd.port}/"], capture_output=True, text=True)
        assert run.stdout.startswith("HTTP/1.1 400"), run
        assert "https://" in run.stdout

    @pytest.mark.parametrize("wrong", ["0", "70000", "localhost:443", "::1:443", "443 444", ""])
    def test_07_mistakes(self, httpd, wrong):
        text = errors(httpd, f"TLSEngine {wrong}")
        assert "TLSEngine" in text and "httpd.conf" in text

    def test_08_not_in_a_virtual_host(self, httpd):
        text = errors(httpd, f"TLSEngine {httpd.port}", httpd.vhost("a.test", f"TLSEngine {httpd.port}"))
        assert "outside of <VirtualHost>" in text


class TestCertificate:
    @pytest.mark.parametrize("kind", ["p256", "p384", "ed25519", "rsa2048"])
    @pytest.mark.parametrize("combined", [False, True])
    def test_01_kinds(self, httpd, authority, kind, combined):
        form = PKCS8 if kind == "ed25519" or combined else TRADITIONAL
        cert = authority.server("a.test", kind=kind).write(httpd.root, "own", combined=combined, form=form)
        httpd.start(f"TLSEngine {httpd.port}", httpd.vhost("a.test", cert=cert))
        if kind == "ed25519":
            # OpenSSL in this curl does not offer Ed25519 signatures for chains by default. Python's ssl does.
            with connect(httpd, "a.test") as tls:
                assert tls.version() == "TLSv1.3"
        else:
            assert curl(httpd, "a.test").text == "hello"

    def test_02_relative_to_server_root(self, httpd, authority):
        authority.server("a.test").write(httpd.root, "own")
        httpd.start(f"TLSEngine {httpd.port}", httpd.vhost("a.test", cert="own.pem own.key"))
        assert curl(httpd, "a.test").text == "hello"

    def test_03_inherited_from_the_base_server(self, httpd, authority):
        cert = authority.server("a.test").write(httpd.root, "own")
        httpd.start(f"TLSEngine {httpd.port}", f"TLSCertificate {cert}", httpd.vhost("a.test", cert=False))
        assert curl(httpd, "a.test").text == "hello"

    def test_04_missing_file(self, httpd):
        text = errors(httpd, f"TLSEngine {httpd.port}", httpd.vhost("a.test", cert="nowhere.pem"))
        assert "nowhere.pem: no such file" in text and "TLSCertificate" in text and "httpd.conf:" in text

    def test_05_missing_key_file(self, httpd, authority):
        authority.server("a.test").write(httpd.root, "own")
        text = errors(httpd, f"TLSEngine {httpd.port}", httpd.vhost("a.test", cert="own.pem nowhere.key"))
        assert "nowhere.key: no such file" in text

    def test_06_unreadable_file(self, httpd, authority):
        # Root can read every file, so a directory is used as the unreadable file.
        httpd.root.joinpath("dir.pem").mkdir()
        text = errors(httpd, f"TLSEngine {httpd.port}", httpd.vhost("a.test", cert="dir.pem"))
        assert "dir.pem: cannot be read" in text

    def test_07_key_of_another(self, httpd, authority):
        authority.server("a.test").write(httpd.root, "own")
        authority.server("b.test", number=1).write(httpd.root, "other")
        text = errors(httpd, f"TLSEngine {httpd.port}", httpd.vhost("a.test", cert="own.pem other.key"))
        assert "other.key does not belong to this certificate" in text

    def test_08_chain_in_the_wrong_order(self, httpd, authority):
        issued = authority.server("a.test")
        issued.write(httpd.root, "own")
        pems = issued.chain[0].public_bytes, issued.cert.public_bytes
        httpd.root.joinpath("own.pem").write_bytes(b"".join(pem(PEM) for pem in pems))
        text = errors(httpd, f"TLSEngine {httpd.port}", httpd.vhost("a.test", cert="own.pem own.key"))
        assert "certificate 2" in text and "put that one first" in text

    @pytest.mark.parametrize("form", [PKCS8, TRADITIONAL])
    @pytest.mark.parametrize("kind", ["p256", "rsa2048"])
    def test_13_damaged_key(self, httpd, authority, kind, form):
        """A key whose public part is correct. The damage is found when the key is first used, or by -t."""
        good, bad = authority.server("a.test", kind=kind), authority.key(kind, 1)
        files = good.write(httpd.root, "own")
        httpd.root.joinpath("own.key").write_bytes(with_secret_of(good.key, bad, form))
        lines = [f"TLSEngine {httpd.port}", httpd.vhost("a.test", cert=files), httpd.vhost("b.test")]
        assert "own.key: the private key cannot be used" in errors(httpd, *lines)
        httpd.start()
        httpd.log.expect("own.key: the private key is damaged .* until the file is replaced and httpd reloaded")
        httpd.log.allow("tls-keyd cannot use the private key: it is damaged")
        assert curl(httpd, "a.test").code == 0
        assert curl(httpd, "b.test").text == "hello"
        good.write(httpd.root, "own", form=form)
        httpd.graceful()
        # An old child may accept one more connection.
        wait_for(lambda: curl(httpd, "a.test").text == "hello", "the new key")

    @pytest.mark.parametrize("form", [PKCS8, TRADITIONAL])
    @pytest.mark.parametrize(
        "key", [lambda: rsa.generate_private_key(65537, 1024), lambda: ec.generate_private_key(ec.SECP256K1())]
    )
    def test_14_kinds_that_cannot_be_used(self, httpd, authority, key, form):
        """A start refuses them as -t does: the check is not deferred until the key is used."""
        issued = authority.issue_for("a.test", key())
        lines = [f"TLSEngine {httpd.port}", httpd.vhost("a.test", cert=issued.write(httpd.root, "own", form=form))]
        assert "own.key: the private key cannot be used" in errors(httpd, *lines)
        assert httpd.run().wait(30) != 0
        httpd.log.expect("own.key: the private key cannot be used")
        httpd.log.allow("the configuration has errors|AH00016")

    @pytest.mark.parametrize("form", [PKCS8, TRADITIONAL])
    def test_09_encrypted_key(self, httpd, authority, form):
        issued = authority.server("a.test")
        issued.write(httpd.root, "own")
        httpd.root.joinpath("own.key").write_bytes(key_pem(issued.key, form, password=b"secret"))
        text = errors(httpd, f"TLSEngine {httpd.port}", httpd.vhost("a.test", cert="own.pem own.key"))
        assert "own.key: the private key is encrypted" in text and "openssl pkey" in text

    @pytest.mark.parametrize(
        "content, says",
        [
            (b"", "no certificate"),
            (b"garbage\n", "no certificate"),
            (b"-----BEGIN CERTIFICATE-----\nAAAA\n", "no matching"),
            (b"-----BEGIN CERTIFICATE-----\n%%%%\n-----END CERTIFICATE-----\n", "damaged"),
            (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "certificate 1 in this file"),
        ],
    )
    def test_10_garbage(self, httpd, authority, content, says):
        authority.server("a.test").write(httpd.root, "own")
        httpd.root.joinpath("own.pem").write_bytes(content)
        text = errors(httpd, f"TLSEngine {httpd.port}", httpd.vhost("a.test", cert="own.pem own.key"))
        assert "own.pem" in text and says in text

    @pytest.mark.parametrize(
        "start, says", [(-60, "has expired"), (5, "is not valid yet")], ids=["expired", "not-yet-valid"]
    )
    def test_11_validity(self, httpd, authority, start, says):
        cert = authority.server("a.test", start=start).write(httpd.root, "own")
        httpd.start(f"TLSEngine {httpd.port}", httpd.vhost("a.test", cert=cert))
        httpd.log.expect(rf"httpd.conf:\d+: .*own.pem: the certificate {says}")
        assert curl(httpd, "a.test", "/", "-k").text == "hello"

    def test_12_name_not_covered(self, httpd, authority):
        cert = authority.server("b.test").write(httpd.root, "own")
        httpd.start(f"TLSEngine {httpd.port}", httpd.vhost("a.test", "ServerAlias b.test c.test", cert=cert))
        httpd.log.expect(r"httpd.conf:\d+: a.test, c.test is not covered by .*own.pem")

    def test_13_wildcard_covers(self, httpd, authority):
        cert = authority.server("*.w.test").write(httpd.root, "own")
        httpd.start(f"TLSEngine {httpd.port}", httpd.vhost("a.w.test", "ServerAlias b.w.test", cert=cert))
        assert curl(httpd, "b.w.test").text == "hello"

    def test_16_hosts_on_no_tls_port_are_checked(self, httpd):
        text = errors(
            httpd,
            f"TLSEngine {httpd.port}",
            httpd.vhost("a.test"),
            httpd.vhost("b.test", cert="nowhere.pem", port=httpd.plain_port),
        )
        assert "nowhere.pem: no such file" in text

    def test_15_unreadable_for_its_user(self, httpd):
        httpd.configure(f"TLSEngine {httpd.port}", httpd.vhost("a.test"))
        run_as(httpd, "nobody")
        httpd.root.joinpath("a.test.key").chmod(0)
        assert httpd.run().wait(30) != 0
        httpd.log.expect(r"httpd.conf:\d+: .*a.test.key: not readable by the user")
        httpd.log.expect("the configuration has errors")
        httpd.log.expect("AH00016|AH00020")


class TestMistakes:
    def test_01_all_are_reported(self, httpd):
        text = errors(
            httpd,
            f"TLSEngine {httpd.port}",
            "TLSEngine nonsense",
            "TLSProtocol TLSv9",
            httpd.vhost("a.test", "TLSCiphersPrefer NO_SUCH_CIPHER", cert="one.pem"),
            httpd.vhost("b.test", "TLSHonorClientOrder perhaps", cert="two.pem"),
        )
        for said in ["nonsense", "TLSv9", "NO_SUCH_CIPHER", "perhaps", "one.pem", "two.pem"]:
            assert said in text, said
        assert text.count("httpd.conf:") >= 6

    def test_02_start_fails_as_the_test_does(self, httpd):
        httpd.configure(f"TLSEngine {httpd.port}", httpd.vhost("a.test", cert="nowhere.pem"))
        assert httpd.run().wait(30) != 0
        httpd.log.expect("nowhere.pem: no such file")
        httpd.log.expect("the configuration has errors")
        httpd.log.expect("AH00016|AH00020")

    @pytest.mark.parametrize("word", ["on", "ON", "oFf", "Off"])
    def test_03_flags_in_any_case(self, httpd, word):
        httpd.configure(
            f"TLSEngine {httpd.port}", f"TLSHonorClientOrder {word}", f"TLSStrictSNI {word}", httpd.vhost("a")
        )
        status, text = httpd.configtest()
        assert status == 0, text

    def test_04_contradictions(self, httpd):
        httpd.root.joinpath("seed").write_bytes(os.urandom(48))
        text = errors(
            httpd,
            f"TLSEngine {httpd.port}",
            "TLSSessionTickets off",
            "TLSSessionTicketKeyFile seed",
            httpd.vhost(
                "a.test", "TLSCiphersPrefer TLS_AES_128_GCM_SHA256", "TLSCiphersSuppress TLS_AES_128_GCM_SHA256"
            ),
        )
        assert "TLSSessionTickets off contradicts TLSSessionTicketKeyFile" in text
        assert "TLS_AES_128_GCM_SHA256 is in both" in text

    def test_05_ticket_key_file_too_short(self, httpd):
        httpd.root.joinpath("seed").write_bytes(b"short")
        text = errors(httpd, f"TLSEngine {httpd.port}", "TLSSessionTicketKeyFile seed", httpd.vhost("a.test"))
        assert "has 5 bytes" in text and "openssl rand" in text

    def test_06_session_cache(self, httpd):
        text = errors(httpd, f"TLSEngine {httpd.port}", "TLSSessionCache shmcb", httpd.vhost("a.test"))
        assert "TLSSessionCache" in text

    def test_07_session_cache_without_provider(self, httpd):
        httpd.configure(f"TLSEngine {httpd.port}", "TLSSessionCache nosuch:args", httpd.vhost("a.test"))
        assert httpd.run().wait(30) != 0
        httpd.log.expect("TLSSessionCache nosuch: there is no provider")
        httpd.log.expect("AH00020|AH00016")

    def test_08_line_of_an_included_file(self, httpd, authority):
        """The message names the file and line of the directive itself."""
        included = httpd.root / "included.conf"
        included.write_text(
            f"# a comment\n<IfModule mod_tls.c>\n<VirtualHost *:{httpd.port}>\nServerName a.test\n"
            "TLSCertificate \\\n  nowhere.pem\nTLSProtocol TLSv9\n</VirtualHost>\n</IfModule>\n"
        )
        text = errors(httpd, f"TLSEngine {httpd.port}", f"Include {included}")
        assert re.search(rf"{included}:6: TLSCertificate.*nowhere.pem|{included}:5: TLSCertificate.*nowhere.pem", text)
        assert re.search(rf"{included}:7: TLSProtocol.*TLSv9", text)

    @pytest.mark.parametrize("line", ["TLSProtocol TLSv1.1", "TLSProtocol SSLv3 TLSv1", "TLSProtocol TLSv1.3-TLSv1.2"])
    def test_09_no_version_left(self, httpd, line):
        text = errors(httpd, f"TLSEngine {httpd.port}", httpd.vhost("a.test", line))
        assert re.search(r"httpd.conf:\d+: TLSProtocol", text), text

    @pytest.mark.parametrize(
        "line",
        [
            "TLSOptions +Nonsense",
            "TLSOptions",
            "TLSSessionTickets perhaps",
            "TLSStrictSNI perhaps",
            "TLSSessionTicketKeyFile nowhere",
            "TLSCertificate",
            "TLSCertificate a b c",
            "TLSCiphersSuppress NO_SUCH_CIPHER",
        ],
    )
    def test_10_each_names_its_directive(self, httpd, line):
        text = errors(httpd, f"TLSEngine {httpd.port}", line, httpd.vhost("a.test"))
        assert line.split()[0] in text and "httpd.conf" in text

    def test_11_a_host_overrides_the_server(self, httpd):
        httpd.start(
            f"TLSEngine {httpd.port}",
            "TLSProtocol TLSv1.3",
            "TLSCiphersPrefer TLS_AES_128_GCM_SHA256",
            "TLSHonorClientOrder off",
            httpd.vhost("a.test"),
            httpd.vhost("b.test", "TLSProtocol TLSv1.2", "TLSHonorClientOrder on"),
        )
        inherits, overrides = s_client(httpd, name="a.test"), s_client(httpd, name="b.test")
        assert (inherits.protocol, inherits.cipher) == ("TLSv1.3", "TLS_AES_128_GCM_SHA256")
        assert overrides.protocol == "TLSv1.2"

    @pytest.mark.parametrize("section", ["<Directory />", "<Location />", "<Files x>"])
    def test_12_not_in_a_directory(self, httpd, section):
        end = section.split()[0].replace("<", "</") + ">"
        text = errors(httpd, f"TLSEngine {httpd.port}", f"{section}\nTLSProtocol TLSv1.3\n{end}")
        assert "TLSProtocol not allowed" in text
