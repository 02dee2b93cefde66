"""Plots, by matplotlib without a display, in one style. Imported only where a plot is drawn: it takes a second."""

from __future__ import annotations

import itertools
import math
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from PIL import Image
from torch import Tensor

from invset.metrics.estimate import Estimate
from invset.metrics.share import in_range
from invset.names import legible
from invset.run.sheet import GREY, INK

BLUE, RED, PALE, UNDECIDED = "#3b6ea5", "#c0392b", "#dbe6f1", "#999999"
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.labelcolor": GREY,
    "axes.edgecolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.1,
    "figure.constrained_layout.h_pad": 0.1,
    "text.parse_math": False,  # a name may hold dollar signs
}
BINS = 20
ACROSS = 3  # histograms in a row at most
FURTHEST = 3.0  # how many times past the outermost ratio an interval is drawn
LONGEST = 44  # characters of a line's name


class Panel(NamedTuple):
    """One histogram: a title, (n,) activations, and the range that they are meant to fill."""

    title: str
    activations: Tensor
    lower: float
    upper: float


class Line(NamedTuple):
    """A line of a forest plot: a name, a ratio or None, a note at its right, and the paper's ratio if it gives one."""

    label: str
    ratio: Estimate | None
    note: str = ""
    paper: float | None = None


def histograms(panels: Sequence[Panel]) -> Image.Image:
    """Histograms beside and below each other, at one scale of shares; a red line where an even filling would be."""
    across, down = min(ACROSS, len(panels)), -(-len(panels) // ACROSS)
    with _figure(4.8 * across, 1.9 * down) as figure:
        axes = figure.subplots(down, across, sharey=True, squeeze=False).flatten()
        for ax, panel in zip(axes, panels, strict=False):
            inside = panel.activations[in_range(panel.activations, panel.lower, panel.upper)].double()
            shares = np.full(len(inside), 1 / max(1, len(panel.activations)))
            edges = np.linspace(panel.lower, panel.upper, BINS + 1)
            ax.hist(inside.clamp(panel.lower, panel.upper), edges, weights=shares, color=BLUE, rwidth=0.94)
            ax.axhline(1 / BINS, color=RED, linewidth=1)
            ax.text(1.01, 1 / BINS, "even", color=RED, va="center", transform=ax.get_yaxis_transform())
            ax.margins(x=0.01)
            ax.set_xticks([panel.lower, panel.upper], [f"{panel.lower:g}", f"{panel.upper:g}"])
            ax.set_title(_cut(panel.title, 52))
            ax.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
        for ax in axes[len(panels) :]:
            ax.set_axis_off()
        return _drawn(figure)


def distributions(title: str, activations: Mapping[str, Tensor]) -> Image.Image:
    """Histograms of several sets of activations (m,), below each other on one axis."""
    edges = np.histogram_bin_edges(np.concatenate([*activations.values()]), 3 * BINS)
    with _figure(6, 0.8 + 1.1 * len(activations)) as figure:
        axes = figure.subplots(len(activations), 1, sharex=True, squeeze=False).flatten()
        for ax, (name, values) in zip(axes, activations.items(), strict=True):
            ax.hist(values.numpy(), edges, color=BLUE)
            ax.set_title(f"{len(values)} {name}")
            ax.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        axes[-1].set_xlabel("activation")
        _head(figure, title)
        return _drawn(figure)


def forest(title: str, lines: Sequence[Line], axis: str, summary: Line | None = None) -> Image.Image:
    """Ratios with their intervals, one a line, against a red line of no difference; a diamond for their mean, if given.

    Grey where the interval holds 1, and cut off where it goes far beyond all ratios; hollow circles are the paper's.
    """
    rows = [*lines, *([summary] if summary else [])]
    low, high = _limits(rows)
    labels, notes = [_cut(row.label) for row in rows], [_cut(row.note) for row in rows]
    beside = max(map(len, labels)) + max(map(len, notes))
    with _figure(4.5 + 0.1 * beside, 1.4 + 0.25 * len(rows)) as figure:
        ax = figure.subplots()
        ax.set_xscale("log")
        ax.set_xlim(low, high)
        ax.set_ylim(len(rows) - 0.4, -0.6)
        ax.axvline(1, color=RED, linewidth=1)
        for y, row in enumerate(rows):
            if y % 2 == 0:
                ax.axhspan(y - 0.5, y + 0.5, color="#f4f4f4", linewidth=0, zorder=0)
            if row.ratio is not None and math.isfinite(row.ratio.value):
                (_diamond if row is summary else _bar)(ax, y, row.ratio, low, high)
            if row.paper is not None:
                ax.plot(row.paper, y, "o", markersize=8, markerfacecolor="none", markeredgecolor=INK)
            ax.text(1.02, y, notes[y], color=GREY, va="center", transform=ax.get_yaxis_transform())
        ax.set_yticks(range(len(rows)), labels, color=INK)
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 1.2, 1.5, 2, 3, 5, 7) if high / low < 20 else (1, 3)))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter("{x:g}")
        hollow = "; hollow: the paper's" if any(row.paper is not None for row in rows) else ""
        undecided = any(row.ratio and row.ratio.low <= 1 <= row.ratio.high for row in rows)
        grey = "; grey: the interval holds 1" if undecided else ""
        ax.set_xlabel(_cut(axis, 90) + hollow + grey)
        _head(figure, title)
        return _drawn(figure)


