# SPDX-License-Identifier: Apache-2.0
"""An OCSP responder that also serves documents, and can misbehave. The first part of the path says how."""

import base64
import contextlib
import datetime
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from harness.certs import certificate_builder, common_name, new_key

DER = serialization.Encoding.DER


class Behaviour:
    """How a response differs from a good one."""

    def __init__(self, signer="issuer", begin=0, life=86400, serial=0, nonce=True, change=None, body=None, status=200):
        self.signer, self.begin, self.life, self.serial, self.nonce = signer, begin, life, serial, nonce
        self.change, self.body, self.status = change, body, status


def unsuccessful(status):
    return ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(DER)


def forge(der):
    """Another signature."""
    signature = ocsp.load_der_ocsp_response(der).signature
    return der.replace(signature, signature[:-1] + bytes([signature[-1] ^ 1]))


STATUS = ocsp.OCSPResponseStatus
# What is wrong with a document that is sent as a whole.
BEHAVIOURS = {
    "good": Behaviour(),
    "short": Behaviour(life=4),
    "two-days": Behaviour(life=2 * 86400),
    "delegated": Behaviour(signer="delegated"),
    "stranger": Behaviour(signer="stranger"),
    "no-eku": Behaviour(signer="no-eku"),
    "expired-delegated": Behaviour(signer="expired"),
    "foreign-delegated": Behaviour(signer="foreign"),
    "other-certificate": Behaviour(serial=1),
    "stale": Behaviour(begin=-86400, life=3600),
    "future": Behaviour(begin=7200),
    "no-next-update": Behaviour(life=None),
    "no-nonce": Behaviour(nonce=False),
    "wrong-nonce": Behaviour(nonce=b"another"),
    "bad-signature": Behaviour(change=forge),
    "truncated": Behaviour(change=lambda der: der[:-40]),
    "try-later": Behaviour(body=unsuccessful(STATUS.TRY_LATER)),
    "internal-error": Behaviour(body=unsuccessful(STATUS.INTERNAL_ERROR)),
    "unauthorized": Behaviour(body=unsuccessful(STATUS.UNAUTHORIZED)),
    "malformed-request": Behaviour(body=unsuccessful(STATUS.MALFORMED_REQUEST)),
    "garbage": Behaviour(body=bytes(range(256)) * 4),
    "empty": Behaviour(body=b""),
    "html": Behaviour(body=b"<html><body>Welcome to the network of this hotel</body></html>"),
    "huge": Behaviour(body=b"0" * (1 << 20)),
    "error-500": Behaviour(body=b"error", status=500),
    "error-404": Behaviour(body=b"nothing", status=404),
}

# What is wrong: in a response, or in how the responder behaves; and what is said of it.
MISBEHAVING = {
    "stall": "no answer within",
    "stall-in-body": "no answer within",
    "drip": "no answer within",
    "close": "closed",
    "stranger": "not signed",
    "no-eku": "not signed",
    "expired-delegated": "not signed",
    "foreign-delegated": "not signed",
    "bad-signature": "not signed",
    "other-certificate": "another certificate",
    "stale": "out of date",
    "future": "not valid yet",
    "try-later": "tryLater",
    "internal-error": "internalError",
    "unauthorized": "unauthorized",
    "malformed-request": "malformedRequest",
    "garbage": "not an OCSP response",
    "empty": "not an OCSP response",
    "html": "not an OCSP response",
    "truncated": "not an OCSP response",
    "huge": "longer than",
    "error-500": "500",
    "error-404": "404",
    "loop": "more than 3 redirections",
    "to-file": "only http and https",
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer(None)

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))

    def answer(self, body):
        path = urllib.parse.urlsplit(self.path).path
        responder = self.server.responder
        if path in responder.documents:
            return self.send_document(*responder.documents[path])
        behaviour, _, encoded = path.lstrip("/").partition("/")
        if body is None and encoded:
            body = base64.b64decode(urllib.parse.unquote(encoded))
        with contextlib.suppress(OSError):
            special = getattr(self, "when_" + behaviour.replace("-", "_"), None)
            responder.note(self.command, behaviour, body)
            if special:
                special(behaviour, body)
            else:
                self.send_body(*responder.respond(BEHAVIOURS[behaviour], body))

    def send_body(self, body, status=200, kind="application/ocsp-response", **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def send_document(self, body, etag):
        known = self.headers.get("If-None-Match")
        self.server.responder.requests.append((self.command, self.path, known, None))
        if etag and known == etag:
            return self.send_body(b"", 304, ETag=etag)
        return self.send_body(body, kind="application/pkix-crl", **({"ETag": etag} if etag else {}))

    def redirect(self, location):
        self.send_body(b"", 302, Location=location)

    def when_stall(self, *_):
        self.server.responder.stopped.wait(60)
        self.close_connection = True

    def when_stall_in_body(self, *_):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"0")
        self.when_stall()

    def when_drip(self, *_):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        while not self.server.responder.stopped.wait(0.5):
            self.wfile.write(b"0")

    def when_slow(self, _, body):
        time.sleep(self.server.responder.delay)
        self.send_body(*self.server.responder.respond(BEHAVIOURS["good"], body))

    def when_close(self, *_):
        self.close_connection = True

    def when_loop(self, *_):
        self.redirect(self.path)

    def when_redirect(self, *_):
        self.redirect(self.path.replace("redirect", "good"))

    def when_to_file(self, *_):
        self.redirect("file:///etc/passwd")

    def when_post_only(self, _, body):
        if self.command == "GET":
            return self.send_body(b"", 405)
        return self.send_body(*self.server.responder.respond(BEHAVIOURS["good"], body))


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512


