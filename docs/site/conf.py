# SPDX-License-Identifier: Apache-2.0
"""How Sphinx makes the manual pages and the site. Its source directory is the root of the project."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MANUALS = sorted((ROOT / "docs/man").glob("*.md"))
EXAMPLES = "conf-examples/README"

project = "mod_tls"
author = "The developers of mod_tls"
copyright = author
extensions = ["myst_parser"]
root_doc = "docs/site/index"
include_patterns = ["docs/**.md", "conf-examples/README.md", "test/README.md", "*.md"]
exclude_patterns = ["bench", "build*", "mod_tls-*", "module", "packaging", "rust-backend", "vendor", "test/*/**"]
# README.md is for the host of the repository, the site has its own first page.
exclude_patterns += ["README.md"]
myst_enable_extensions = ["deflist"]
# Links to headings, as in `crypto.md#early-data`.
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]
pygments_style = "sphinx"
highlight_language = "text"

html_theme = "furo"
html_title = "mod_tls"
html_show_sourcelink = False
html_show_copyright = False
html_copy_source = False


def manual(path):
    """A manual page: NAME.SECTION.md has the name and the section, its first paragraph the description."""
    name, _, section = path.name.removesuffix(".md").rpartition(".")
    description = path.read_text().split("\n\n")[1].strip().rstrip(".")
    return (f"docs/man/{name}.{section}", name, description, [author], section)


man_pages = [manual(path) for path in MANUALS]


def included(match):
    """A document as a part of a manual page: without its title, with headings one level lower, and without links to
    other documents, which a terminal cannot follow."""
    text = (ROOT / "docs" / match[1]).read_text().partition("\n")[2]
    text = re.sub(r"^(#+ )", r"#\1", text, flags=re.M)
    return re.sub(r"\[([^]]+)\]\((?!http)[^)]*\)", r"\1", text)


def include_documents(app, name, source):
    """`<!-- include: FILE -->` in a manual page stands for a file of docs/."""
    if not name.startswith("docs/man/"):
        return
    text = re.sub(r"<!-- include: (\S+) -->\n", included, source[0])
    if app.builder.name == "man":
        # The description is a part of what Sphinx puts first.
        title, _, rest = text.split("\n\n", 2)
        text = f"{title}\n\n{rest}"
    source[0] = text


def show_examples(app, name, source):
    """The page of the examples has them all."""
    if name != EXAMPLES:
        return
    directory = ROOT / "conf-examples"
    for path in sorted(directory.rglob("*.conf")):
        title = path.relative_to(directory)
        source[0] += f"\n## {title}\n\n```apacheconf\n{path.read_text()}```\n"


def list_documents(app, name, source):
    """The first page names the documents in their order. Those that it does not name follow."""
    if name == root_doc:
        names = sorted(path.stem for path in (ROOT / "docs").glob("*.md"))
        others = "\n".join(f"../{name}" for name in names if f"../{name}\n" not in source[0])
        source[0] = source[0].replace("(other documents)", others)


def setup(app):
    app.connect("source-read", list_documents)
    app.connect("source-read", include_documents)
    app.connect("source-read", show_examples)
