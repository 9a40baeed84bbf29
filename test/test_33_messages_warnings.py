# SPDX-License-Identifier: Apache-2.0
"""Warnings about settings that are accepted: certificates without effect, unusual certificates, names and modes."""

import os
import re

import pytest

from harness.certs import PEM, key_pem, new_key
from harness.client_certs import self_signed
from harness.diagnosis import diagnose, write_private


class TestPlainHosts:
    """Certificates of virtual hosts that cannot serve TLS."""

    def said(self, httpd, *lines, **options):
        taken, text = diagnose(httpd, *lines, **options)
        assert taken, text
        return [line for line in text.splitlines() if "TLSCertificate has no effect" in line or "not listen" in line]

    def test_01_no_engine_at_the_hosts_port(self, httpd):
        lines = [f"TLSEngine {httpd.port}", httpd.vhost("a.test"), httpd.vhost("b.test", port=httpd.plain_port)]
        (line,) = self.said(httpd, *lines)
        assert re.search(
            rf"httpd.conf:\d+: TLSCertificate has no effect: virtual host b.test \(.*httpd.conf:\d+\) is at port "
            rf"{httpd.plain_port}, where no TLSEngine is, so requests are answered in plain HTTP: add `TLSEngine "
            rf"{httpd.plain_port}`, or remove",
            line,
        ), line
        httpd.start()
        httpd.log.expect("TLSCertificate has no effect: virtual host b.test")

    def test_02_nor_listen(self, httpd, ports):
        port = ports.take()
        (line,) = self.said(httpd, f"TLSEngine {httpd.port}", httpd.vhost("a.test"), httpd.vhost("b.test", port=port))
        assert f"add `Listen {port}` and `TLSEngine {port}`" in line

    def test_03_no_engine_at_all(self, httpd):
        (line,) = self.said(httpd, httpd.vhost("a.test"))
        assert f"at port {httpd.port}, where no TLSEngine is" in line

    def test_04_in_the_base_server(self, httpd, authority):
        cert = authority.server("localhost").write(httpd.root, "base")
        (line,) = self.said(httpd, f"TLSCertificate {cert}")
        assert "the base server (localhost) is at" in line and str(httpd.plain_port) in line

    def test_05_another_address(self, httpd):
        lines = [f"TLSEngine 127.0.0.2:{httpd.port}", httpd.vhost("a.test", address="127.0.0.1")]
        (line,) = self.said(httpd, *lines)
        assert f"is at 127.0.0.1:{httpd.port}" in line and f"`TLSEngine 127.0.0.1:{httpd.port}`" in line

    def test_06_one_line_for_many(self, httpd, authority):
        cert = authority.server("*.many.test").write(httpd.root, "many")
        hosts = [httpd.vhost(f"h{i}.many.test", cert=cert) for i in range(100)]
        (line,) = self.said(httpd, *hosts)
        assert re.search(r"virtual host h\d+.many.test \(.*\) and 99 others are at port", line)

    def test_07_engine_without_listen(self, httpd, ports):
        port = ports.take()
        lines = [f"TLSEngine {httpd.port}", f"TLSEngine {port}", httpd.vhost("a.test")]
        (line,) = self.said(httpd, *lines)
        assert f"TLSEngine {port}: httpd does not listen there" in line and f"`Listen {port}`" in line
        (line,) = self.said(httpd, f"TLSEngine {httpd.port}", f"TLSEngine [::1]:{port}", httpd.vhost("a.test"))
        assert f"`Listen [::1]:{port}`" in line

    def test_08_what_is_legal_is_silent(self, httpd, authority, ports):
        cert = authority.server("localhost", "a.test").write(httpd.root, "base")
        inherits = httpd.vhost("a.test", cert=False)
        engine = f"TLSEngine {httpd.port}"
        both = f"*:{httpd.plain_port} *"
        for lines in [
            # Inherited, also by virtual hosts in plain HTTP.
            [engine, f"TLSCertificate {cert}", inherits, httpd.vhost("b.test", cert=False, port=httpd.plain_port)],
            [engine, f"TLSCertificate {cert}"],
            # One virtual host at two ports, at all ports, and by default.
            [engine, httpd.vhost("a.test", address=both)],
            [engine, httpd.vhost("a.test", port="*")],
            [engine, httpd.vhost("a.test", address="_default_", port="*")],
            [engine, httpd.vhost("a.test", address="_default_")],
            [f"TLSEngine 127.0.0.1:{httpd.port}", httpd.vhost("a.test")],
            [f"TLSEngine [::1]:{httpd.port}", httpd.vhost("a.test", address="[::1]")],
        ]:
            assert self.said(httpd, *lines) == [], lines

    def test_09_mod_ssls_directives(self, httpd, own_host):
        """mod_ssl does not warn about SSLEngine off, or about unused certificates."""
        own_host()
        files = ["SSLCertificateFile own.pem", "SSLCertificateKeyFile own.key"]
        for engine in (["SSLEngine off"], []):
            assert self.said(httpd, httpd.vhost("a.test", *engine, *files, cert=False), records=["ssl"]) == []
        host = httpd.vhost("a.test", "SSLEngine off")
        assert self.said(httpd, host, records=["tls", "ssl"]) == []

    def test_10_beside_mod_ssl(self, httpd):
        """The other module may serve the virtual host."""
        (line,) = self.said(httpd, httpd.vhost("a.test"), records=["tls", "mod_ssl"])
        assert "this module does not serve TLS there" in line and "plain HTTP" not in line

    def test_11_mistakes_in_such_hosts_are_errors(self, httpd, own_host):
        taken, text = diagnose(httpd, own_host(key=b"nonsense"))
        assert not taken and "own.key: no private key in this file" in text
        httpd.configure(own_host(key=b"nonsense"))
        assert httpd.run().wait(30) != 0
        httpd.log.expect("own.key: no private key in this file")
        httpd.log.allow("the configuration has errors|TLSCertificate has no effect")


