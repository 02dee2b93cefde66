"""Forest plots: what stands where, by its pixels, without asking the plot's own scale."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from PIL import Image, ImageColor, ImageFont

from invset.metrics.estimate import Estimate
from invset.report.figures import BAR, EVEN
from invset.report.forest import LABEL, NOTE, UNDECIDED, Entry, forest
from invset.report.labels import broken, cut
from invset.report.log_axis import Scale, limits, ticks
from invset.run.grids import CAPTION_COLOUR

FONT = ImageFont.load_default(size=14)


def _where(picture: Image.Image, *colours: str) -> np.ndarray:
    pixels = np.asarray(picture)
    return np.any([(pixels == ImageColor.getrgb(colour)).all(axis=2) for colour in colours], axis=0)


def _ratio(value: float, low: float, high: float, **more) -> Entry:
    return Entry(f"{value}", Estimate(value, low, high), **more)


def _marks(picture: Image.Image, colour: str) -> bool:
    """Whether there is a mark of that colour: letters have edges of any grey, but not so much of it."""
    return bool(_where(picture, colour).sum() > 50)


def _bands(mask: np.ndarray) -> list[np.ndarray]:
    """The parts of a mask that white rows set apart, top to bottom."""
    rows = np.flatnonzero(mask.any(axis=1))
    return [mask[part[0] : part[-1] + 1] for part in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)]


def _dot(band: np.ndarray) -> float:
    """The middle of the columns in which a band is more than a bar high."""
    return float(np.flatnonzero(band.sum(axis=0) > 5).mean())


def _red(picture: Image.Image) -> int:
    """The column of the reference's line."""
    return int(_where(picture, EVEN).sum(axis=0).argmax())


def test_dots_and_bars_stand_at_their_logarithms():
    """All columns, the reference's too, are on one line over the logarithms, to a pixel; and in the order given."""
    ratios = [(4.0, 3.0, 5.0), (2.0, 1.5, 3.2), (0.5, 0.3, 0.8), (1.4, 1.1, 1.8)]
    picture = forest("t", [_ratio(*one) for one in ratios], "ours / PPGN")
    bands = _bands(_where(picture, BAR))
    assert len(bands) == len(ratios)
    numbers, columns = [1.0], [float(_red(picture))]
    for band, one in zip(bands, ratios, strict=True):
        numbers += one
        columns += [_dot(band), *np.flatnonzero(band.any(axis=0))[[0, -1]]]
    slope, start = np.polyfit(np.log(numbers), columns, 1)
    assert slope > 100
    assert columns == pytest.approx(slope * np.log(numbers) + start, abs=1)


def test_the_axis_is_of_the_same_scale():
    """Its marks are at round numbers: those of `ticks`, which are looked for where logarithms put them."""
    picture = forest("t", [_ratio(8.0, 7.9, 8.1), _ratio(0.5, 0.49, 0.51)], "r")
    bands = _bands(_where(picture, BAR))
    per_unit = (_dot(bands[0]) - _dot(bands[1])) / math.log(16)
    dark = _where(picture, CAPTION_COLOUR, EVEN)
    row = int(_where(picture, CAPTION_COLOUR).sum(axis=1).argmax())
    marks = np.flatnonzero(dark[row + 4])
    ends = np.flatnonzero(dark[row])[[0, -1]]
    low, high = (math.exp((end - _red(picture)) / per_unit) for end in ends)
    assert [round(math.exp((mark - _red(picture)) / per_unit), 1) for mark in marks] == [0.5, 1, 2, 5]
    assert low < 0.49
    assert high > 8.1


def test_another_reference():
    one, other = (forest("t", [_ratio(8.0, 7, 9), _ratio(0.5, 0.4, 0.6)], "r", ref) for ref in (1.0, 2.0))
    bands = _bands(_where(other, BAR))
    per_unit = (_dot(bands[0]) - _dot(bands[1])) / math.log(16)
    assert _red(other) - _red(one) == pytest.approx(per_unit * math.log(2), abs=1)


