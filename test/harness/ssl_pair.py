# SPDX-License-Identifier: Apache-2.0
"""The same configuration, in mod_ssl's directives, with this module and with mod_ssl."""

import re

from harness.certs import key_pem


class SslPair:
    """Two httpds that share their files. `ours` runs this module, `theirs` runs mod_ssl."""

    def __init__(self, ours, theirs, authority, ports):
        self.ours, self.theirs, self.authority = ours, theirs, authority
        for server in (ours, theirs):
            server.extra_port = ports.take()
        self.root = ours.root
        self.theirs.docs = ours.docs
        # Messages of mod_ssl are not tested here.
        self.theirs.log.allow(r"\[ssl:|AH02217|AH01909|AH01906")

    def certificate(self, name, *names, kind="p256", number=0):
        """The directives for a certificate of `name`."""
        issued = self.authority.server(name, *names, kind=kind, number=number)
        cert, key = self.root / f"{name}-{kind}.crt", self.root / f"{name}-{kind}.key"
        cert.write_bytes(issued.chain_pem)
        key.write_bytes(key_pem(issued.key))
        return [f"SSLCertificateFile {cert}", f"SSLCertificateKeyFile {key}"]

    def vhost(self, name, *lines, kinds=("p256",), engine="SSLEngine on"):
        """A virtual host on the TLS port, with a certificate for each of these kinds of keys."""
        certificates = [line for kind in kinds for line in self.certificate(name, kind=kind)]
        return ["<VirtualHost *:@port@>", f"ServerName {name}", engine, *certificates, *lines, "</VirtualHost>"]

    def start(self, *lines, modules=(), **options):
        for server, record in ((self.ours, "ssl"), (self.theirs, "mod_ssl")):
            self.start_one(server, record, *lines, modules=modules, **options)

    def start_one(self, server, record, *lines, **options):
        """Starts one of the two. `@port@`, `@plain@`, `@extra@` (a third port) and `@root@` in the lines are replaced
        by its own values."""
        server.start(*(self.fill(server, line) for line in lines), records=[record], **options)

    @staticmethod
    def fill(server, line):
        line = line.replace("@port@", str(server.port)).replace("@plain@", str(server.plain_port))
        return line.replace("@extra@", str(server.extra_port)).replace("@root@", str(server.root))

    def stop(self):
        self.ours.stop()
        self.theirs.stop()

    def ask(self, question):
        """Calls `question` with each server. Returns the answers (ours, theirs), with ports and versions normalized."""
        return tuple(self.normal(server, question(server)) for server in (self.ours, self.theirs))

    def normal(self, server, answer):
        if isinstance(answer, dict):
            return {key: self.normal(server, value) for key, value in answer.items()}
        if isinstance(answer, (list, tuple)):
            return [self.normal(server, value) for value in answer]
        if not isinstance(answer, str):
            return answer
        answer = answer.replace(str(server.port), "PORT").replace(str(server.plain_port), "PLAIN")
        answer = answer.replace(str(server.root), "ROOT")
        return re.sub(r"Apache/[^ ]+ \([A-Za-z]+\)[^<\n]*", "Apache", answer)


def differences(ours, theirs, path=""):
    """The differences of two answers: by path, (ours, theirs)."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        found = {}
        for key in {**ours, **theirs}:
            found |= differences(ours.get(key), theirs.get(key), f"{path}/{key}" if path else key)
        return found
    return {} if ours == theirs else {path: (ours, theirs)}
