# SPDX-License-Identifier: Apache-2.0
"""`httpd -t` with files that have mistakes."""


def diagnose(httpd, *lines, **options):
    """Whether `httpd -t` accepts the lines, and its messages."""
    httpd.configure(*lines, **options)
    status, text = httpd.configtest()
    return status == 0, text


def write_private(file, content):
    """Writes a file that only its owner may read: there is no warning about its mode."""
    file.write_bytes(content)
    file.chmod(0o600)
    return file