class Responder:
    """A responder for what `issuer` has issued, a certificate with its key."""

    def __init__(self, issuer):
        self.issuer = issuer
        self.statuses = {}
        self.documents = {}
        self.requests = []
        self.delay = 0.5
        # How far its clock is ahead, in seconds.
        self.ahead = 0
        self.port = 0
        self._signers = {"issuer": (issuer.cert, issuer.key)}
        self._server = None

    def start(self):
        self.stopped = threading.Event()
        self._server = Server(("127.0.0.1", self.port), Handler)
        self._server.responder = self
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self):
        """Connections are refused from now on."""
        if self._server:
            self.stopped.set()
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def url(self, behaviour="good"):
        return f"http://127.0.0.1:{self.port}/{behaviour}"

    def note(self, method, behaviour, body):
        request = ocsp.load_der_ocsp_request(body) if body else None
        nonce = request and any(isinstance(one.value, x509.OCSPNonce) for one in request.extensions)
        self.requests.append((method, behaviour, request and request.serial_number, bool(nonce)))

    def count(self, behaviour):
        return sum(one[1] == behaviour for one in self.requests)

    def respond(self, behaviour, body):
        if behaviour.body is not None:
            return behaviour.body, behaviour.status
        request = ocsp.load_der_ocsp_request(body)
        der = self.response(request, behaviour)
        return (behaviour.change(der) if behaviour.change else der), behaviour.status

    def response(self, request, behaviour):
        now = datetime.datetime.now(datetime.timezone.utc)
        begin = now + datetime.timedelta(seconds=behaviour.begin + self.ahead)
        life = datetime.timedelta(seconds=behaviour.life) if behaviour.life else None
        status = self.statuses.get(request.serial_number, "good")
        certificate, key = self.signer(behaviour.signer)
        builder = (
            ocsp.OCSPResponseBuilder()
            .add_response_by_hash(
                issuer_name_hash=request.issuer_name_hash,
                issuer_key_hash=request.issuer_key_hash,
                serial_number=request.serial_number + behaviour.serial,
                algorithm=request.hash_algorithm,
                cert_status=ocsp.OCSPCertStatus[status.upper()],
                this_update=begin,
                next_update=begin + life if life else None,
                revocation_time=begin if status == "revoked" else None,
                revocation_reason=None,
            )
            .responder_id(ocsp.OCSPResponderEncoding.HASH, certificate)
        )
        # OpenSSL looks for the signer there, even if it is the issuer.
        builder = builder.certificates([certificate])
        for extension in request.extensions:
            if isinstance(extension.value, x509.OCSPNonce) and behaviour.nonce:
                nonce = extension.value if behaviour.nonce is True else x509.OCSPNonce(behaviour.nonce)
                builder = builder.add_extension(nonce, critical=False)
        return builder.sign(key, hashes.SHA256()).public_bytes(DER)

    def signer(self, kind):
        """The certificate and the key that sign: the issuer's, or those of somebody else."""
        if kind not in self._signers:
            key = new_key()
            foreign = (common_name("Another CA"), new_key())
            name, issuer_key = (
                foreign if kind in ("foreign", "stranger") else (self.issuer.cert.subject, self.issuer.key)
            )
            now = datetime.datetime.now(datetime.timezone.utc)
            begin = now - datetime.timedelta(days=10 if kind == "expired" else 1)
            builder = certificate_builder(common_name("Responder"), name, key, begin, 2)
            if kind not in ("no-eku", "stranger"):
                usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])
                builder = builder.add_extension(usage, critical=False)
            self._signers[kind] = builder.sign(issuer_key, hashes.SHA256()), key
        return self._signers[kind]