class TestWarnings:
    """Unusual settings that are accepted."""

    def said(self, httpd, *lines, **options):
        taken, text = diagnose(httpd, f"TLSEngine {httpd.port}", *lines, **options)
        assert taken, text
        return [line for line in text.splitlines() if ":warn]" in line]

    def test_01_nothing(self, httpd, own_host):
        assert self.said(httpd, own_host()) == []

    def test_02_an_unrelated_certificate(self, httpd, own_host, authority):
        other = authority.server("b.test", number=1)
        (line,) = self.said(httpd, own_host(certificate=own_host.issued.cert_pem + other.chain_pem))
        says = r"own.pem: certificate 2 \(CN=b.test\) has not issued the one before it \(CN=a.test\)"
        assert re.search(rf"httpd.conf:\d+: .*{says}", line)
        chain = own_host.issued.chain_pem
        (line,) = self.said(httpd, own_host(certificate=chain + other.cert_pem))
        assert re.search(r"certificate 3 \(CN=b.test\) has not issued the one before it \(CN=Test Intermediate\)", line)
        # The root certificate is not needed, but there is no warning.
        assert self.said(httpd, own_host(certificate=chain + authority.root_pem)) == []
        httpd.start(f"TLSEngine {httpd.port}", own_host(certificate=chain + other.cert_pem))
        httpd.log.expect("has not issued the one before it")
        # A reload does not read the files again, but repeats the warning.
        before = httpd.log.text().count("has not issued")
        httpd.graceful()
        assert httpd.log.text().count("has not issued") == before + 1

    def test_03_no_alternative_name(self, httpd, own_host):
        key = new_key()
        host = own_host(certificate=self_signed("a.test", key=key).cert.public_bytes(PEM), key=key_pem(key))
        (line,) = self.said(httpd, host)
        assert "own.pem: the certificate has no subjectAltName" in line and "-addext subjectAltName=DNS:" in line

    def test_04_a_ca_as_server(self, httpd, own_host):
        says = "own.pem: the first certificate is a CA's (basicConstraints CA:TRUE)"
        key = new_key()
        lines = self.said(
            httpd, own_host(certificate=self_signed("CA", ca=True, key=key).cert.public_bytes(PEM), key=key_pem(key))
        )
        assert sum(says in line for line in lines) == 1
        # The kind of certificate that `openssl req -x509` makes for a server.
        cert = self_signed("a.test", ca=True, key=key, names=["a.test"]).cert
        assert self.said(httpd, own_host(certificate=cert.public_bytes(PEM), key=key_pem(key))) == []

    @pytest.mark.parametrize(
        "alias,names,covered",
        [
            ("*.w.test", ["a.test"], False),
            ("*.w.test", ["a.test", "www.w.test"], False),
            ("*.w.test", ["a.test", "*.w.test"], True),
            ("www?.a.test", ["a.test", "*.a.test"], True),
            ("www?.a.test", ["a.test", "www1.a.test"], True),
            ("www?.a.test", ["a.test"], False),
            ("*", ["a.test"], True),
        ],
    )
    def test_05_aliases_with_wildcards(self, httpd, authority, alias, names, covered):
        cert = authority.server(*names).write(httpd.root, "wild")
        write_private(httpd.root / "wild.key", (httpd.root / "wild.key").read_bytes())
        lines = self.said(httpd, httpd.vhost("a.test", f"ServerAlias {alias}", cert=cert))
        says = rf"httpd.conf:\d+: {re.escape(alias)} is not covered by .*wild.pem"
        assert not lines if covered else re.search(says, *lines)

    @pytest.mark.parametrize(
        "mode,says",
        [(0o600, None), (0o640, None), (0o644, "read it (mode 0644)"), (0o666, "read and replace it (mode 0666)")],
    )
    def test_06_keys_that_others_may_read(self, httpd, own_host, mode, says):
        host = own_host()
        httpd.root.joinpath("own.key").chmod(mode)
        lines = self.said(httpd, host)
        assert not lines if says is None else says in lines[0] and f"`chmod o= {httpd.root}/own.key`" in lines[0]
        lines = ["SSLEngine on", "SSLCertificateFile own.pem", "SSLCertificateKeyFile own.key"]
        lines = self.said(httpd, httpd.vhost("b.test", *lines, cert=False), records=["tls", "ssl"])
        assert (says in "".join(lines)) if says else not any("own.key" in line for line in lines)

    def test_07_a_mode_that_changes_is_seen(self, httpd, own_host):
        """The content of the file does not change."""
        host = own_host()
        httpd.root.joinpath("own.key").chmod(0o604)
        httpd.start(f"TLSEngine {httpd.port}", host)
        says = "own.key: all users of this machine can read it"
        assert httpd.log.text().count(says) == 1
        httpd.root.joinpath("own.key").chmod(0o600)
        httpd.graceful()
        assert httpd.log.text().count(says) == 1

    def test_08_seeds_and_keys_for_backends(self, httpd, own_host, authority):
        seed = httpd.root / "seed"
        seed.write_bytes(os.urandom(48))
        seed.chmod(0o644)
        (line,) = self.said(httpd, "TLSSessionTicketKeyFile seed", own_host())
        assert "TLSSessionTicketKeyFile" in line and "seed: all users of this machine can read it" in line
        machine = authority.server("machine", number=1).write(httpd.root, "machine", combined=True)
        httpd.root.joinpath("machine.pem").chmod(0o644)
        for lines in (
            ["TLSProxyEngine on", f"TLSProxyMachineCertificate {machine}"],
            ["SSLProxyEngine on", f"SSLProxyMachineCertificateFile {machine}", "SSLProxyVerify require"],
        ):
            lines = self.said(httpd, *lines, "TLSProxyCA ca.pem", own_host(), modules=["proxy"], records=["tls", "ssl"])
            assert [line for line in lines if "machine.pem: all users of this machine can read it" in line]

    def test_09_names_that_are_not_ascii(self, httpd, own_host):
        lines = self.said(httpd, own_host("ServerAlias bücher.test"))
        assert len(lines) == 1 and "ServerAlias has letters that are not ASCII" in lines[0]
        assert "write ServerAlias xn--bcher-kva.test" in lines[0]
        host = own_host().replace("ServerName a.test", "ServerName пример.test")
        (line,) = self.said(httpd, host)
        assert re.search(r"httpd.conf:\d+: ServerName has .* write ServerName xn--e1afmkfd.test", line)
        host = own_host().replace("ServerName a.test", "ServerName u\u0308.test")
        (line,) = self.said(httpd, host)
        assert "A-label" in line and "idn2" in line

    def test_10_versions_that_do_not_exist(self, httpd, own_host):
        (line,) = self.said(httpd, "TLSProtocol TLSv1.2 TLSv0x0305", own_host())
        assert re.search(r"httpd.conf:\d+: TLSProtocol: TLSv0x0305: .*newest version.*remove it", line)
        lines = ["TLSProxyEngine on", "TLSProxyProtocol TLSv1.3 TLSv0x0305+", "TLSProxyCA ca.pem"]
        (line,) = self.said(httpd, *lines, own_host(), modules=["proxy"])
        assert "TLSProxyProtocol: TLSv0x0305+: " in line

    @pytest.mark.parametrize("place", ["{}", "<Location /x>\n{}\n</Location>"], ids=["host", "location"])
    def test_11_variables_that_do_not_exist(self, httpd, own_host, place):
        host = own_host(place.format("TLSUserName SSL_CLIENT_S_DN_NC"))
        taken, text = diagnose(httpd, f"TLSEngine {httpd.port}", host)
        says = 'UserName takes the name of a variable, and none is called "SSL_CLIENT_S_DN_NC": did you mean SSL_C'
        assert not taken and f"TLS{says}" in text and re.search(r"httpd.conf:\d+: TLSUserName", text)
        # mod_ssl accepts any name.
        lines = ["SSLEngine on", "SSLCertificateFile own.pem", "SSLCertificateKeyFile own.key"]
        lines.append(place.format("SSLUserName SSL_CLIENT_S_DN_NC"))
        lines = self.said(httpd, httpd.vhost("a.test", *lines, cert=False), records=["tls", "ssl"])
        assert any(f"SSL{says}" in line for line in lines)
        for name in ("SSL_CLIENT_S_DN_CN", "SSL_CLIENT_SAN_Email_0", "SSL_CLIENT_S_DN_2.5.4.97_1_RAW"):
            assert self.said(httpd, own_host(place.format(f"TLSUserName {name}"))) == []

    def test_12_one_file_of_many_hosts(self, httpd, authority):
        cert = authority.server("*.many.test").write(httpd.root, "many")
        httpd.root.joinpath("many.key").chmod(0o644)
        assert len(self.said(httpd, *(httpd.vhost(f"h{i}.many.test", cert=cert) for i in range(20)))) == 1

    def test_13_hosts_of_mod_md(self, httpd):
        """`httpd -t` cannot know whether mod_md has a certificate for the virtual host. A start can."""
        host = f"<VirtualHost *:{httpd.port}>\nServerName a.test\nSSLEngine on\n</VirtualHost>"
        lines = ["MDomain a.test", "MDCertificateAgreement accepted", host]
        taken, text = diagnose(httpd, *lines, modules=["watchdog", "md"], records=["ssl"])
        assert taken, text
        taken, text = diagnose(httpd, host, records=["ssl"])
        assert not taken and "has SSLEngine on and no certificate" in text


