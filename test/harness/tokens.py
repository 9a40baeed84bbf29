# SPDX-License-Identifier: Apache-2.0
"""Tokens of SoftHSM with the keys and certificates of a test server."""

import subprocess
from pathlib import Path
from urllib.parse import quote

from cryptography.hazmat.primitives.serialization import Encoding

from harness.certs import key_pem

# A module in front of SoftHSM's whose C_Sign does not return while a file exists.
HANGING_MODULE = r"""
#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long (*sign_function)(unsigned long, void *, unsigned long, void *, unsigned long *);
enum { FUNCTIONS = 68, C_SIGN = 43 };
static struct { unsigned char version[2]; void *functions[FUNCTIONS]; } ours;
static sign_function their_sign;

static unsigned long sign(unsigned long session, void *data, unsigned long len, void *out, unsigned long *out_len)
{
    while (access(HANGS_WHILE, F_OK) == 0) {
        usleep(10000);
    }
    return their_sign(session, data, len, out, out_len);
}

unsigned long C_GetFunctionList(void **list)
{
    void *theirs;
    unsigned long (*get)(void **) = dlsym(dlopen(MODULE, RTLD_NOW), "C_GetFunctionList");
    unsigned long result = get(&theirs);
    memcpy(&ours, theirs, sizeof(ours));
    their_sign = (sign_function)ours.functions[C_SIGN];
    ours.functions[C_SIGN] = sign;
    *list = &ours;
    return result;
}
"""
PIN = "1234"
SO_PIN = "567890"
MODULES = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
]


def find_module():
    """The file of SoftHSM's module; None if it is not installed."""
    return next((path for path in MODULES if Path(path).exists()), None)


def run(*command, environment):
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    return done.stdout


class SoftHsm:
    """Tokens in a directory of their own. An httpd that is given sees them, from its start on."""

    def __init__(self, httpd):
        self.root = httpd.root / "softhsm"
        self.tokens = self.root / "tokens"
        self.tokens.mkdir(parents=True)
        conf = self.root / "softhsm2.conf"
        conf.write_text(f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
        httpd.environment["SOFTHSM2_CONF"] = str(conf)
        self.environment = httpd.environment
        self.module = find_module()
        self.pin = PIN
        self.pin_file = self.root / "pin"
        self.write_pin(PIN)

    def write_pin(self, pin):
        """Writes the file that `pin-source` names."""
        self.pin_file.write_text(f"{pin}\n")
        self.pin_file.chmod(0o600)

    def create(self, token="web"):
        """Makes a token."""
        args = ["--label", token, "--pin", PIN, "--so-pin", SO_PIN]
        run("softhsm2-util", "--init-token", "--free", *args, environment=self.environment)
        return self

    def tool(self, *args, token="web"):
        """Runs pkcs11-tool, logged in to a token."""
        login = ["--module", self.module, "--token-label", token, "--login", "--pin", self.pin]
        return run("pkcs11-tool", *login, *args, environment=self.environment)

    def put(self, issued, label="www", number="01", token="web"):
        """Puts a key and its certificates into a token. The file that had the key is removed."""
        file = self.root / "import.pem"
        file.write_bytes(key_pem(issued.key))
        args = ["--token", token, "--label", label, "--id", number, "--pin", self.pin]
        run("softhsm2-util", "--import", file, *args, environment=self.environment)
        file.unlink()
        for position, certificate in enumerate([issued.cert, *issued.chain]):
            file.write_bytes(certificate.public_bytes(Encoding.DER))
            names = ["--label", label, "--id", number] if position == 0 else ["--label", f"{label}-ca-{position}"]
            self.tool("--write-object", str(file), "--type", "cert", *names, token=token)
            file.unlink()

    def change_pin(self, new, token="web"):
        self.tool("--change-pin", "--new-pin", new, token=token)
        self.pin = new

    def uri(self, *query, label="www", token="web"):
        """The URI of an object, without a PIN unless `query` has one."""
        query = [f"module-path={self.module}", *query]
        return f"pkcs11:token={quote(token)};object={quote(label)}?{'&'.join(query)}"

    def uri_with_pin(self, **names):
        return self.uri(f"pin-source=file:{self.pin_file}", **names)

    def may_hang(self):
        """From now on, URIs name a module whose signatures do not return while the file exists that is returned."""
        file, source, module = (self.root / name for name in ("hangs", "hanging.c", "hanging.so"))
        source.write_text(HANGING_MODULE)
        macros = [f'-DMODULE="{self.module}"', f'-DHANGS_WHILE="{file}"']
        run("cc", "-shared", "-fPIC", *macros, "-o", module, source, environment=self.environment)
        self.module = module
        return file

    def remove(self):
        """Takes all tokens away."""
        self.tokens.rename(self.root / "away")
        self.tokens.mkdir()

    def put_back(self):
        self.tokens.rmdir()
        (self.root / "away").rename(self.tokens)