def coverage_curve(title: str, curve: Sequence[Estimate], new: Sequence[bool], gain: float) -> Image.Image:
    """Coverage after each of n ≥ 1 samples with its interval, over the number of distinct images so far.

    Below the share `gain` of new ones there is a plateau: a red line is at 1 − gain.
    """
    counts = range(1, len(new) + 1)
    with _figure(6, 4.6) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True)
        values, lows, highs = zip(*curve, strict=True)
        upper.fill_between(counts, lows, highs, color=PALE, linewidth=0)
        upper.plot(counts, values, color=BLUE)
        upper.axhline(1 - gain, color=RED, linewidth=1)
        upper.text(1.01, 1 - gain, f"{1 - gain:g}", color=RED, va="center", transform=upper.get_yaxis_transform())
        upper.set_ylim(0, 1.02)
        upper.set_title("coverage of the last 100")
        lower.plot(counts, list(itertools.accumulate(map(int, new))), color=BLUE)
        lower.set_ylim(0)
        lower.set_title("distinct images")
        lower.set_xlabel("samples")
        _head(figure, title)
        return _drawn(figure)


def _bar(ax: Axes, y: int, ratio: Estimate, low: float, high: float) -> None:
    """A dot on its interval."""
    colour = UNDECIDED if ratio.low <= 1 <= ratio.high else BLUE
    if not math.isnan(ratio.low):
        ax.hlines(y, max(ratio.low, low), min(ratio.high, high), color=colour, linewidth=2.5)
    ax.plot(ratio.value, y, "o", color=colour, markersize=7)


def _diamond(ax: Axes, y: int, ratio: Estimate, low: float, high: float) -> None:
    """From the lower end to the upper one, highest at the ratio."""
    first, last = (ratio.value, ratio.value) if math.isnan(ratio.low) else ratio[1:]
    ax.axhline(y - 0.5, color=GREY, linewidth=0.8)
    ax.fill([max(first, low), ratio.value, min(last, high), ratio.value], [y, y - 0.3, y, y + 0.3], color=BLUE)


def _limits(rows: Sequence[Line]) -> tuple[float, float]:
    """The axis' ends: all ratios and 1 are on it, and intervals but where they go much further."""
    ratios = [row.ratio for row in rows if row.ratio is not None]
    values = [1.0, *(ratio.value for ratio in ratios), *(row.paper for row in rows if row.paper is not None)]
    values = [value for value in values if 0 < value < math.inf]
    ends = [end for ratio in ratios for end in ratio[1:] if min(values) / FURTHEST < end < max(values) * FURTHEST]
    low, high = min(values + ends), max(values + ends)
    room = max(1.12, (high / low) ** 0.04)
    return low / room, high * room


def _cut(text: str, longest: int = LONGEST) -> str:
    """A text on one line, with dots for what is past the longest."""
    line = " ".join(legible(text).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def _head(figure: Figure, title: str) -> None:
    wide = round(figure.get_figwidth() * 11)
    text = "\n".join(textwrap.fill(line, wide, max_lines=2, placeholder="…") for line in legible(title).split("\n"))
    figure.suptitle(text, x=0.01, ha="left", fontsize=12, color=INK)


@contextmanager
def _figure(width: float, height: float) -> Iterator[Figure]:
    """A figure of so many inches, of 100 pixels each."""
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # of a script that the font does not have
        yield Figure((width, height), dpi=100)


def _drawn(figure: Figure) -> Image.Image:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
