# SPDX-License-Identifier: Apache-2.0
"""Variables about client certificates, compared with mod_ssl."""

import hashlib
import ipaddress
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID, ObjectIdentifier

from harness.client_certs import ClientCa, key_usage, self_signed
from harness.clients import curl
from harness.httpd import CRYPTO, wait_for

CGI = "#!/bin/sh\necho 'Content-Type: application/octet-stream'\necho\nenv -0\n"
UID = ObjectIdentifier("0.9.2342.19200300.100.1.1")
UPN = ObjectIdentifier("1.3.6.1.4.1.311.20.2.3")
DNS_SRV = ObjectIdentifier("1.3.6.1.5.5.7.8.7")


def attribute(oid, value, kind=None):
    if kind is None:
        return x509.NameAttribute(oid, value)
    return x509.NameAttribute(oid, value, _type=kind, _validate=False)


def name(*attributes):
    """A name of attributes, each given as its OID, value and type, or as a complete RDN."""
    if any(isinstance(a, x509.RelativeDistinguishedName) for a in attributes):
        rdn = x509.RelativeDistinguishedName
        return x509.Name([a if isinstance(a, rdn) else rdn([attribute(*a)]) for a in attributes])
    return x509.Name([attribute(*a) for a in attributes])


def der_string(tag, text):
    return bytes([tag, len(text)]) + text


CN, ORG, OU = NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME

# Certificates as they occur in practice, and unusual ones.
PEOPLE = {
    "plain": lambda ca: ca.client("alice"),
    "all parts": lambda ca: ca.client(
        name(
            (NameOID.COUNTRY_NAME, "DE"),
            (NameOID.STATE_OR_PROVINCE_NAME, "Berlin"),
            (NameOID.LOCALITY_NAME, "Berlin"),
            (ORG, "One"),
            (ORG, "Two"),
            (OU, "a"),
            (OU, "b"),
            (OU, "c"),
            (CN, "alice"),
            (NameOID.TITLE, "Dr"),
            (NameOID.INITIALS, "A"),
            (NameOID.GIVEN_NAME, "Alice"),
            (NameOID.SURNAME, "Liddell"),
            (ObjectIdentifier("2.5.4.13"), "in Wonderland"),
            (UID, "alice01"),
            (NameOID.EMAIL_ADDRESS, "alice@people.test"),
            (NameOID.SERIAL_NUMBER, "12345"),
            (NameOID.DOMAIN_COMPONENT, "people"),
            (NameOID.DOMAIN_COMPONENT, "test"),
            (NameOID.STREET_ADDRESS, "Road 1"),
            (NameOID.POSTAL_CODE, "10115"),
            (NameOID.PSEUDONYM, "al"),
            (NameOID.GENERATION_QUALIFIER, "III"),
            (NameOID.DN_QUALIFIER, "q"),
            (NameOID.BUSINESS_CATEGORY, "Private"),
        )
    ),
    "UTF-8": lambda ca: ca.client(name((ORG, 'Zoë, "Söhne" + Co; <x> = \\ #'), (CN, "日本語 ☃"))),
    "BMPString": lambda ca: ca.client(name((CN, "Zoë 日本", _ASN1Type.BMPString))),
    "UniversalString": lambda ca: ca.client(name((CN, "Zoë 𝄞", _ASN1Type.UniversalString))),
    "T61String": lambda ca: ca.client(name((CN, "Zoë", _ASN1Type.T61String))),
    "IA5String": lambda ca: ca.client(name((CN, "plain", _ASN1Type.IA5String))),
    "multi-valued": lambda ca: ca.client(
        name(
            (ORG, "People"),
            x509.RelativeDistinguishedName([attribute(CN, "alice"), attribute(UID, "a1"), attribute(OU, "x")]),
        )
    ),
    "NUL": lambda ca: ca.client(name((CN, "alice\0.evil"))),
    "control": lambda ca: ca.client(name((CN, "a\nb\tc\x7fd"), (ORG, " lead and trail "))),
    "hash and space": lambda ca: ca.client(name((CN, "#1"), (ORG, " "), (OU, "end "))),
    "empty subject": lambda ca: ca.client(
        x509.Name([]), extensions=[x509.SubjectAlternativeName([x509.RFC822Name("alice@people.test")])]
    ),
    "huge serial": lambda ca: ca.client("alice", serial=(1 << 158) + 5),
    "small serial": lambda ca: ca.client("alice", serial=10),
    "high bit serial": lambda ca: ca.client("alice", serial=0xFF),
    "unknown OID": lambda ca: ca.client(name((CN, "alice"), (ObjectIdentifier("1.2.3.4.5.6"), "what"))),
    "long": lambda ca: ca.client(name(*((OU, f"unit {number} " + "x" * 40) for number in range(20)), (CN, "alice"))),
    "RSA 4096": lambda ca: ca.client("alice", key=rsa.generate_private_key(65537, 4096)),
    "RSA 2048": lambda ca: ca.client("alice", key=rsa.generate_private_key(65537, 2048)),
    "P-384": lambda ca: ca.client("alice", key=ec.generate_private_key(ec.SECP384R1())),
    "P-521": lambda ca: ca.client("alice", key=ec.generate_private_key(ec.SECP521R1())),
    "Ed25519": lambda ca: ca.client("alice", key=ed25519.Ed25519PrivateKey.generate()),
    "after 2050": lambda ca: ca.client("alice", days=20_000.5),
    "alternative names": lambda ca: ca.client(
        "alice",
        extensions=[
            x509.SubjectAlternativeName(
                [
                    x509.RFC822Name("alice@people.test"),
                    x509.RFC822Name("al@people.test"),
                    x509.DNSName("alice.people.test"),
                    x509.UniformResourceIdentifier("https://people.test/alice"),
                    x509.OtherName(UPN, der_string(0x0C, "zoë@corp.test".encode())),
                    x509.OtherName(DNS_SRV, der_string(0x16, b"_ldap.people.test")),
                    x509.OtherName(ObjectIdentifier("1.2.3.4"), der_string(0x0C, b"other")),
                    x509.DirectoryName(name((CN, "elsewhere"))),
                    x509.RegisteredID(ObjectIdentifier("1.2.3")),
                ]
            )
        ],
    ),
}

