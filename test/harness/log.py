# SPDX-License-Identifier: Apache-2.0
"""The error log. A line that a test did not expect fails the test."""

import re

# Lines that report a fault whatever their level is.
ALARMING = re.compile(r"exit signal|AddressSanitizer|panicked|internal error|AH00052|free\(\): |malloc\(\): ")
SERIOUS = re.compile(r"\[(?:[a-z0-9_]*):(warn|error|crit|alert|emerg)\]")
# On stop, httpd's event MPM closes its pollset while workers use it.
STOPPING = re.compile(r"Bad file descriptor: AH0309[23]")
# Messages of httpd on stop, and of mod_ssl beside this module. The last one is of this module: the mode of the tests'
# keys depends on the umask.
HARMLESS = re.compile(r"AH00045|AH00046|AH00047|AH01873|AH01882|all users of this machine can read it")


class ErrorLog:
    def __init__(self, path):
        self.path = path
        self._offset = 0
        self._expected, self._allowed = [], []

    def text(self):
        """What was logged since the test began."""
        try:
            with open(self.path, errors="replace") as f:
                f.seek(self._offset)
                return f.read()
        except FileNotFoundError:
            return ""

    def expect(self, pattern):
        """Lines with `pattern` are expected. At least one has to appear."""
        self._expected.append(re.compile(pattern))

    def allow(self, pattern):
        """Lines with `pattern` may appear."""
        self._allowed.append(re.compile(pattern))

    def begin(self):
        self._expected, self._allowed = [], []
        try:
            self._offset = self.path.stat().st_size
        except FileNotFoundError:
            self._offset = 0

    def check(self):
        text = self.text()
        missing = [p.pattern for p in self._expected if not p.search(text)]
        assert not missing, f"not in the error log: {missing}\n{text}"
        lines = [line for line in text.splitlines() if SERIOUS.search(line) or ALARMING.search(line)]
        lines = [line for line in lines if not HARMLESS.search(line) and not STOPPING.search(line)]
        lines = [line for line in lines if not any(p.search(line) for p in [*self._expected, *self._allowed])]
        assert not lines, "unexpected in the error log:\n" + "\n".join(lines)