class TestDefaults:
    """Arguments of httpd's former mod_tls."""

    def test_01_default(self, httpd, own_host):
        lines = [
            "TLSCiphersPrefer default",
            "TLSCiphersSuppress Default",
            "TLSProxyEngine on",
            "TLSProxyCA default",
            "TLSProxyCiphersPrefer default",
            "TLSProxyCiphersSuppress default",
            "TLSProxyProtocol default",
        ]
        taken, text = diagnose(httpd, f"TLSEngine {httpd.port}", *lines, own_host(), modules=["proxy"])
        assert taken, text
        assert "warn" not in text and "error" not in text

    def test_02_it_sets_aside_what_the_server_says(self, httpd, own_host):
        suites = "TLSCiphersSuppress TLS_AES_256_GCM_SHA384"
        for lines, has in [([], False), (["TLSCiphersSuppress default"], True)]:
            httpd.configure(f"TLSEngine {httpd.port}", suites, own_host(*lines))
            _, text = httpd.configtest("DUMP_TLS")
            host = text[text.index("Virtual host") :]
            assert ("TLS_AES_256_GCM_SHA384" in host) == has

    def test_03_not_beside_names(self, httpd, own_host):
        lines = ["TLSCiphersPrefer default TLS_AES_256_GCM_SHA384"]
        taken, text = diagnose(httpd, f"TLSEngine {httpd.port}", *lines, own_host())
        assert not taken and 'TLSCiphersPrefer unknown cipher suite "default"' in text

    @pytest.mark.parametrize("prefix", ["TLS", "TLSProxy"])
    def test_04_numbers_that_nobody_knows(self, httpd, own_host, prefix):
        engine = [f"TLSEngine {httpd.port}", "TLSProxyEngine on", "TLSProxyCA ca.pem"]
        prefer = f"{prefix}CiphersPrefer TLS_CIPHER_0xFAFA:TLS_AES_128_GCM_SHA256"
        taken, text = diagnose(httpd, *engine, prefer, own_host(), modules=["proxy"])
        assert taken and text.count(f"{prefix}CiphersPrefer: no cipher suite with the number TLS_CIPHER_0xFAFA") == 1
        assert re.search(r"httpd.conf:\d+: TLS", text)
        taken, text = diagnose(
            httpd, *engine, f"{prefix}CiphersSuppress TLS_CIPHER_0xFAFA", own_host(), modules=["proxy"]
        )
        assert taken and "FAFA" not in text
        taken, text = diagnose(httpd, *engine, f"{prefix}CiphersPrefer TLS_CIPHER_0xFAF", own_host(), modules=["proxy"])
        assert not taken and "TLS_CIPHER_0xFAF" in text and "four hexadecimal digits" in text
