# SPDX-License-Identifier: Apache-2.0
"""Malformed and unusual records. Python's ssl does the handshake, then the test sends records of any content under the
same keys."""

import contextlib
import hmac
import ssl
import struct
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from harness.clients import MemoryClient, context, raw_connection, records

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA = 20, 21, 22, 23
WARNING, FATAL = 1, 2
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def record(kind, payload, version=0x0303):
    return struct.pack("!BHH", kind, version, len(payload)) + payload


def handshake_message(kind, body):
    return struct.pack("!BBH", kind, len(body) >> 16, len(body) & 0xFFFF) + body


@dataclass
class Suite:
    """AES-GCM with the hash of a suite."""

    key_size: int
    hash: hashes.HashAlgorithm

    @classmethod
    def of(cls, name):
        assert "AES" in name and "GCM" in name, name
        return cls(32, hashes.SHA384()) if "SHA384" in name else cls(16, hashes.SHA256())

    def expand_label(self, secret, label, length):
        """HKDF-Expand-Label (RFC 8446 section 7.1) without a context."""
        info = struct.pack("!HB", length, 6 + len(label)) + b"tls13 " + label + b"\0"
        return HKDFExpand(self.hash, length, info).derive(secret)

    def prf(self, secret, seed, length):
        """The pseudorandom function of TLS 1.2 (RFC 5246 section 5)."""
        output, a = b"", seed
        while len(output) < length:
            a = hmac.digest(secret, a, self.hash.name)
            output += hmac.digest(secret, a + seed, self.hash.name)
        return output[:length]


class Keys13:
    """Encrypts records with a traffic secret of TLS 1.3 (RFC 8446 section 5.2)."""

    def __init__(self, suite, secret):
        self._aead = AESGCM(suite.expand_label(secret, b"key", suite.key_size))
        self._iv = suite.expand_label(secret, b"iv", 12)
        self._number = 0

    def seal(self, kind, payload):
        return self.seal_inner(payload + bytes([kind]))

    def seal_inner(self, inner):
        nonce = bytes(a ^ b for a, b in zip(self._iv, self._number.to_bytes(12, "big"), strict=True))
        self._number += 1
        header = struct.pack("!BHH", APPLICATION_DATA, 0x0303, len(inner) + 16)
        return header + self._aead.encrypt(nonce, inner, header)


class Keys12:
    """Encrypts a client's records with the master secret of TLS 1.2 (RFC 5288), after its Finished."""

    def __init__(self, suite, master, client_random, server_random):
        block = suite.prf(master, b"key expansion" + server_random + client_random, 2 * suite.key_size + 8)
        self._aead = AESGCM(block[: suite.key_size])
        self._salt = block[2 * suite.key_size :][:4]
        self._number = 1

    def seal(self, kind, payload):
        number = self._number.to_bytes(8, "big")
        self._number += 1
        data = number + struct.pack("!BHH", kind, 0x0303, len(payload))
        return record(kind, number + self._aead.encrypt(self._salt + number, payload, data))


class Rogue:
    """A client that does the handshake step by step, and knows the keys."""

    def __init__(self, httpd, host, version, alpn=None, ciphers=None, port=None):
        self._key_log = httpd.root / "client_keys"
        ctx = context(httpd, VERSIONS[version], alpn)
        ctx.keylog_filename = str(self._key_log)
        ctx.set_ciphers(ciphers or "ECDHE+AESGCM")
        self._version, self._server_random = version, b""
        self.client = MemoryClient(httpd, host, ctx)
        self.sock = raw_connection(httpd, port)

    def begin(self):
        """Sends a ClientHello and reads the answer. Returns the client's next flight."""
        self.sock.sendall(self.client.hello())
        while True:
            data = self.sock.recv(65536)
            assert data, "the server has ended the handshake"
            self._note(data)
            self.client.incoming.write(data)
            with contextlib.suppress(ssl.SSLWantReadError):
                self.client.tls.do_handshake()
            if flight := self.client.outgoing.read():
                return flight

    def _note(self, data):
        for kind, payload in records(data):
            if kind == HANDSHAKE and payload[0] == 2 and not self._server_random:
                self._server_random = payload[6:38]

    def complete(self):
        """Completes the handshake. Returns the client's write keys."""
        flight = self.begin()
        while True:
            self.sock.sendall(flight)
            with contextlib.suppress(ssl.SSLWantReadError):
                self.client.tls.do_handshake()
                return self.keys()
            self.client.incoming.write(self.sock.recv(65536))
            flight = b""

    def keys(self, secret="CLIENT_TRAFFIC_SECRET_0"):
        """The keys of `secret`, which is used with TLS 1.3 only."""
        suite = Suite.of(self.client.tls.cipher()[0])
        lines = [line.split() for line in self._key_log.read_text().splitlines()]
        label = secret if self._version == "1.3" else "CLIENT_RANDOM"
        client_random, value = [line[1:] for line in lines if line[0] == label][-1]
        if self._version == "1.3":
            return Keys13(suite, bytes.fromhex(value))
        return Keys12(suite, bytes.fromhex(value), bytes.fromhex(client_random), self._server_random)

    def last_alert(self):
        """Reads to the end. Returns how the server ended the connection, by OpenSSL's name: an alert, close_notify or
        None. A reset is an error."""
        with self.sock:
            while data := self.sock.recv(65536):
                self.client.incoming.write(data)
        self.client.incoming.write_eof()
        try:
            self.client.tls.do_handshake()
            while self.client.tls.read(65536):
                pass
        except ssl.SSLEOFError:
            return None
        except ssl.SSLError as error:
            return error.reason
        return "close_notify"
