# SPDX-License-Identifier: Apache-2.0
"""A TLS endpoint in memory on libssl. It can send messages for which Python's `ssl` has no function."""

import ctypes
import ctypes.util

_ssl = ctypes.CDLL(ctypes.util.find_library("ssl"))
_crypto = ctypes.CDLL(ctypes.util.find_library("crypto"))

FILETYPE_PEM = 1
VERIFY_PEER = 1
CTRL_SET_MIN_PROTO_VERSION, CTRL_SET_MAX_PROTO_VERSION, CTRL_SET_TLSEXT_HOSTNAME = 123, 124, 55
CTRL_SET_EOF_RETURN = 130
VERSIONS = {"1.2": 0x0303, "1.3": 0x0304}
WANT_READ, ZERO_RETURN = 2, 6
MAX_RECORD = 16384


def _declare(library, name, result, *arguments):
    function = getattr(library, name)
    function.restype, function.argtypes = result, arguments
    return function


_p, _i, _l, _s = ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_char_p
_declare(_ssl, "TLS_method", _p)
_declare(_ssl, "SSL_CTX_new", _p, _p)
_declare(_ssl, "SSL_CTX_free", None, _p)
_declare(_ssl, "SSL_CTX_ctrl", _l, _p, _i, _l, _p)
_declare(_ssl, "SSL_CTX_use_certificate_chain_file", _i, _p, _s)
_declare(_ssl, "SSL_CTX_use_PrivateKey_file", _i, _p, _s, _i)
_declare(_ssl, "SSL_CTX_load_verify_locations", _i, _p, _s, _s)
_declare(_ssl, "SSL_CTX_set_verify", None, _p, _i, _p)
_declare(_ssl, "SSL_new", _p, _p)
_declare(_ssl, "SSL_free", None, _p)
_declare(_ssl, "SSL_ctrl", _l, _p, _i, _l, _p)
_declare(_ssl, "SSL_set_bio", None, _p, _p, _p)
_declare(_ssl, "SSL_set_connect_state", None, _p)
_declare(_ssl, "SSL_set_accept_state", None, _p)
_declare(_ssl, "SSL_set1_host", _i, _p, _s)
_declare(_ssl, "SSL_do_handshake", _i, _p)
_declare(_ssl, "SSL_get_error", _i, _p, _i)
_declare(_ssl, "SSL_read", _i, _p, _p, _i)
_declare(_ssl, "SSL_write", _i, _p, _s, _i)
_declare(_ssl, "SSL_shutdown", _i, _p)
_declare(_ssl, "SSL_key_update", _i, _p, _i)
_declare(_ssl, "SSL_new_session_ticket", _i, _p)
_declare(_crypto, "BIO_s_mem", _p)
_declare(_crypto, "BIO_new", _p, _p)
_declare(_crypto, "BIO_ctrl", _l, _p, _i, _l, _p)
_declare(_crypto, "BIO_read", _i, _p, _p, _i)
_declare(_crypto, "BIO_write", _i, _p, _s, _i)
_declare(_crypto, "ERR_clear_error", None)
_declare(_crypto, "ERR_get_error", ctypes.c_ulong)
_declare(_crypto, "ERR_error_string_n", None, ctypes.c_ulong, _s, ctypes.c_size_t)


class TlsError(Exception):
    """libssl rejects the received data."""


class Endpoint:
    """A client with the server name `name`, or a server with the files `certificate`. Bytes go in by `feed` and come
    out by `take`."""

    def __init__(self, version, name=None, ca_file=None, certificate=None):
        self._ctx = _ssl.SSL_CTX_new(_ssl.TLS_method())
        for control in (CTRL_SET_MIN_PROTO_VERSION, CTRL_SET_MAX_PROTO_VERSION):
            _ssl.SSL_CTX_ctrl(self._ctx, control, VERSIONS[version], None)
        if certificate:
            cert, key = (str(file).encode() for file in certificate)
            assert _ssl.SSL_CTX_use_certificate_chain_file(self._ctx, cert) == 1
            assert _ssl.SSL_CTX_use_PrivateKey_file(self._ctx, key, FILETYPE_PEM) == 1
        if ca_file:
            assert _ssl.SSL_CTX_load_verify_locations(self._ctx, str(ca_file).encode(), None) == 1
            _ssl.SSL_CTX_set_verify(self._ctx, VERIFY_PEER, None)
        self._ssl = _ssl.SSL_new(self._ctx)
        self._in, self._out = (_crypto.BIO_new(_crypto.BIO_s_mem()) for _ in range(2))
        for bio in (self._in, self._out):
            # An empty BIO may have more data later.
            _crypto.BIO_ctrl(bio, CTRL_SET_EOF_RETURN, -1, None)
        _ssl.SSL_set_bio(self._ssl, self._in, self._out)
        if certificate:
            _ssl.SSL_set_accept_state(self._ssl)
        else:
            _ssl.SSL_set_connect_state(self._ssl)
            _ssl.SSL_ctrl(self._ssl, CTRL_SET_TLSEXT_HOSTNAME, 0, ctypes.c_char_p(name.encode()))
            _ssl.SSL_set1_host(self._ssl, name.encode())
        self._buffer = ctypes.create_string_buffer(1 << 18)
        self.closed = False

    def __del__(self):
        _ssl.SSL_free(self._ssl)
        _ssl.SSL_CTX_free(self._ctx)

    def _check(self, result):
        """Whether the operation is done. Otherwise it needs more bytes."""
        if result > 0:
            return True
        error = _ssl.SSL_get_error(self._ssl, result)
        if error == ZERO_RETURN:
            self.closed = True
        elif error != WANT_READ:
            text = ctypes.create_string_buffer(256)
            _crypto.ERR_error_string_n(_crypto.ERR_get_error(), text, 256)
            raise TlsError(text.value.decode())
        return False

    def feed(self, data):
        if data:
            assert _crypto.BIO_write(self._in, data, len(data)) == len(data)

    def take(self):
        """The bytes to send."""
        taken = b""
        while (n := _crypto.BIO_read(self._out, self._buffer, len(self._buffer))) > 0:
            taken += ctypes.string_at(self._buffer, n)
        return taken

    def handshake(self):
        """Whether the handshake is complete."""
        _crypto.ERR_clear_error()
        return self._check(_ssl.SSL_do_handshake(self._ssl))

    def read(self):
        """The plaintext so far."""
        chunks = []
        _crypto.ERR_clear_error()
        while not self.closed:
            n = _ssl.SSL_read(self._ssl, self._buffer, len(self._buffer))
            if not self._check(n):
                break
            chunks.append(ctypes.string_at(self._buffer, n))
        return b"".join(chunks)

    def write(self, data):
        """Encrypts `data` into as few records as possible."""
        _crypto.ERR_clear_error()
        assert self._check(_ssl.SSL_write(self._ssl, data, len(data)))

    def key_update(self, requested):
        """Sends a KeyUpdate. With `requested` it asks for a KeyUpdate of the peer."""
        _crypto.ERR_clear_error()
        assert _ssl.SSL_key_update(self._ssl, int(requested)) == 1
        assert self.handshake()

    def ticket(self):
        """Sends another session ticket. The endpoint is a server with a complete handshake."""
        _crypto.ERR_clear_error()
        assert _ssl.SSL_new_session_ticket(self._ssl) == 1
        assert self.handshake()

    def close_notify(self):
        _crypto.ERR_clear_error()
        _ssl.SSL_shutdown(self._ssl)
