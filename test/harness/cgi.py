# SPDX-License-Identifier: Apache-2.0
"""Scripts that httpd runs."""

# Responds with the SHA-256 digest of the request body.
DIGEST = "#!/bin/sh\necho 'Content-Type: text/plain'\necho\nsha256sum | cut -d' ' -f1\n"
# Responds with its environment.
ENVIRONMENT = "#!/bin/sh\necho 'Content-Type: text/plain'\necho\nenv | sort\n"


def add_cgi(httpd, name, text, socket=None):
    """Writes the script /cgi-bin/NAME. Returns the configuration for it. `socket` is the path of mod_cgid's socket."""
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
    """A script sends the first half of its response and then waits for the gate. The test opens the gate after it has
    received the first half. So a test fails if the first half is held back until the response is complete."""

    FIRST, LAST = "first half\n", "second half\n"

    def __init__(self, root):
        self._file = root / "gate"
        # The script also ends if the test fails: its directory is removed then.
        self._wait = f"until [ -e {self._file} -o ! -d {root} ]; do sleep 0.02; done"

    def script(self):
        return (
            "#!/bin/sh\nprintf 'Content-Type: text/event-stream\\n\\nfirst half\\n'\n"
            f"{self._wait}\nprintf 'second half\\n'\n"
        )

    def lua(self):
        """The same with mod_lua, in a function `slow`. It calls flush, which makes a FLUSH bucket for httpd's
        filters."""
        return (
            'function slow(r)\n  r:puts("first half\\n")\n  r:flush()\n'
            f'  os.execute("{self._wait}")\n'
            '  r:puts("second half\\n")\n  return apache2.OK\nend\n'
        )

    def open(self):
        self._file.touch()
