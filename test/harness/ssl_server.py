# SPDX-License-Identifier: Apache-2.0
"""httpd with this module in place of mod_ssl, configured with mod_ssl's directives."""

from harness.certs import key_pem


class SslServer:
    """An httpd that loads this module as `ssl_module`."""

    def __init__(self, httpd):
        self.httpd, self.root = httpd, httpd.root

    def certificate(self, name, kind="p256", key=None, form=None, password=None):
        issued = self.httpd.authority.server(name, kind=kind)
        cert, key_file = self.root / f"{name}-{kind}.crt", self.root / f"{name}-{kind}.key"
        cert.write_bytes(issued.chain_pem)
        options = {"form": form} if form else {}
        key_file.write_bytes(key_pem(key or issued.key, password=password, **options))
        key_file.chmod(0o600)
        return [f"SSLCertificateFile {cert}", f"SSLCertificateKeyFile {key_file}"]

    def vhost(self, name, *lines, certificate=None):
        lines = [f"ServerName {name}", "SSLEngine on", *(certificate or self.certificate(name)), *lines]
        return "\n".join([f"<VirtualHost *:{self.httpd.port}>", *lines, "</VirtualHost>"])

    def configure(self, *lines, records=("ssl",), **options):
        self.httpd.configure(*lines, records=records, **options)

    def start(self, *lines, records=("ssl",), **options):
        return self.httpd.start(*lines, records=records, **options)

    def problems(self, *lines):
        """The messages of `httpd -t` about a configuration that it refuses."""
        self.configure(*lines)
        code, output = self.httpd.configtest()
        assert code != 0, output
        return output
