# SPDX-License-Identifier: Apache-2.0
"""Where secrets of connections are in the memory of a process."""

import hashlib
import hmac
import mmap
import re
import struct
from pathlib import Path

PAGE = mmap.PAGESIZE
MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)")
# The kernel's, which no core dump has.
KERNEL = ("[vvar]", "[vvar_vclock]", "[vsyscall]")


def expand(secret, info, length):
    """HKDF-Expand (RFC 5869) for one block, with the hash function that the length of the secret says."""
    algorithm = hashlib.sha384 if len(secret) == 48 else hashlib.sha256
    return hmac.new(secret, info + b"\1", algorithm).digest()[:length]


def expand_label(secret, label, length):
    """HKDF-Expand-Label (RFC 8446, 7.1) without a context."""
    label = b"tls13 " + label
    return expand(secret, struct.pack("!HB", length, len(label)) + label + b"\0", length)


def secrets_of(key_log):
    """The secrets in a key log (RFC 9850) by their names, with the keys for AES-GCM that are derived from them."""
    found = {}
    for line in Path(key_log).read_text().splitlines():
        if line.startswith("#"):
            continue
        label, _, secret = line.split()
        found[label] = bytes.fromhex(secret)
        if "TRAFFIC_SECRET" in label:
            # SHA-384 comes with AES-256, SHA-256 with AES-128.
            found[f"key of {label}"] = expand_label(found[label], b"key", 32 if len(found[label]) == 48 else 16)
    return found


def _mappings(pid):
    """Start, end, whether a core dump has it, and the name of each readable mapping."""
    mapping = None
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if found := MAPPING.match(line):
            mapping = found
        elif line.startswith("VmFlags:") and "r" in mapping[3] and mapping[4] not in KERNEL:
            flags = line.split()[1:]
            yield int(mapping[1], 16), int(mapping[2], 16), "dd" not in flags, mapping[4] or "memory without a name"


def _content(memory, pagemap, start, end):
    """The pages of a mapping that exist. A gap is one byte."""
    pagemap.seek(start // PAGE * 8)
    entries = memoryview(pagemap.read((end - start) // PAGE * 8)).cast("Q")
    pieces = []
    for number, entry in enumerate(entries):
        if entry >> 62:
            memory.seek(start + number * PAGE)
            pieces.append(memory.read(PAGE))
        elif not pieces or len(pieces[-1]) == PAGE:
            pieces.append(b"\0")
    return b"".join(pieces)


def search(pid, secrets):
    """The names of the secrets in mappings that a core dump has, each with the name of the mapping, and the names of
    those in mappings that it does not have."""
    dumped, excluded = set(), set()
    with open(f"/proc/{pid}/mem", "rb", 0) as memory, open(f"/proc/{pid}/pagemap", "rb", 0) as pagemap:
        for start, end, is_dumped, mapping in _mappings(pid):
            content = _content(memory, pagemap, start, end)
            for name, secret in secrets.items():
                if secret in content:
                    dumped.add((name, mapping)) if is_dumped else excluded.add(name)
    return dumped, excluded
