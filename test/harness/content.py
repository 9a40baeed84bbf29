# SPDX-License-Identifier: Apache-2.0
"""Bodies that are sent, received and compared."""

import hashlib

from harness.clients import connect, curl, request


def digest(data):
    return hashlib.sha256(data).hexdigest()


def file_digest(path):
    """The digest of a file that is too large for memory."""
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def post(stack, path, data, *args):
    """Posts `data` by curl. Returns the response."""
    body = stack.httpd.root / "posted"
    body.write_bytes(data)
    return curl(stack.httpd, "a.test", path, "-H", "Expect:", "--data-binary", f"@{body}", *args)


class PartialResponse:
    """A response whose first half is read before the second half is sent."""

    def __init__(self, stack, path, headers=""):
        self.tls = connect(stack.httpd, "a.test")
        self.tls.sendall(request("a.test", path, headers=headers))

    def read_until(self, text, decode=bytes):
        """Reads until `text` is received; times out otherwise. `decode` is called with the bytes so far."""
        received = b""
        while text.encode() not in decode(received):
            data = self.tls.recv(65536)
            assert data, received
            received += data
        return received
