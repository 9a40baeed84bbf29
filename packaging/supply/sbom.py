# SPDX-License-Identifier: Apache-2.0
"""Bills of materials: the crates in the binaries and those that build them, in CycloneDX 1.6 and SPDX 2.3.

They depend on Cargo.lock, the cryptography, the platform and SOURCE_DATE_EPOCH, and on nothing else.
"""

import argparse
import hashlib
import json
import os
import re
import time
import uuid
from pathlib import Path

from crates import ROOT, Crates

NAMES = uuid.uuid5(uuid.NAMESPACE_URL, "mod_tls")
SPDX_TOOL = "Tool: packaging/supply/sbom.py"


def checksums():
    """The SHA-256 of each crate's archive, by name and version."""
    pattern = r'name = "(.+)"\nversion = "(.+)"\nsource = ".+"\nchecksum = "(.+)"'
    rows = re.findall(pattern, (ROOT / "Cargo.lock").read_text())
    return {(name, version): checksum for name, version, checksum in rows}


def licence(package):
    """An expression of SPDX. Older crates separate alternatives by a slash."""
    return re.sub(r"\s*/\s*", " OR ", package["license"] or "NOASSERTION")


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version'].replace('+', '%2B')}"


def reference(package):
    return purl(package) if package["source"] else f"{package['name']}@{package['version']}"


def created():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))))


def cyclonedx(crates, version):
    sums = checksums()

    def component(package):
        key = (package["name"], package["version"])
        found = {
            "type": "library",
            "bom-ref": reference(package),
            "name": package["name"],
            "version": package["version"],
            # What only the build uses is not in the product.
            "scope": "required" if crates.is_linked(package) else "excluded",
            "licenses": [{"expression": licence(package)}],
        }
        if package["description"]:
            found["description"] = " ".join(package["description"].split())
        if package["source"]:
            found["purl"] = purl(package)
            found["hashes"] = [{"alg": "SHA-256", "content": sums[key]}]
        if package["repository"]:
            found["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
        return found

    def uses(package):
        used = sorted(reference(crates.package(name)) for name in crates.uses[package["id"]])
        return {"ref": reference(package), "dependsOn": used}

    product = {"type": "application", "bom-ref": "mod_tls", "name": "mod_tls", "version": version}
    product["licenses"] = [{"expression": "Apache-2.0"}]
    parts = {"ref": "mod_tls", "dependsOn": sorted(map(reference, crates.products))}
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"timestamp": created(), "component": product},
        "components": [component(package) for package in crates.all()],
        "dependencies": [parts, *map(uses, crates.all())],
    }
    name = uuid.uuid5(NAMES, json.dumps(document, sort_keys=True))
    return {"serialNumber": f"urn:uuid:{name}", **document}


def spdx(crates, version):
    sums = checksums()

    def identifier(package):
        return "SPDXRef-" + re.sub(r"[^A-Za-z0-9.]+", "-", f"{package['name']}-{package['version']}")

    def part(package):
        found = {
            "SPDXID": identifier(package),
            "name": package["name"],
            "versionInfo": package["version"],
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": False,
            "licenseConcluded": "NOASSERTION",
            "licenseDeclared": licence(package),
            "copyrightText": "NOASSERTION",
        }
        if package["source"]:
            found["downloadLocation"] = package["source"].replace("registry+", "", 1)
            checksum = sums[package["name"], package["version"]]
            found["checksums"] = [{"algorithm": "SHA256", "checksumValue": checksum}]
            reference = {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl"}
            found["externalRefs"] = [{**reference, "referenceLocator": purl(package)}]
        return found

    def relation(one, kind, other):
        return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}

    def relations(package):
        for name in sorted(crates.uses[package["id"]]):
            other = crates.package(name)
            if crates.is_linked(package) and not crates.is_linked(other):
                yield relation(identifier(other), "BUILD_DEPENDENCY_OF", identifier(package))
            else:
                yield relation(identifier(package), "DEPENDS_ON", identifier(other))

    product = {
        "SPDXID": "SPDXRef-mod-tls",
        "name": "mod_tls",
        "versionInfo": version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "Apache-2.0",
        "copyrightText": "NOASSERTION",
        "primaryPackagePurpose": "APPLICATION",
    }
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"mod_tls-{version}",
        "creationInfo": {"created": created(), "creators": [SPDX_TOOL]},
        "packages": [product, *map(part, crates.all())],
        "relationships": [
            relation("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-mod-tls"),
            *(relation("SPDXRef-mod-tls", "CONTAINS", identifier(package)) for package in crates.products),
            *(row for package in crates.all() for row in relations(package)),
        ],
    }
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    return {**document, "documentNamespace": f"urn:mod_tls:spdx:{version}:{digest[:32]}"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directory", type=Path, help="where mod_tls.cdx.json and mod_tls.spdx.json are written")
    parser.add_argument("--version", required=True, help="the version of mod_tls")
    parser.add_argument("--crypto", default="aws-lc", choices=["aws-lc", "ring", "fips"])
    parser.add_argument("--target", help="the platform, if it is not that of this machine")
    arguments = parser.parse_args()
    crates = Crates(arguments.crypto, arguments.target)
    for name, make in (("cdx", cyclonedx), ("spdx", spdx)):
        text = json.dumps(make(crates, arguments.version), indent=1, ensure_ascii=False)
        (arguments.directory / f"mod_tls.{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
