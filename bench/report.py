# SPDX-License-Identifier: Apache-2.0
"""Tables, JSON and charts of the results."""

import itertools
import json
import os
import platform
import statistics
import time
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"


def median(values):
    return statistics.median(values) if values else None


def row(name, title, unit, figures, direct=True, target=None, limit=None):
    """A row of the table: the medians of each server, and the ratio to mod_ssl. Wanted are a ratio of at most `target`,
    and a figure of at most `limit`."""
    medians = {kind: median(values) for kind, values in figures.items()}
    ours, theirs = medians.get("mod_tls"), medians.get("mod_ssl")
    ratio = ours / theirs if ours and theirs else None
    wanted = [(measured, most) for measured, most in ((ratio, target), (ours, limit)) if measured and most is not None]
    return {
        "name": name, "title": title, "unit": unit, "figures": figures, "medians": medians, "ratio": ratio,
        "target": target, "limit": limit, "direct": direct,
        "reached": all(measured <= most for measured, most in wanted) if wanted else None,
    }  # fmt: skip


def number(value):
    if value is None:
        return "–"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def spread(values):
    return f"{number(median(values))} ({number(min(values))}–{number(max(values))})" if values else "–"


def kinds_of(rows):
    """The servers that have figures. Those with other builds of the module come last."""
    measured = {kind: None for one in rows for kind, values in one["figures"].items() if values}
    return [kind for kind in COLOURS if kind in measured] + [kind for kind in measured if kind not in COLOURS]


def table(rows):
    kinds = kinds_of(rows)
    lines = [f"| workload | {' | '.join(kinds)} | ratio | target |", "|---" * (len(kinds) + 3) + "|"]
    for one in rows:
        figures = [spread(one["figures"].get(kind, [])) for kind in kinds]
        ratio = f"{one['ratio']:.2f}" if one["ratio"] else "–"
        wanted = [f"≤ {one['target']}"] if one["target"] is not None else []
        wanted += [f"≤ {one['limit']} {one['unit']}"] if one["limit"] is not None else []
        sign = {None: "", True: " ✓", False: " ✗"}[one["reached"]]
        target = f"{', '.join(wanted)}{sign}" if wanted else "–"
        lines.append(f"| {one['title']}, {one['unit']} | {' | '.join(figures)} | {ratio} | {target} |")
    return "\n".join(lines)


def save(rows, version):
    """Writes results/VERSION-N.json, where N is the number of the run, and its charts. Returns the files."""
    RESULTS.mkdir(exist_ok=True)
    number = next(n for n in itertools.count(1) if not (RESULTS / f"{version}-{n}.json").exists())
    data = {"version": version, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "rows": rows}
    data["machine"] = {"processor": processor(), "cores": os.cpu_count(), "system": platform.platform()}
    files = [RESULTS / f"{version}-{number}.json"]
    files[0].write_text(json.dumps(data, indent=1) + "\n")
    for name, title, shown in charts(rows):
        files.append(RESULTS / f"{version}-{number}-{name}.svg")
        files[-1].write_text(svg(title, shown))
    return files


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def charts(rows):
    """The charts of the results: name, title and rows of each."""
    compared = [one for one in rows if one["ratio"] is not None]
    hosts = [one for one in compared if one["name"].startswith("hosts-")]
    groups = {
        "cpu": ("CPU time for a unit of work, mod_ssl = 1", [one for one in compared if not one["direct"]]),
        "other": ("time and memory, mod_ssl = 1", [one for one in compared if one["direct"] and one not in hosts]),
        "hosts": ("many virtual hosts, mod_ssl = 1", hosts),
    }
    return [(name, title, shown) for name, (title, shown) in groups.items() if shown]


BAR, LEFT, WIDTH, MOST = 13, 300, 420, 2
COLOURS = {
    "plain": "#bbbbbb",
    "nginx": "#8bbf6b",
    "mod_ssl": "#d9a441",
    "no-keyd": "#7fb2e8",
    "no-counters": "#b5a3e0",
    "cheapest": "#58c0d8",
    "logged": "#a8a8d8",
    "monitored": "#7a5fc0",
    "mod_tls": "#3b7dd8",
}
# For other builds of the module.
OTHER_COLOURS = ("#1f4f8f", "#2f8f8f", "#8f2f5f")


def svg(title, rows):
    """A bar for each server and workload, relative to mod_ssl's figure, with a mark at each target that is a ratio."""
    kinds = kinds_of(rows)
    others = [kind for kind in kinds if kind not in COLOURS]
    colours = COLOURS | dict(zip(others, itertools.cycle(OTHER_COLOURS)))
    step = BAR * len(kinds) + 10
    height = 40 + step * len(rows)
    scale = WIDTH / MOST
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 90}" height="{height}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="100%" height="100%" fill="white"/><text x="{LEFT}" y="14">{title}; shorter is better</text>',
    ]
    for at, kind in enumerate(kinds):
        x = LEFT + 90 * at
        parts.append(f'<rect x="{x}" y="20" width="10" height="10" fill="{colours[kind]}"/>')
        parts.append(f'<text x="{x + 14}" y="29">{kind}</text>')
    for at, one in enumerate(rows):
        top = 38 + step * at
        parts.append(f'<text x="{LEFT - 8}" y="{top + step / 2:.0f}" text-anchor="end">{one["title"]}</text>')
        for line, kind in enumerate(kinds):
            if not one["medians"].get(kind):
                continue
            part, y = one["medians"][kind] / one["medians"]["mod_ssl"], top + BAR * line
            width = min(part, MOST) * scale
            parts.append(
                f'<rect x="{LEFT}" y="{y}" width="{width:.0f}" height="{BAR - 2}" fill="{colours[kind]}"/>'
                f'<text x="{LEFT + width + 4:.0f}" y="{y + 9}" font-size="9">{part:.2f}</text>'
            )
        if one["target"] is not None:
            x = LEFT + one["target"] * scale
            parts.append(f'<path d="M{x:.0f} {top - 2}v{step - 6}" stroke="#d33" stroke-width="2"/>')
    return "\n".join([*parts, "</svg>", ""])