if CRYPTO == "ring":
    del PEOPLE["P-521"]

RAW = ["S_DN_CN_RAW", "S_DN_O_RAW", "S_DN_OU_1_RAW", "I_DN_CN_RAW", "S_DN_CN_0", "S_DN_OU_2", "S_DN_Email", "S_DN_x"]
LOOKUPS = [*RAW, "CERT_RFC4523_CEA", "SAN_Email_1", "SAN_DNS_0", "SAN_OTHER_msUPN_0", "SAN_OTHER_dnsSRV_0", "S_DN_SN"]


@pytest.fixture
def both(httpd, installation, ports):
    """This module and mod_ssl, each on its port, with the same rules. Returns the answers of both."""
    assert installation.has_module("ssl"), "mod_ssl is needed for the comparison: install it"
    ca = ClientCa()
    sub = ClientCa('Sub CA, or "so"', ca)
    httpd.root.joinpath("ca.pem2").write_bytes(ca.pem)
    directory = httpd.root / "cgi-bin"
    directory.mkdir()
    script = directory / "env"
    script.write_text(CGI)
    for path in (directory, script):
        path.chmod(0o755)
    other = httpd.other_port = ports.take()
    log = httpd.root / "vars_log"

    def start(*lines, options="+StdEnvVars +ExportCertData"):
        cert, key = httpd.authority.server("a.test").write(httpd.root, "a.test").split()
        shared = [
            *lines,
            f'CustomLog {log} "{"|".join(f"%{{SSL_CLIENT_{lookup}}}x" for lookup in LOOKUPS)}|end"',
        ]
        httpd.start(
            f"TLSEngine {httpd.port}",
            f"ScriptSock {httpd.root}/cgisock",
            f"ScriptAlias /cgi-bin/ {directory}/",
            f"<Directory {directory}>\nRequire all granted\nTLSOptions {options}\nSSLOptions {options}\n</Directory>",
            httpd.vhost(
                "a.test",
                f"TLSClientCA {httpd.root}/ca.pem2",
                "TLSClientVerifyDepth 3",
                "<Location />\nTLSClientCertificate optional_no_ca\n</Location>",
                *shared,
            ),
            f"Listen {other}\n<VirtualHost *:{other}>\nServerName a.test\nSSLEngine on\nSSLCertificateFile {cert}",
            f"SSLCertificateKeyFile {key}\nSSLCACertificateFile {httpd.root}/ca.pem2\nSSLVerifyClient optional_no_ca",
            "SSLVerifyDepth 3",
            *shared,
            "</VirtualHost>",
            modules=["cgid", "ssl"],
        )

        def logged(number):
            lines = log.read_bytes().split(b"|end\n")[:-1] if log.exists() else []
            return lines[number].split(b"|") if number < len(lines) else None

        def fetch(who):
            answers = []
            files = who.write(httpd.root, "who")
            for number, port in enumerate((httpd.port, other)):
                body = curl(httpd, "a.test", "/cgi-bin/env", *files, port=port).body
                pairs = (line.split(b"=", 1) for line in body.split(b"\0") if b"=" in line)
                found = {key.decode(): value for key, value in pairs if key.startswith(b"SSL_CLIENT_")}
                assert found, "no answer"
                found.update(zip(LOOKUPS, wait_for(lambda at=number: logged(at), "the log line")))
                answers.append(found)
            log.write_text("")
            return answers

        return fetch, ca, sub

    return start


