# SPDX-License-Identifier: Apache-2.0
"""httpd with a module that was built with AddressSanitizer. httpd was built without it, so the runtime library is
preloaded."""

import re
import subprocess

OPTIONS = {
    # Leaks are reported, but httpd's own leaks must not change the exit status.
    "exitcode": "0",
    # Freed memory is kept in quarantine, but little of it, so that the memory figures are useful.
    "quarantine_size_mb": "16",
    # Leaks are reported by every process that exits by itself, including children.
    "detect_leaks": "1",
    "fast_unwind_on_malloc": "0",
    "malloc_context_size": "12",
}
# Memory that is allocated once in the parent and used until the end.
MADE_ONCE = "leak:tls_process_new\n"


class Sanitizer:
    def __init__(self, httpd):
        # Children write their reports as another user.
        self._directory = httpd.root / "sanitizer"
        self._stopped = set()
        self._directory.mkdir(mode=0o777)
        self._directory.chmod(0o777)
        library = subprocess.run(["gcc", "-print-file-name=libasan.so"], check=True, capture_output=True, text=True)
        options = {**OPTIONS, "log_path": self._directory / "report"}
        suppressions = httpd.root / "suppressions"
        suppressions.write_text(MADE_ONCE)
        httpd.environment["LSAN_OPTIONS"] = f"suppressions={suppressions}:print_suppressions=0"
        httpd.environment["LD_PRELOAD"] = library.stdout.strip()
        httpd.environment["ASAN_OPTIONS"] = ":".join(f"{name}={value}" for name, value in options.items())

    def reports_end(self, children):
        """Ignores leaks of these children: they were stopped before they could free memory."""
        self._stopped = {f".{pid}" for pid in children}

    def reports(self):
        """Errors of any kind, and leaks of memory that was allocated by or for the module."""
        for file in sorted(self._directory.iterdir()):
            if file.suffix in self._stopped:
                continue
            text = file.read_text(errors="replace")
            if "detected memory leaks" not in text:
                yield text
            # httpd and PCRE have leaks of their own, one for each process.
            yield from (leak for leak in re.split(r"\n(?=(?:In)?[Dd]irect leak)", text) if "mod_tls.so" in leak)
