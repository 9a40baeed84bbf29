# SPDX-License-Identifier: Apache-2.0
"""certbot's own code writes its files and runs its deploy hooks, without an ACME server. A program of its own, because
certbot changes the process that it runs in:

    certbot_store.py DIRECTORY new NAME      makes live/NAME with the certificate, key and chain of DIRECTORY/next/
    certbot_store.py DIRECTORY write NAME    writes those of a renewal into archive/NAME
    certbot_store.py DIRECTORY link NAME N   turns the link N of live/NAME: 0 to 3, one after the other
    certbot_store.py DIRECTORY deploy NAME   runs the hooks in renewal-hooks/deploy
"""

import sys
from pathlib import Path

from certbot._internal import cli, hooks, storage
from certbot._internal.plugins import disco


def main(directory, action, name, number=None):
    directory = Path(directory)
    arguments = [
        "certonly",
        "--config-dir",
        directory,
        "--work-dir",
        directory / "work",
        "--logs-dir",
        directory / "logs",
    ]
    config = cli.prepare_and_parse_args(disco.PluginsRegistry.find_all(), [str(word) for word in arguments])
    cert, key, chain = ((directory / "next" / file).read_bytes() for file in ("cert.pem", "privkey.pem", "chain.pem"))
    if action == "new":
        storage.RenewableCert.new_lineage(name, cert, key, chain, config)
        return
    lineage = storage.RenewableCert(str(directory / f"renewal/{name}.conf"), config)
    if action == "write":
        lineage.save_successor(lineage.latest_common_version(), cert, key, chain, config)
    elif action == "link":
        lineage._update_link_to(storage.ALL_FOUR[int(number)], lineage.latest_common_version())
    elif action == "deploy":
        hooks.deploy_hook(config, [name], str(directory / "live" / name))


main(*sys.argv[1:])
