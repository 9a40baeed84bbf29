# SPDX-License-Identifier: Apache-2.0
"""Scripts that httpd runs."""

# Answers with the SHA-256 digest of what was posted.
DIGEST = "#!/bin/sh\necho 'Content-Type: text/plain'\necho\nsha256sum | cut -d' ' -f1\n"
# Answers with its environment.
ENVIRONMENT = "#!/bin/sh\necho 'Content-Type: text/plain'\necho\nenv | sort\n"


def add_cgi(httpd, name, text, socket=None):
    """Writes the script /cgi-bin/NAME; returns the configuration that runs it. `socket` is that of mod_cgid."""
    directory = httpd.root / "cgi-bin"
    directory.mkdir(exist_ok=True)
    directory.chmod(0o755)
    script = directory / name
    script.write_text(text)
    script.chmod(0o755)
    return [
        f"ScriptSock {socket or httpd.root / 'cgisock'}",
        f"ScriptAlias /cgi-bin/ {directory}/",
        f"<Directory {directory}>\nRequire all granted\n</Directory>",
    ]


class Gate:
    """What a script waits for in the middle of its response: a test that has received the first half opens it. What
    keeps the first half back until the response is complete is never passed."""

    FIRST, LAST = "first half\n", "second half\n"

    def __init__(self, root):
        self._file = root / "gate"
        # A test that fails leaves it shut; its directory goes all the same.
        self._wait = f"until [ -e {self._file} -o ! -d {root} ]; do sleep 0.02; done"

    def script(self):
        return (
            "#!/bin/sh\nprintf 'Content-Type: text/event-stream\\n\\nfirst half\\n'\n"
            f"{self._wait}\nprintf 'second half\\n'\n"
        )

    def lua(self):
        """The same by mod_lua, in a function `slow`: it flushes, which filters of httpd's get to know."""
        return (
            'function slow(r)\n  r:puts("first half\\n")\n  r:flush()\n'
            f'  os.execute("{self._wait}")\n'
            '  r:puts("second half\\n")\n  return apache2.OK\nend\n'
        )

    def open(self):
        self._file.touch()
