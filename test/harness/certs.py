# SPDX-License-Identifier: Apache-2.0
"""Certificates and keys, made for each run of the tests."""

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

PEM = serialization.Encoding.PEM
PKCS8 = serialization.PrivateFormat.PKCS8
TRADITIONAL = serialization.PrivateFormat.TraditionalOpenSSL


def new_key(kind="p256"):
    makers = {
        "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate,
        "rsa2048": lambda: rsa.generate_private_key(65537, 2048),
        "rsa3072": lambda: rsa.generate_private_key(65537, 3072),
    }
    return makers[kind]()


def key_pem(key, form=PKCS8, password=None):
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(PEM, form, encryption)


def _general_name(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def common_name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate_builder(subject, issuer, key, begin, days, serial=None):
    """A builder for a certificate of `key`, valid from `begin` for `days` days; `subject` and `issuer` are names."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=days))
    )


def ocsp_responder(url):
    """The extension by which a certificate names its OCSP responder."""
    location = x509.UniformResourceIdentifier(url)
    return x509.AuthorityInformationAccess([x509.AccessDescription(AuthorityInformationAccessOID.OCSP, location)])


# The extension by which clients refuse a certificate without an OCSP response.
MUST_STAPLE = x509.TLSFeature([x509.TLSFeatureType.status_request])


class Issued:
    """A certificate with its key and the certificates of its issuers."""

    def __init__(self, cert, key, chain=()):
        self.cert, self.key, self.chain = cert, key, list(chain)

    @property
    def cert_pem(self):
        return self.cert.public_bytes(PEM)

    @property
    def chain_pem(self):
        return b"".join(c.public_bytes(PEM) for c in [self.cert, *self.chain])

    def write(self, directory, name, *, combined=False, form=PKCS8):
        """Writes name.pem with the chain. The key is written to name.key or, with `combined`, to the end of name.pem.
        Returns the arguments for TLSCertificate."""
        key = key_pem(self.key, form)
        cert_file = directory / f"{name}.pem"
        if combined:
            cert_file.write_bytes(self.chain_pem + key)
            return str(cert_file)
        cert_file.write_bytes(self.chain_pem)
        key_file = directory / f"{name}.key"
        key_file.write_bytes(key)
        return f"{cert_file} {key_file}"


class Authority:
    """A root CA with an intermediate CA that issues server certificates."""

    def __init__(self):
        self._keys = {}
        root_key, sub_key = new_key(), new_key()
        self.root = self._issue("Test Root", root_key, None, root_key, ca=True)
        sub = self._issue("Test Intermediate", sub_key, self.root, root_key, ca=True)
        self._issuer = Issued(sub, sub_key)

    @property
    def root_pem(self):
        return self.root.public_bytes(PEM)

    @property
    def issuer(self):
        return self._issuer

    @property
    def issuer_key(self):
        return self._issuer.key

    def key(self, kind, number=0):
        """The key of this kind and number. Tests share keys, because their generation takes long."""
        if (kind, number) not in self._keys:
            self._keys[kind, number] = new_key(kind)
        return self._keys[kind, number]

    def server(
        self, *names, kind="p256", number=0, start=-1, days=30, subject=None, self_signed=False, status=(), **signature
    ):
        """A server certificate for `names`, valid from `start` days from now for `days` days. `status` are extensions
        about its status. For a self-signed one, `signature` may have `hash` and `padding`."""
        key = self.key(kind, number)
        subject = subject or common_name(names[0])
        if self_signed:
            return Issued(self._issue(subject, key, None, key, names=names, start=start, days=days, **signature), key)
        issuer = self._issuer
        cert = self._issue(
            subject, key, issuer.cert, issuer.key, names=names, start=start, days=days, extensions=status
        )
        return Issued(cert, key, [issuer.cert])

    def ocsp_response(self, issued, begin=0, days=1):
        """An OCSP response in DER which says that a certificate is good, from `begin` days from now for `days` days."""
        this_update = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=begin)
        response = (
            ocsp.OCSPResponseBuilder()
            .add_response(
                cert=issued.cert,
                issuer=issued.chain[0],
                algorithm=hashes.SHA256(),
                cert_status=ocsp.OCSPCertStatus.GOOD,
                this_update=this_update,
                next_update=this_update + datetime.timedelta(days=days),
                revocation_time=None,
                revocation_reason=None,
            )
            .responder_id(ocsp.OCSPResponderEncoding.HASH, issued.chain[0])
            .sign(self.issuer_key, hashes.SHA256())
        )
        return response.public_bytes(serialization.Encoding.DER)

    def issue_for(self, name, key):
        """A server certificate for `name` with the caller's key."""
        issuer = self._issuer
        return Issued(self._issue(name, key, issuer.cert, issuer.key, names=[name], days=30), key, [issuer.cert])

    @staticmethod
    def _issue(
        subject,
        key,
        issuer,
        issuer_key,
        *,
        names=(),
        ca=False,
        start=-1,
        days=3650,
        extensions=(),
        hash=None,
        padding=None,
    ):
        if isinstance(subject, str):
            subject = common_name(subject)
        now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
        not_before = now + datetime.timedelta(days=start)
        builder = certificate_builder(subject, issuer.subject if issuer else subject, key, not_before, days)
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(n) for n in names]), False)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        plain = isinstance(issuer_key, ed25519.Ed25519PrivateKey)
        return builder.sign(issuer_key, None if plain else hash or hashes.SHA256(), rsa_padding=padding)
