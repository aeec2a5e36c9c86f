"""Prints the plot of a run as SVG: leads per second and response times, by variant."""

import math
from html import escape
from typing import Any

from measure import kept

CONNECTIONS = {"16": "#2f6f9f", "64": "#e08e45"}
NAMES, BARS, GAP, HEIGHT = 190, 330, 60, 44


def text(x: float, y: float, words: str, *, anchor: str = "start", size: int = 12, weight: str = "normal") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}">{escape(words)}</text>'


def bar(x: float, y: float, width: float, colour: str, opacity: float = 1) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" height="15" fill="{colour}" opacity="{opacity}"/>'


def short(milliseconds: float) -> str:
    return f"{milliseconds:.1f}" if milliseconds < 10 else f"{milliseconds:,.0f}"


def plot(http: dict[str, dict[str, dict[str, float]]]) -> str:
    right = NAMES + BARS + GAP + 60
    width, height = right + BARS + 120, 90 + HEIGHT * len(http)
    most = max(by[c]["rate"] for by in http.values() for c in CONNECTIONS)
    least = min(by[c]["p50"] for by in http.values() for c in CONNECTIONS if by[c]["p50"] > 0)
    longest = max(by[c]["p99"] for by in http.values() for c in CONNECTIONS)
    first, last = math.floor(math.log10(least)), math.ceil(math.log10(longest))

    def place(milliseconds: float) -> float:
        return right + BARS * (math.log10(milliseconds) - first) / (last - first)

    parts = [text(NAMES, 24, "new leads per second", size=15, weight="bold"),
             text(right, 24, "response time, p50 to p99, ms, logarithmic", size=15, weight="bold")]
    for decade in range(first, last + 1):
        x = place(10 ** decade)
        parts.append(f'<line x1="{x:.1f}" y1="56" x2="{x:.1f}" y2="{height - 20}" stroke="#ddd"/>')
        parts.append(text(x, 50, f"{10 ** decade:,g}", anchor="middle", size=11))
    for n, (connections, colour) in enumerate(CONNECTIONS.items()):
        parts += [bar(NAMES + 130 * n, 35, 15, colour), text(NAMES + 130 * n + 20, 47, f"{connections} connections")]
    for n, (name, by) in enumerate(http.items()):
        top = 64 + n * HEIGHT
        parts.append(text(NAMES - 8, top + 22, name, anchor="end", weight="bold" if name.startswith("leadpipe") else "normal"))
        for (connections, colour), y in zip(CONNECTIONS.items(), (top, top + 17), strict=True):
            figures = by[connections]
            length = BARS * figures["rate"] / most
            wrong = f"; {100 * figures['wrong']:.0f} % of responses were not 201" if figures["wrong"] else ""
            parts += [bar(NAMES, y, length, colour), text(NAMES + length + 5, y + 12, f"{figures['rate']:,.0f}{wrong}", size=11)]
            if figures["p50"] > 0:
                begin, end = place(figures["p50"]), place(figures["p99"])
                parts += [bar(begin, y, end - begin, colour),
                          text(end + 5, y + 12, f"{short(figures['p50'])} to {short(figures['p99'])}", size=11)]
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">\n'
            f'<rect width="{width}" height="{height}" fill="white"/>\n' + "\n".join(parts) + "\n</svg>")


figures: dict[str, Any] = kept()
if "http" in figures:
    print(plot(figures["http"]))
