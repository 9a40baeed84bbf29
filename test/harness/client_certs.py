# SPDX-License-Identifier: Apache-2.0
"""Client certificates: a CA for clients, its certificates and its revocation lists."""

import datetime
import subprocess

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID

from harness.certs import PEM, Issued, certificate_builder, common_name, key_pem, new_key

DAY = datetime.timedelta(days=1)
DER = serialization.Encoding.DER
CLIENT = [ExtendedKeyUsageOID.CLIENT_AUTH]
SERVER = [ExtendedKeyUsageOID.SERVER_AUTH]


def now():
    return datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)


def key_usage(*wanted):
    names = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"]
    names += ["key_cert_sign", "crl_sign", "encipher_only", "decipher_only"]
    return x509.KeyUsage(**{name: name in wanted for name in names})


class ClientCertificate(Issued):
    """A client's certificate."""

    @property
    def pem(self):
        return self.cert_pem

    def write(self, directory, name):
        """Writes name.pem (with the chain) and name.key; returns the arguments for curl."""
        cert_file, key_file = super().write(directory, name).split()
        return ["--cert", cert_file, "--key", key_file]


class ClientCa:
    """A CA for clients."""

    def __init__(self, name="People CA", parent=None, **options):
        self.key = new_key()
        subject = common_name(name)
        self.chain = []
        if parent:
            self.chain = [*parent.chain_below_root(), self._sign(subject, self.key, parent, **options)]
            self.cert = self.chain[-1]
        else:
            self.cert = self._sign(subject, self.key, None, **options)
        self.parent = parent

    def chain_below_root(self):
        return self.chain

    def _sign(self, subject, key, parent, days=3650, start=-1, path_length=None, extensions=None):
        issuer_key = parent.key if parent else key
        issuer = parent.cert.subject if parent else subject
        builder = certificate_builder(subject, issuer, key, now() + start * DAY, days)
        if extensions is None:
            extensions = [
                (x509.BasicConstraints(ca=True, path_length=path_length), True),
                (key_usage("key_cert_sign", "crl_sign"), True),
            ]
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(issuer_key, hashes.SHA256())

    @property
    def pem(self):
        return self.cert.public_bytes(PEM)

    def client(
        self, name="alice", *, key=None, usages=CLIENT, start=-1, days=30.5, serial=None, extensions=(), ca=False
    ):
        """A client's certificate. `name` is a common name or a complete name."""
        key = key or new_key()
        subject = common_name(name) if isinstance(name, str) else name
        builder = certificate_builder(subject, self.cert.subject, key, now() + start * DAY, days, serial)
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return ClientCertificate(builder.sign(self.key, self._hash()), key, reversed(self.chain))

    def _hash(self):
        return None if isinstance(self.key, ed25519.Ed25519PrivateKey) else hashes.SHA256()

    def crl(self, *revoked, key=None, days=7, start=-1, extensions=(), encoding=PEM):
        """A revocation list. `revoked` are certificates or serial numbers."""
        begin = now() + start * DAY
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.cert.subject)
            .last_update(begin)
            .next_update(begin + days * DAY)
            .add_extension(x509.CRLNumber(1), critical=False)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        for one in revoked:
            serial = one if isinstance(one, int) else one.cert.serial_number
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(begin).build()
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(key or self.key, hashes.SHA256()).public_bytes(encoding)


def self_signed(name="nobody", ca=False, key=None, names=()):
    """A self-signed client certificate. `names` are its DNS names."""
    key = key or new_key()
    builder = certificate_builder(common_name(name), common_name(name), key, now() - DAY, 31)
    builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False)
    return ClientCertificate(builder.sign(key, hashes.SHA256()), key)


def by_openssl(directory, ca, *args, name="mallory"):
    """A client's certificate made by `openssl x509 -req` with `args`. By default it has no extensions."""
    key = new_key()
    files = {part: directory / f"openssl-{name}.{part}" for part in ("key", "csr", "pem", "ca", "cakey")}
    files["key"].write_bytes(key_pem(key))
    files["ca"].write_bytes(ca.pem)
    files["cakey"].write_bytes(key_pem(ca.key))
    run = ["openssl", "req", "-new", "-key", files["key"], "-subj", f"/CN={name}", "-out", files["csr"]]
    subprocess.run(run, check=True, capture_output=True)
    run = ["openssl", "x509", "-req", "-in", files["csr"], "-CA", files["ca"], "-CAkey", files["cakey"]]
    run += ["-CAcreateserial", "-days", "30", "-out", files["pem"], *args]
    subprocess.run(run, check=True, capture_output=True)
    return ClientCertificate(x509.load_pem_x509_certificate(files["pem"].read_bytes()), key)
