# SPDX-License-Identifier: Apache-2.0
"""The three ways to serve TLS behind one interface. One test covers all of them."""

from harness.cgi import add_cgi

# This module with its own directives, this module with mod_ssl's directives, and mod_ssl.
RECORDS = ("tls", "ssl", "mod_ssl")
# Warnings of mod_ssl about the tests' certificates: they have no OCSP responder, or other names.
OF_MOD_SSL = "AH02217|AH01909|AH01906"


class Stack:
    def __init__(self, httpd, record):
        self.httpd, self.record = httpd, record
        self.prefix = "TLS" if record == "tls" else "SSL"
        self._scripts = []
        if record == "mod_ssl":
            httpd.log.allow(OF_MOD_SSL)

    @property
    def is_ours(self):
        return self.record != "mod_ssl"

    def engine(self, port=None):
        """The lines that enable TLS on `port`."""
        return [f"TLSEngine {port or self.httpd.port}"] if self.record == "tls" else []

    @property
    def switch(self):
        """The lines that a virtual host on the TLS port needs besides its certificate."""
        return [] if self.record == "tls" else ["SSLEngine on"]

    def certificate(self, *names):
        """The lines of a virtual host with a certificate for `names`."""
        file, key = self.httpd.authority.server(*names).write(self.httpd.root, names[0].replace("*", "any")).split()
        if self.record == "tls":
            return [f"TLSCertificate {file} {key}"]
        return [*self.switch, f"SSLCertificateFile {file}", f"SSLCertificateKeyFile {key}"]

    def vhost(self, name, *lines, names=(), certificate=True, **options):
        """A virtual host on the TLS port. Its certificate also covers `names`."""
        own = self.certificate(name, *names) if certificate else self.switch
        return self.httpd.vhost(name, *own, *lines, cert=False, **options)

    def variables(self):
        """The lines that put TLS variables into the environment of requests."""
        return [f"{self.prefix}Options +StdEnvVars"]

    def to_backends(self):
        """The lines for TLS to backends with certificates of the tests' CA."""
        if self.record == "tls":
            return ["TLSProxyEngine on", f"TLSProxyCA {self.httpd.ca_file}"]
        verify = ["SSLProxyVerify require", "SSLProxyVerifyDepth 2"]
        return ["SSLProxyEngine on", *verify, f"SSLProxyCACertificateFile {self.httpd.ca_file}"]

    def asking(self, ca):
        """The lines that request client certificates of this CA."""
        if self.record == "tls":
            return [f"TLSClientCA {ca}", "TLSClientCertificate optional"]
        return [f"SSLCACertificateFile {ca}", "SSLVerifyClient optional"]

    def add_scripts(self, **texts):
        """Writes these scripts to /cgi-bin/, for mod_cgid."""
        for name, text in texts.items():
            self._scripts = add_cgi(self.httpd, name, text)

    def configure(self, *lines, top=(), modules=(), **options):
        """Writes a configuration with the host a.test. `lines` are in the host, `top` is in the base server."""
        lines = [*self.engine(), *self._scripts, *top, self.vhost("a.test", *lines)]
        modules = [*modules, *(["cgid"] if self._scripts else [])]
        self.httpd.configure(*lines, records=[self.record], modules=modules, **options)

    def start(self, *lines, **options):
        self.configure(*lines, **options)
        return self.httpd.start()
