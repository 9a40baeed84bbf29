# SPDX-License-Identifier: Apache-2.0
"""Secrets in the memory of processes.

Memory is compared in words of eight bytes at addresses that are multiples of eight. Fifteen bytes of a secret in a row
contain such a word wherever they are, so a part of a secret is found as well as all of it."""

import base64
import hashlib
import mmap
import os
import re
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

DER = serialization.Encoding.DER
RAW = serialization.Encoding.Raw
FORMS = (serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL)
PLAIN = serialization.NoEncryption()
WORD = 8
CHUNK = 1 << 20
NOTHING = bytes(CHUNK)
# Of the kernel. They cannot be read, or only at the risk of side effects.
NOT_SEARCHED = {"[vvar]", "[vvar_vclock]", "[vsyscall]"}
BASE64_LINE = 64


def _parts(key):
    """The secret parts of a private key by their names, as big-endian bytes."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        seed = key.private_bytes(RAW, serialization.PrivateFormat.Raw, PLAIN)
        # RFC 8032 section 5.1.5: the scalar and the prefix, which some libraries keep instead.
        digest = hashlib.sha512(seed).digest()
        scalar = bytes([digest[0] & 0xF8, *digest[1:31], digest[31] & 0x7F | 0x40])
        return {"seed": seed, "scalar": scalar, "prefix": digest[32:]}
    numbers = key.private_numbers()
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return {"d": numbers.private_value.to_bytes((key.curve.key_size + 7) // 8, "big")}
    size = key.key_size // 8
    parts = {"d": numbers.d.to_bytes(size, "big")}
    for name in ("p", "q", "dmp1", "dmq1", "iqmp"):
        parts[name] = getattr(numbers, name).to_bytes(size // 2, "big")
    return parts


def _in_base64(der, part):
    """The base64 text of `der` as far as it encodes `part` alone: in one line, and in the lines of PEM."""
    at = der.find(part)
    if at < 0:
        return
    text = base64.b64encode(der)
    first, end = -(-at * 4 // 3), (at + len(part)) * 4 // 3
    yield text[first:end]
    for start in range(0, len(text), BASE64_LINE):
        yield text[max(start, first) : min(start + BASE64_LINE, end)]


class Secrets:
    """What is looked for."""

    def __init__(self):
        self._words = {}
        # Digests of memory without any of it: libraries are the same in all processes.
        self._clean = set()

    def add(self, name, text):
        """A secret in all of its representations that have fifteen bytes in a row in common with `text`."""
        self._clean.clear()
        for at in range(len(text) - WORD + 1):
            word = text[at : at + WORD]
            # Paddings are no secret.
            if len(set(word)) > 3:
                self._words[int.from_bytes(word, "little")] = name

    def add_key(self, name, key):
        """A private key: its numbers as they are in files and as libraries compute with them, and its PEM text."""
        forms = FORMS[:1] if isinstance(key, ed25519.Ed25519PrivateKey) else FORMS
        ders = [key.private_bytes(DER, form, PLAIN) for form in forms]
        for part, text in _parts(key).items():
            label = f"{name}: {part}"
            self.add(label, text)
            self.add(label, text[::-1])
            for der in ders:
                for encoded in _in_base64(der, text):
                    self.add(f"{label} in base64", encoded)

    @property
    def names(self):
        return {name.partition(":")[0] for name in self._words.values()}

    def in_process(self, pid):
        """The names of the secrets in the memory of a process, with the mappings that they are in."""
        found = {}
        wanted = frozenset(self._words)
        for place, chunk in _memory(pid):
            digest = hashlib.blake2b(chunk, digest_size=16).digest()
            if digest in self._clean:
                continue
            words = wanted.intersection(memoryview(chunk).cast("Q"))
            if not words:
                self._clean.add(digest)
            for word in words:
                found.setdefault(self._words[word], set()).add(place)
        return found


def _memory(pid):
    """The readable memory of a process in pieces, each with the name of its mapping."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    assert lines, f"process {pid} has no memory"
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in lines:
            start, end, access, name = re.match(r"(\w+)-(\w+) (\S+) \S+ \S+ \d+ *(.*)", line).groups()
            if "r" not in access or name in NOT_SEARCHED:
                continue
            place = f"{start} {access} {name or 'anonymous'}"
            for chunk in _read(memory.fileno(), int(start, 16), int(end, 16)):
                if not NOTHING.startswith(chunk):
                    yield place, chunk


def _read(memory, start, end):
    while start < end:
        try:
            chunk = os.pread(memory, min(CHUNK, end - start), start)
        except OSError:
            # A page that lies behind the end of a file.
            start += mmap.PAGESIZE
        else:
            yield chunk
            start += len(chunk)