def test_the_references_number_is_red_and_others_give_way():
    """At 1.02 there is no room for a 1 beside it; the rest is there."""
    picture = forest("t", [_ratio(2.0, 1.9, 2.1), _ratio(0.5, 0.49, 0.51)], "r", 1.02)
    axis = int(_where(picture, CAPTION_COLOUR).sum(axis=1).argmax())
    red, dark = (_where(picture, colour)[axis + 8 : axis + 22].any(axis=0) for colour in (EVEN, CAPTION_COLOUR))
    columns = np.flatnonzero(red)
    assert columns.mean() == pytest.approx(_red(picture), abs=3)
    assert not dark[columns[0] - 4 : columns[-1] + 5].any()
    assert dark[: columns[0]].any()
    assert dark[columns[-1] :].any()


def test_grey_where_the_interval_holds_the_reference():
    """Its end included; a number without an interval is not grey, and has no bar."""
    for ends, colour in (((0.9, 2.0), UNDECIDED), ((1.0, 2.0), UNDECIDED), ((1.1, 2.0), BAR), ((0.3, 0.9), BAR)):
        picture = forest("t", [_ratio(math.sqrt(ends[0] * ends[1]), *ends)], "r")
        assert _marks(picture, colour)
        assert not _marks(picture, BAR if colour == UNDECIDED else UNDECIDED)
    alone = _where(forest("t", [_ratio(1.0, math.nan, math.nan)], "r"), BAR)
    assert np.ptp(np.flatnonzero(alone.any(axis=0))) <= 10


def test_the_papers_ratio_is_a_hollow_circle():
    picture = forest("t", [_ratio(4.0, 3.9, 4.1, paper=2.0), _ratio(0.5, 0.49, 0.51)], "r")
    bands = _bands(_where(picture, BAR))
    per_unit = (_dot(bands[0]) - _dot(bands[1])) / math.log(8)
    x = round(_red(picture) + per_unit * math.log(2))
    y = int(np.flatnonzero(_where(picture, BAR).any(axis=1))[0]) + len(bands[0]) // 2
    dark = np.asarray(picture.convert("L"))[y - 9 : y + 10, x - 9 : x + 10] < 128
    assert np.flatnonzero(dark.any(axis=0)).mean() == pytest.approx(9, abs=1)
    assert np.flatnonzero(dark.any(axis=1)).mean() == pytest.approx(9, abs=1)
    assert not dark[7:12, 7:12].any()
    assert 10 <= np.ptp(np.flatnonzero(dark.any(axis=0))) <= 13


def test_without_a_ratio_there_is_only_text():
    for estimate in (None, Estimate(math.nan, math.nan, math.nan)):
        entries = [_ratio(2.0, 1.5, 3.0), Entry("lion", estimate, "no samples"), _ratio(3.0, 2.0, 4.0)]
        picture = forest("t", entries, "r")
        assert len(_bands(_where(picture, BAR))) == 2
        bare = forest("t", [entries[0], Entry("lion", estimate), entries[2]], "r")
        assert _where(picture, CAPTION_COLOUR).sum() > _where(bare, CAPTION_COLOUR).sum()
    none = forest("t", [Entry("lion", None, "no samples")], "r", summary=Entry("mean", None, "none"))
    assert not _marks(none, BAR)
    assert not _marks(none, UNDECIDED)


def test_the_summary_is_a_diamond_set_apart():
    entries = [_ratio(4.0, 3.9, 4.1), _ratio(0.5, 0.49, 0.51)]
    picture = forest("t", entries, "r", summary=Entry("mean", Estimate(2.0, 1.5, 3.0)))
    bands = _bands(_where(picture, BAR))
    per_unit = (_dot(bands[0]) - _dot(bands[1])) / math.log(8)
    pixels = np.asarray(picture).astype(int)
    diamond = _bands(pixels[:, :, 2] - pixels[:, :, 0] > 8)[-1]  # its corners are pale
    across = np.flatnonzero(diamond.any(axis=0))
    for end, value in ((across[0], 1.5), (across[-1], 3.0)):
        assert end == pytest.approx(_red(picture) + per_unit * math.log(value), abs=2)
    highest = np.flatnonzero(diamond.sum(axis=0) >= diamond.shape[0] - 1).mean()
    assert highest == pytest.approx(_red(picture) + per_unit * math.log(2), abs=2)
    rows = np.flatnonzero(_where(picture, BAR).any(axis=1))
    middles = [part.mean() for part in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)]
    assert middles[2] - middles[1] > middles[1] - middles[0] + 5
    alone = forest("t", entries, "r", summary=Entry("mean", Estimate(2.0, math.nan, math.nan)))
    assert np.ptp(np.flatnonzero(_bands(_where(alone, BAR))[-1].any(axis=0))) <= 10


