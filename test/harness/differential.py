# SPDX-License-Identifier: Apache-2.0
"""The same requests to httpd with mod_ssl and to httpd with this module. `EXPECTED` has every difference."""

import re
import subprocess

import pytest

from harness.client_certs import ClientCa, self_signed
from harness.clients import curl
from harness.httpd import CRYPTO
from harness.ssl_pair import differences

NEEDS_SUITES_OF_OPENSSL = pytest.mark.skipif(
    CRYPTO == "fips", reason="validated cryptography has other suites and groups than OpenSSL's default"
)

# The expected differences: a pattern for the place, the reason, and a predicate on both values: this module's and
# mod_ssl's.
EXPECTED = [
    ("SSL_VERSION_LIBRARY", "it names the TLS library", lambda o, t: "rustls" in o and "OpenSSL" in t),
    (
        "SSL_SESSION_ID",
        "session identifiers are random; TLS 1.3 has none",
        lambda o, t: len(o or "") in (0, 64),
    ),
    ("SSL_(KEX|CLIENT_CERT_SHA256|CLIENT_SPKI_SHA256)", "mod_ssl does not have it", lambda o, t: o and not t),
    ("SSL_SERVER_V_REMAIN", "mod_ssl has it for clients only", lambda o, t: o and not t),
    (
        "hosts/.*/nobody/exit",
        "rustls sends certificate_required in TLS 1.2, too; OpenSSL sends handshake_failure",
        lambda o, t: (o, t) == (98, 35),
    ),
    ("hosts/(depth-zero|unhashed)/expired/exit", "OpenSSL checks the path first", lambda o, t: (o, t) == (60, 35)),
    (
        "(hosts/.*|locations/generous/.*)/x-verify",
        "in TLS 1.3 mod_ssl does not set GENEROUS",
        lambda o, t: o == "GENEROUS" and "FAILED" in t,
    ),
    (
        "locations/.*/(nobody|alice|deep|stranger)/(exit|code|x-verify)",
        "mod_ssl renegotiates, and closes the connection on refusal; this module answers 403",
        lambda o, t: (o, t) in ((0, 56), (403, 0)) or t is None,
    ),
    (
        "locations/.*/(alice|deep|stranger)/x-verify",
        "the handshake has requested a certificate, because a location of the host needs one",
        lambda o, t: o != "NONE" and t == "NONE",
    ),
    (
        "locations/aes128/.*/(code|text)",
        "mod_ssl renegotiates if the suite is not in the list; this module answers 403",
        lambda o, t: (o, t) in ((403, 200), ("", "aes128")),
    ),
    (
        "locations/strict/.*/(code|text)",
        "mod_ssl ignores StrictRequire if `Satisfy any` needs no authentication",
        lambda o, t: (o, t) in ((403, 200), ("", "strict")),
    ),
    (
        "locations/.*/post/(code|text)",
        "mod_ssl has to buffer the body while it renegotiates",
        lambda o, t: (o, t) == (200, 413) or o and not t,
    ),
    (
        "failures/http(10)?",
        "the order of the headers differs",
        lambda o, t: o[:24] == t[:24] == "HTTP/1.1 400 Bad Request",
    ),
    ("failures/(junk|ssh)", "this module sends an alert", lambda o, t: o and not t),
    (
        "versions/(min|max|p384)/.*",
        "with mod_ssl these commands apply only to the first host of an address",
        lambda o, t: o != t,
    ),
    ("(backends|sections)/.*/code", "mod_ssl's 500 is not correct (RFC 9110)", lambda o, t: (o, t) == ("502", "500")),
    (
        "htaccess/nonsense/.*/(code|text)",
        "mod_ssl does not read the list unless it renegotiates",
        lambda o, t: (o, t) in ((500, 200), ("", "nonsense")),
    ),
    (
        "stapling/stranger/status",
        "mod_ssl does not verify the signature of what it staples",
        lambda o, t: (o, t) == (None, "good"),
    ),
]

V12, V13 = ["--tls-max", "1.2"], ["--tlsv1.3"]


def compare(pair, scene, **questions):
    """Asks both servers. Fails for every difference that is not expected."""
    ours, theirs = {}, {}
    for name, question in questions.items():
        ours[name], theirs[name] = pair.ask(question)
    found = differences(ours, theirs)
    surprising = {}
    for path, values in found.items():
        path = f"{scene}/{path}"
        if not any(re.search(f"{place}$", path, re.IGNORECASE) and holds(*values) for place, _, holds in EXPECTED):
            surprising[path] = values
    assert not surprising, "\n".join(f"{path}: ours {v[0]!r}, mod_ssl's {v[1]!r}" for path, v in surprising.items())
    return ours


def answer(host, path="/", *args, headers=()):
    def ask(server):
        response = curl(server, host, path, *args)
        return {
            "exit": response.exit,
            "code": response.code,
            **{name: response.headers.get(name) for name in headers},
            "text": response.text if response.code == 200 else "",
        }

    return ask


def hashed(directory, files):
    """A directory of certificates with the hashed links that OpenSSL needs."""
    directory.mkdir()
    for name, content in files.items():
        (directory / name).write_bytes(content)
    subprocess.run(["openssl", "rehash", directory], check=True, capture_output=True)
    return directory


class ClientCertificateSet:
    """Client certificates of several kinds, as arguments for curl."""

    def __init__(self, root):
        self.ca = ClientCa()
        self.sub = ClientCa("Sub CA", parent=self.ca)
        self.file = root / "people.pem"
        self.file.write_bytes(self.ca.pem)
        self.unhashed = root / "unhashed.d"
        self.unhashed.mkdir()
        (self.unhashed / "ca.pem").write_bytes(self.ca.pem)
        revoked = self.ca.client("mallory")
        self.crl = root / "people.crl"
        self.crl.write_bytes(self.ca.crl(revoked))
        self.directory = hashed(root / "people.d", {"ca.pem": self.ca.pem, "ca.crl.pem": self.ca.crl(revoked)})
        issued = {
            "alice": self.ca.client("alice"),
            "deep": self.sub.client("deep"),
            "expired": self.ca.client("expired", start=-30, days=10),
            "revoked": revoked,
            "stranger": ClientCa("Other CA").client("stranger"),
            "self_signed": self_signed(),
        }
        self.all = {name: certificate.write(root, name) for name, certificate in issued.items()} | {"nobody": []}
