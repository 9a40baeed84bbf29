# SPDX-License-Identifier: Apache-2.0
"""Validates bills of materials by the libraries of CycloneDX and SPDX. Needs what requirements.txt lists."""

import argparse
import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directory", type=Path, help="the directory with mod_tls.cdx.json and mod_tls.spdx.json")
    directory = parser.parse_args().directory
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str((directory / "mod_tls.cdx.json").read_text())
    messages = [f"mod_tls.cdx.json: {error}"] if error else []
    found = validate_full_spdx_document(parse_file(str(directory / "mod_tls.spdx.json")))
    messages += [f"mod_tls.spdx.json: {message.validation_message}" for message in found]
    for message in messages:
        print(message, file=sys.stderr)
    return 1 if messages else 0


if __name__ == "__main__":
    sys.exit(main())