# Variables that mod_ssl does not have.
OURS = {"SSL_CLIENT_CERT_SHA256", "SSL_CLIENT_SPKI_SHA256"}

# The differences and their reasons.
LATIN_1 = "mod_ssl writes Latin-1 strings as Latin-1 and other text as UTF-8; this module always writes UTF-8"
EXPECTED = {
    ("UTF-8", "S_DN_O_RAW"): LATIN_1,
    ("BMPString", "S_DN_CN_RAW"): LATIN_1,
    ("UniversalString", "S_DN_CN_RAW"): LATIN_1,
    ("T61String", "S_DN_CN_RAW"): LATIN_1,
    ("alternative names", "SSL_CLIENT_SAN_OTHER_dnsSRV_0"): "mod_ssl has it as a variable, but not in StdEnvVars",
}


@pytest.mark.parametrize("options", ["+StdEnvVars +ExportCertData", "+StdEnvVars +LegacyDNStringFormat"])
def test_01_same_as_mod_ssl(both, options):
    fetch, ca, sub = both(options=options)
    differing = {}
    for kind, make in PEOPLE.items():
        for issuer in (ca, sub):
            ours, theirs = fetch(make(issuer))
            for variable in sorted((ours.keys() | theirs.keys()) - OURS):
                if ours.get(variable) != theirs.get(variable):
                    differing[kind, variable] = (ours.get(variable), theirs.get(variable))
    unexpected = {k: v for k, v in differing.items() if k not in EXPECTED}
    assert not unexpected, "\n".join(f"{k}: {v}" for k, v in unexpected.items())
    assert differing.keys() == EXPECTED.keys(), "an expected difference does not exist any more"


def test_02_digests(both):
    """Digests of the certificate and of its key. mod_ssl does not have them."""
    fetch, ca, _ = both()
    alice = ca.client("alice")
    ours, _ = fetch(alice)
    der = alice.cert.public_bytes(Encoding.DER)
    spki = alice.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert ours["SSL_CLIENT_CERT_SHA256"].decode() == hashlib.sha256(der).hexdigest()
    assert ours["SSL_CLIENT_SPKI_SHA256"].decode() == hashlib.sha256(spki).hexdigest()


EXTENSIONS = {
    "basicConstraints": "CA:FALSE",
    "keyUsage": "Digital Signature, Key Agreement",
    "extendedKeyUsage": "TLS Web Client Authentication",
    "X509v3 Extended Key Usage": "TLS Web Client Authentication",
    "2.5.29.14": ":".join(["AB"] * 20),
    "subjectAltName": "DNS:a.test, email:alice@people.test, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1, "
    "URI:https://people.test/, DirName:/CN=elsewhere, Registered ID:1.2.3, othername: UPN::zoë@corp.test",
    "1.2.3.4.5": "a string",
}


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_03_extensions(both, httpd, extension):
    """PeerExtList, with OpenSSL's names and texts: both modules accept and refuse with the same rules."""
    value = EXTENSIONS[extension]
    rules = [(f"/{name}", f"'{text}' in PeerExtList('{extension}')") for name, text in (("yes", value), ("no", "x"))]
    fetch, ca, _ = both(*(f'<Location {path}>\nRequire expr "{rule}"\n</Location>' for path, rule in rules))
    alternative = [
        x509.DNSName("a.test"),
        x509.RFC822Name("alice@people.test"),
        x509.IPAddress(ipaddress.ip_address("192.0.2.1")),
        x509.IPAddress(ipaddress.ip_address("2001:db8::1")),
        x509.UniformResourceIdentifier("https://people.test/"),
        x509.DirectoryName(name((CN, "elsewhere"))),
        x509.RegisteredID(ObjectIdentifier("1.2.3")),
        x509.OtherName(UPN, der_string(0x0C, "zoë@corp.test".encode())),
    ]
    extensions = [
        key_usage("digital_signature", "key_agreement"),
        x509.SubjectKeyIdentifier(b"\xab" * 20),
        x509.SubjectAlternativeName(alternative),
        x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4.5"), der_string(0x0C, b"a string")),
    ]
    who = ca.client("alice", extensions=extensions).write(httpd.root, "ext")
    other = httpd.other_port
    httpd.log.expect("AH01630")
    for port in (httpd.port, other):
        assert curl(httpd, "a.test", "/yes", *who, port=port).code == 404, port
        assert curl(httpd, "a.test", "/no", *who, port=port).code == 403, port