def test_arrows_for_what_lies_past_the_axis():
    """Three entries that know no end of theirs, or are one: marks at the axis' ends, where no dot is."""
    far = [_ratio(2.0, 1.5, math.inf), _ratio(math.inf, math.inf, math.inf), _ratio(0.0, 0.0, 0.0)]
    picture = forest("t", far, "r")
    row = int(_where(picture, CAPTION_COLOUR).sum(axis=1).argmax())
    left, right = np.flatnonzero(_where(picture, CAPTION_COLOUR)[row])[[0, -1]]
    first, second, third = _bands(_where(picture, BAR))
    assert np.flatnonzero(first.any(axis=0))[-1] == pytest.approx(right + 5, abs=2)
    assert np.flatnonzero(second.any(axis=0)).min() > right - 7
    assert np.flatnonzero(third.any(axis=0)).max() < left + 7


def test_one_far_end_does_not_flatten_the_rest():
    low, high = limits([Estimate(1.2, 1.1, 1e30), Estimate(1.5, 1e-9, 2.0)], [1.0])
    assert low > 0.2
    assert high < 6
    # All ratios, and what else has to be seen, are on it whatever the intervals.
    low, high = limits([Estimate(50.0, 40.0, 60.0)], [1.0, 0.001])
    assert low < 0.001
    assert high > 60
    # Where nothing is known it is still an axis.
    low, high = limits([Estimate(math.nan, -1.0, math.inf)], [1.0, math.nan])
    assert low < 1 < high
    assert high / low >= 1.25


def test_round_numbers():
    assert ticks(0.5, 8.2) == [0.5, 1, 2, 5]
    assert ticks(0.9, 1.12) == pytest.approx([0.9, 0.95, 1, 1.05, 1.1])
    assert ticks(0.5e-3, 3e3) == [0.001, 0.01, 0.1, 1, 10, 100, 1000]
    generator = random.Random(0)
    for _ in range(500):
        low = 10 ** generator.uniform(-90, 90)
        high = low * 1.25 ** (1 + 20 * generator.expovariate(1))
        found = ticks(low, high)
        assert 4 <= len(found) <= 14
        assert found == sorted(set(found))
        assert low <= found[0] * (1 + 1e-9)
        assert found[-1] * (1 - 1e-9) <= high
        assert all(float(f"{number:.3g}") == pytest.approx(number, rel=1e-12) for number in found)


def test_an_axis_by_hand():
    scale = Scale(0.1, 10.0, 100, 200)
    assert [scale.x(number) for number in (0.1, 1, 10, 0, -1, math.inf)] == [100, 200, 300, 100, 100, 300]
    assert [scale.shows(number) for number in (0.1, 10, 0.09, math.nan)] == [True, True, False, False]


HOSTILE = ["x" * 100_000, "two\nlines\r\x00\x1b[31m", "\udcff\u202e 日本 × é", " ", "|" * 5000]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_cut_to_its_place(text: str):
    for width in (40, LABEL):
        short = cut(text, width, FONT)
        assert FONT.getlength(short) <= width
        assert "\n" not in short
        assert all(FONT.getlength(line) <= width for line in broken(text, width, FONT))
    picture = forest(text, [Entry(text, Estimate(2, 1.5, 3), text)], text, summary=Entry(text, None, text))
    assert picture.width <= LABEL + NOTE + 480 + 150
    assert picture.height < 300
    assert len(_bands(_where(picture, BAR))) == 1


def test_text_that_fits_is_kept():
    assert cut("toilet tissue", LABEL, FONT) == "toilet tissue"
    assert cut("a  b\nc", LABEL, FONT) == "a b c"
    assert cut("\x00\udcff日", LABEL, FONT) == "???"
    assert " ".join(broken("one two three four five", 60, FONT)) == "one two three four five"
    assert len(broken("one two three four five", 60, FONT)) > 1
    assert broken("", 60, FONT) == []


def test_misuse():
    with pytest.raises(ValueError, match="needs an entry"):
        forest("t", [], "r")
    for reference in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="finite number above 0"):
            forest("t", [_ratio(2, 1, 3)], "r", reference)
