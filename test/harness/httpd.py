# SPDX-License-Identifier: Apache-2.0
"""A real httpd with its own configuration."""

import contextlib
import os
import pwd
import signal
import socket
import subprocess
import time
from pathlib import Path

from harness.log import ErrorLog

MODULES = [
    "authz_core",
    "authz_host",
    "dir",
    "alias",
    "headers",
    "rewrite",
    "setenvif",
    "env",
    "log_config",
    "status",
    "socache_shmcb",
    "http2",
]
TIMEOUT = 30
# httpd stops a child that is starting from a signal handler, and the child may crash. Short tests would see that. So no
# child is started after the first one serves, and stop() waits until the children are idle.
ONE_CHILD = """StartServers 1
<IfModule mpm_prefork_module>
    MinSpareServers 1
</IfModule>
<IfModule !mpm_prefork_module>
    MinSpareThreads 1
</IfModule>"""


def wait_for(condition, what, timeout=TIMEOUT):
    """Polls `condition` until its result is true. Returns the result."""
    end = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < end, f"timed out waiting for {what}"
        time.sleep(0.02)


def resident(pid):
    """The resident memory of a process, in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


# The cryptography of the tested build: aws-lc, ring or fips.
CRYPTO = os.environ.get("TLS_CRYPTO", "aws-lc")
HAS_POST_QUANTUM = CRYPTO != "ring"
# The group that OpenSSL 3.0's clients negotiate. Their first choice is not approved by FIPS 140-3.
CLASSIC_GROUP = "secp256r1" if CRYPTO == "fips" else "X25519"


class Installation:
    """The httpd that belongs to apxs, and the tested module."""

    def __init__(self):
        self._apxs = os.environ.get("TLS_APXS", "apxs2")
        self.libexec = Path(self.query("LIBEXECDIR"))
        self.program = Path(self.query("SBINDIR")) / self.query("PROGNAME")
        build = Path(__file__).resolve().parents[2] / "build"
        self.module = Path(os.environ.get("TLS_MODULE", build / "module/mod_tls.so"))
        self.panic_module = self.module.with_name("mod_tls_panics.so")

    def query(self, name):
        return subprocess.run([self._apxs, "-q", name], check=True, capture_output=True, text=True).stdout.strip()

    def load_module(self, name):
        path = self.libexec / f"mod_{name}.so"
        return f"LoadModule {name}_module {path}\n" if path.exists() else ""

    def has_module(self, name):
        return (self.libexec / f"mod_{name}.so").exists()


class Httpd:
    def __init__(self, installation, root, ports, authority):
        self.installation = installation
        self.root = root
        self.authority = authority
        self.port, self.plain_port = ports.take(), ports.take()
        self.log = ErrorLog(root / "error_log")
        self.access_log = root / "access_log"
        self.docs = root / "htdocs"
        self.docs.mkdir(parents=True)
        self.docs.joinpath("index.html").write_text("hello\n")
        root.joinpath("ca.pem").write_bytes(authority.root_pem)
        self.ca_file = root / "ca.pem"
        self.conf_file = root / "httpd.conf"
        for path in [root, self.docs]:
            path.chmod(0o755)
        self.as_user = None
        self.arguments = ["-DFOREGROUND"]
        self.patience = TIMEOUT
        self.environment = dict(os.environ)
        self._process = self.exit_status = None
        self._threaded = self._has_daemon = False

    # --- configuration ---

    def configure(
        self, *lines, mpm="event", modules=(), module=None, limits="", log_level="info tls:debug", records=("tls",)
    ):
        """Writes the configuration: the common part, then `lines`. `records` are loaded from the tested module;
        "mod_ssl" is loaded from httpd's own modules."""
        self._threaded, self._has_daemon = mpm != "prefork", "cgid" in modules
        load = self.installation.load_module
        text = "".join(load(name) for name in [f"mpm_{mpm}", *MODULES, *modules])
        for record in records:
            path = self.installation.libexec / "mod_ssl.so" if record == "mod_ssl" else self.installation.module
            text += f"LoadModule {'ssl' if record == 'mod_ssl' else record}_module {module or path}\n"
        if "tls" not in records:
            log_level = log_level.replace("tls:", "ssl:")
        if os.geteuid() == 0:
            user = pwd.getpwnam("www-data") if self._exists("www-data") else pwd.getpwnam("nobody")
            text += f"User {user.pw_name}\nGroup #{user.pw_gid}\n"
        text += f"""ServerRoot {self.root}
ServerName localhost
PidFile {self.root}/pid
DefaultRuntimeDir {self.root}
ErrorLog {self.root}/error_log
LogLevel {log_level}
DocumentRoot {self.docs}
DirectoryIndex index.html
LogFormat "%v %{{SSL_PROTOCOL}}x %{{SSL_CIPHER}}x %{{SSL_SESSION_RESUMED}}x \\"%r\\" %>s" tls
CustomLog {self.access_log} tls
Listen {self.plain_port}
Listen {self.port}
{limits or ONE_CHILD}
<Directory {self.docs}>
    AllowOverride All
    Require all granted
</Directory>
"""
        self.conf_file.write_text(text + "\n".join(lines) + "\n")

    @staticmethod
    def _exists(user):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(user)

    def vhost(self, name, *lines, cert=None, port=None, address="*"):
        """A virtual host on the TLS port. By default it has a certificate for its name; with `cert` False it has
        none."""
        if cert is None:
            cert = self.authority.server(name).write(self.root, name)
        certificate = [f"TLSCertificate {cert}"] if cert else []
        body = [f"ServerName {name}", *certificate, *lines]
        return "\n".join([f"<VirtualHost {address}:{port or self.port}>", *body, "</VirtualHost>"])

    # --- running ---

    def configtest(self, *defines):
        """Runs `httpd -t`. Returns the exit status and the output."""
        args = [self.installation.program, "-f", self.conf_file, "-t", *(f"-D{d}" for d in defines)]
        run = subprocess.run(args, capture_output=True, text=True, timeout=TIMEOUT)
        return run.returncode, run.stdout + run.stderr

    def start(self, *lines, **options):
        if lines:
            self.configure(*lines, **options)
        self.run()
        wait_for(self._answers, "httpd to answer", self.patience)
        return self

    def run(self):
        """Starts httpd. Does not wait for it."""
        self._starts = self._serving()
        self._process = subprocess.Popen(
            [self.installation.program, "-f", self.conf_file, *self.arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=self.environment,
            user=self.as_user,
        )
        return self._process

    def _answers(self):
        if self._process.poll() is not None:
            output = self._process.stdout.read().decode(errors="replace")
            raise AssertionError(f"httpd did not start:\n{output}\n{self.log.text()}")
        try:
            socket.create_connection(("127.0.0.1", self.plain_port), 1).close()
        except OSError:
            return False
        return self._serving() > self._starts

    def _serving(self):
        """How many times httpd has logged that it serves."""
        return self.log.text().count("resuming normal operations")

    @property
    def pid(self):
        return self._process.pid

    def children(self):
        """The processes that serve requests, and the daemon of mod_cgid."""
        return [pid for pid, name in self._named_children() if name != "tls-keyd"]

    def key_processes(self):
        """tls-keyd and the process that watches it, as far as they are children of this httpd."""
        return [pid for pid, name in self._named_children() if name == "tls-keyd"]

    def _named_children(self):
        run = subprocess.run(["pgrep", "-l", "-P", str(self.pid)], capture_output=True, text=True)
        return [(int(pid), name) for pid, _, name in (line.partition(" ") for line in run.stdout.splitlines())]

    def full_restart(self):
        """Restarts without regard to open connections, and waits until the new children serve."""
        self._restart(signal.SIGHUP)

    def graceful(self):
        """Reloads, and waits until the new children serve. On a busy machine an old child may still accept a
        connection."""
        self._restart(signal.SIGUSR1)

    def _restart(self, number):
        before = self._serving()
        self._process.send_signal(number)
        wait_for(lambda: self._serving() > before, "a restart", self.patience)

    def _settled(self):
        """Whether the main thread of every child is waiting. In threaded MPMs an idle main thread has blocked all
        signals except those that it waits for; a starting one has blocked none."""
        for pid in self.children():
            try:
                lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            except OSError:
                continue
            status = dict(line.split(":\t", 1) for line in lines)
            if self._has_daemon and status["Threads"] == "1":
                continue
            blocked = int(status["SigBlk"], 16)
            takes_signals = not blocked >> (signal.SIGTERM - 1) & 1
            if not (takes_signals and (blocked or not self._threaded) and status["State"].startswith("S")):
                return False
        return not self._has_connections()

    def _has_connections(self):
        """Whether a connection is open at this end. On stop, the event MPM closes the sockets of its workers, and
        crashes if a worker has freed its socket at that moment."""
        listening, time_wait, orphan = "0A", "06", "0"
        ports = {f"{port:04X}" for port in (self.port, self.plain_port)}
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                local, state, inode = fields[1], fields[3], fields[9]
                if local.rsplit(":", 1)[1] in ports and state not in (listening, time_wait) and inode != orphan:
                    return True
        return False

    def stop(self):
        if self._process and self._process.poll() is None:
            with contextlib.suppress(AssertionError):
                wait_for(self._settled, "children to settle", timeout=1)
            self._process.terminate()
            try:
                self._process.wait(self.patience)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                raise
        if self._process:
            self._process.stdout.close()
            self.exit_status = self._process.returncode
            self._process = None

    def access_lines(self):
        return self.access_log.read_text().splitlines() if self.access_log.exists() else []