class TestUsers:
    """User names from certificates."""

    @pytest.fixture
    def serve(self, httpd):
        ca = ClientCa()
        httpd.root.joinpath("people.pem").write_bytes(ca.pem)

        def start(*lines, mode="optional", modules=()):
            host = httpd.vhost(
                "a.test",
                "TLSClientCA people.pem",
                f"TLSClientCertificate {mode}",
                f'CustomLog {httpd.root}/user_log "%u"',
                'Header always set X-User "expr=%{REMOTE_USER}"',
                *lines,
            )
            httpd.start(f"TLSEngine {httpd.port}", host, modules=modules)

            def fetch(who, *args):
                return curl(httpd, "a.test", "/index.html", *(who.write(httpd.root, "who") if who else []), *args)

            return fetch, ca

        return start

    def logged(self, httpd, count):
        log = httpd.root / "user_log"
        wait_for(lambda: log.exists() and log.read_text().count("\n") == count, "the log")
        return log.read_text().splitlines()[-1]

    def test_01_user_name(self, serve, httpd):
        fetch, ca = serve("TLSUserName SSL_CLIENT_S_DN_CN")
        assert fetch(ca.client("alice")).headers["x-user"] == "alice"
        assert self.logged(httpd, 1) == "alice"
        assert fetch(None).headers["x-user"] == ""
        assert self.logged(httpd, 2) == "-"

    def test_02_in_a_location(self, serve, httpd):
        fetch, ca = serve("<Location /index.html>\nTLSUserName SSL_CLIENT_SAN_Email_0\n</Location>")
        mail = x509.SubjectAlternativeName([x509.RFC822Name("alice@people.test")])
        assert fetch(ca.client("alice", extensions=[mail])).headers["x-user"] == "alice@people.test"
        assert fetch(ca.client("bob")).headers["x-user"] == ""
        assert "no user: SSL_CLIENT_SAN_Email_0 is not in the client's certificate" in httpd.log.text()

    def test_03_nobody_vouches(self, serve):
        """The name of a self-signed certificate is not used."""
        fetch, _ = serve("TLSUserName SSL_CLIENT_S_DN_CN", mode="optional_no_ca")
        assert fetch(self_signed("alice")).headers["x-user"] == ""

    def test_04_fake_basic_auth(self, serve, httpd):
        passwords = httpd.root / "passwords"
        run = ["htpasswd", "-bc", passwords, "/O=People/CN=alice", "password"]
        subprocess.run(run, check=True, capture_output=True)
        passwords.chmod(0o644)
        fetch, ca = serve(
            "<Location /index.html>\nTLSOptions +FakeBasicAuth\nAuthType Basic\nAuthName x\n"
            f"AuthUserFile {passwords}\nRequire valid-user\n</Location>",
            mode="optional_no_ca",
            modules=["auth_basic", "authn_core", "authn_file", "authz_user"],
        )
        subject = name((ORG, "People"), (CN, "alice"))
        assert fetch(ca.client(subject)).headers["x-user"] == "/O=People/CN=alice"
        httpd.log.expect(r"user /CN=bob not found|AH01618")
        assert fetch(ca.client("bob")).code == 401
        assert fetch(None).code == 401
        # One certificate is not verified, and the other request has the known password.
        stranger = ClientCa("Other CA").client(subject)
        assert fetch(stranger).code == 401
        httpd.log.expect("tries to log in with the subject of a certificate")
        assert fetch(None, "-u", "/O=People/CN=alice:password").code == 403

    def test_05_require(self, serve, httpd):
        fetch, ca = serve("<Location />\nRequire ssl-verify-client\n</Location>", mode="optional_no_ca")
        assert fetch(ca.client("alice")).code == 200
        httpd.log.expect("AH01630")
        assert fetch(self_signed("eve")).code == 403
        assert fetch(None).code == 403

    def test_06_require_expr(self, serve, httpd):
        rule = "%{SSL_CLIENT_S_DN_CN} == 'alice' && %{SSL_CLIENT_VERIFY} == 'SUCCESS'"
        fetch, ca = serve(f'<Location />\nRequire expr "{rule}"\n</Location>')
        assert fetch(ca.client("alice")).code == 200
        httpd.log.expect("AH01630")
        assert fetch(ca.client("bob")).code == 403
