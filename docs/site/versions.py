# SPDX-License-Identifier: Apache-2.0
"""Writes the first page of the site: a list of the versions that are there, the newest first."""

import argparse
import re
from pathlib import Path

PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>mod_tls: documentation</title>
<style>body {{ font: 1.1em sans-serif; margin: 3em auto; max-width: 40em }}</style>
<h1>mod_tls: documentation</h1>
<ul>
{}
</ul>
"""
FIRST = "docs/site/index.html"


def order(version):
    """Numbers as numbers, and what comes before a version (0.9.0-rc1) before it."""
    numbers, _, before = version.partition("-")
    return [int(number) for number in re.findall(r"\d+", numbers)], not before, before


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, help="the directory that has one for each version")
    directory = parser.parse_args().directory
    versions = sorted((path.parents[2].name for path in directory.glob(f"*/{FIRST}")), key=order, reverse=True)
    rows = (f'<li><a href="{version}/{FIRST}">{version}</a></li>' for version in versions)
    directory.joinpath("index.html").write_text(PAGE.format("\n".join(rows)))


if __name__ == "__main__":
    main()
