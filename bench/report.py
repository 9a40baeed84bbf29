# SPDX-License-Identifier: Apache-2.0
"""Tables, JSON and plots of what was measured."""

import json
import platform
import statistics
import time
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"


def median(values):
    return statistics.median(values) if values else None


def row(name, title, unit, figures, target, direct):
    """A line of the table: medians of each server, and the ratio to mod_ssl."""
    medians = {kind: median(values) for kind, values in figures.items()}
    ours, theirs = medians.get("mod_tls"), medians.get("mod_ssl")
    ratio = ours / theirs if ours and theirs else None
    reached = None
    if target is not None and ours is not None and (direct or ratio is not None):
        reached = (ours if direct else ratio) <= target
    return {
        "name": name, "title": title, "unit": unit, "figures": figures, "medians": medians, "ratio": ratio,
        "target": target, "direct": direct, "reached": reached,
    }  # fmt: skip


def number(value):
    if value is None:
        return "–"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def spread(values):
    return f"{number(median(values))} ({number(min(values))}–{number(max(values))})" if values else "–"


def table(rows):
    kinds = [kind for kind in ("plain", "nginx", "mod_ssl", "mod_tls") if any(one["figures"].get(kind) for one in rows)]
    lines = [f"| work | {' | '.join(kinds)} | ratio | target |", "|---" * (len(kinds) + 3) + "|"]
    for one in rows:
        figures = [spread(one["figures"].get(kind, [])) for kind in kinds]
        ratio = f"{one['ratio']:.2f}" if one["ratio"] else "–"
        target = "–"
        if one["target"] is not None:
            sign = "" if one["reached"] is None else " ✓" if one["reached"] else " ✗"
            target = f"≤ {one['target']}{sign}"
        lines.append(f"| {one['title']}, {one['unit']} | {' | '.join(figures)} | {ratio} | {target} |")
    return "\n".join(lines)


def save(rows, version):
    """Writes results/VERSION.json and .svg; returns the files."""
    RESULTS.mkdir(exist_ok=True)
    data = {"version": version, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "rows": rows}
    data["machine"] = {"processor": platform.processor() or platform.machine(), "system": platform.platform()}
    file = RESULTS / f"{version}.json"
    file.write_text(json.dumps(data, indent=1) + "\n")
    plot = RESULTS / f"{version}.svg"
    plot.write_text(svg([one for one in rows if one["ratio"]]))
    return file, plot


BAR, LEFT, WIDTH = 22, 280, 420


def svg(rows):
    """A bar for each work: our cost in parts of mod_ssl's, with a mark at the target."""
    height = BAR * (len(rows) + 2)
    scale = WIDTH / max(1.1, *(one["ratio"] for one in rows)) if rows else 1
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 60}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        f'<text x="{LEFT}" y="14">cost of mod_tls, mod_ssl = 1 (shorter is better)</text>',
        f'<line x1="{LEFT + scale:.0f}" y1="20" x2="{LEFT + scale:.0f}" y2="{height}" stroke="#999"/>',
    ]
    for at, one in enumerate(rows):
        y = BAR * (at + 1) + 4
        width = one["ratio"] * scale
        parts.append(f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{one["title"]}</text>')
        parts.append(f'<rect x="{LEFT}" y="{y}" width="{width:.0f}" height="{BAR - 6}" fill="#3b7dd8"/>')
        parts.append(f'<text x="{LEFT + width + 4:.0f}" y="{y + 13}">{one["ratio"]:.2f}</text>')
        if one["target"] is not None and not one["direct"]:
            x = LEFT + one["target"] * scale
            parts.append(
                f'<line x1="{x:.0f}" y1="{y - 2}" x2="{x:.0f}" y2="{y + BAR - 4}" stroke="#d33" stroke-width="2"/>'
            )
    return "\n".join([*parts, "</svg>", ""])
