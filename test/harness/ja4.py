# SPDX-License-Identifier: Apache-2.0
"""JA4 of a ClientHello, by FoxIO's specification: a second implementation, to compare with."""

import hashlib
import struct


def _vector(data, at, size):
    """The vector with a length of `size` bytes at `at`, and the place behind it."""
    start = at + size
    end = start + int.from_bytes(data[at:start], "big")
    return data[start:end], end


def _numbers(data):
    values = struct.unpack(f"!{len(data) // 2}H", data)
    return [value for value in values if value & 0x0F0F != 0x0A0A]


def ja4(record):
    """The fingerprint of the ClientHello in one record."""
    hello = record[5 + 4 :]
    _, at = _vector(hello, 34, 1)
    suites, at = _vector(hello, at, 2)
    _, at = _vector(hello, at, 1)
    rest, _ = _vector(hello, at, 2)
    found, at = {}, 0
    while at < len(rest):
        kind = int.from_bytes(rest[at : at + 2], "big")
        found[kind], at = _vector(rest, at + 2, 2)
    versions = _numbers(found[43][1:]) if 43 in found else [int.from_bytes(hello[:2], "big")]
    kinds = _numbers(struct.pack(f"!{len(found)}H", *found))
    protocol = _vector(found[16], 2, 1)[0].decode() if 16 in found else "00"
    suites = sorted(f"{value:04x}" for value in _numbers(suites))
    schemes = ",".join(f"{value:04x}" for value in _numbers(found[13][2:]))
    listed = ",".join(sorted(f"{kind:04x}" for kind in kinds if kind not in (0, 16)))
    start = f"t1{max(versions) - 0x0301}{'d' if 0 in found else 'i'}{len(suites):02}{len(kinds):02}"
    digests = (hashlib.sha256(text.encode()).hexdigest()[:12] for text in (",".join(suites), f"{listed}_{schemes}"))
    return "_".join([start + protocol[0] + protocol[-1], *digests])
