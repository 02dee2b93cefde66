"""Which activations a unit reaches, and which ranges are suggested from them."""

from __future__ import annotations

import re
import shutil

import pytest
import torch

from invset.survey import Survey

FEW = ("codes=16", "chains=4", "steps=8")


pytestmark = pytest.mark.usefixtures("few_codes")


def suggestions(out: str) -> list[tuple[float, float]]:
    found = re.findall(r"^  invset sample neuron=\S+ 'range=\[(\S+),(\S+)\]'  # ", out, re.MULTILINE)
    return [(float(low), float(high)) for low, high in found]


@pytest.mark.parametrize("neuron", ["fc8:goldfish", "conv5:97"])
def test_suggestions_are_ranges_in_order(invset, here, neuron):
    result = invset("probe", f"neuron={neuron}", *FEW)
    assert (result.code, result.err) == (0, "")
    found = suggestions(result.out)
    assert found
    assert all(low < high for low, high in found)
    assert found == sorted(found)
    assert [high for _, high in found[:-1]] == [low for low, _ in found[1:]]
    title = {"fc8:goldfish": "fc8:2 goldfish", "conv5:97": "conv5:97 at 8:8 of 16x16"}[neuron]
    assert result.out.startswith(title)
    assert "16 random codes" in result.out
    assert len(re.findall(r"\]'  # \d+ of 24 natural codes (?:is|are) as high$", result.out, re.MULTILINE)) == len(
        found
    )
    assert "4 ascents" in result.out
    assert list(here.iterdir()) == []


def test_what_it_suggests_is_what_sample_takes(invset, here):
    low, high = suggestions(invset("probe", "neuron=conv5:97", *FEW).out)[0]
    result = invset("sample", "neuron=conv5:97", f"range=[{low:g},{high:g}]", "n=2", "schedule.K=2")
    assert result.code == 0, result.out


def test_a_folder_of_images(invset, here, mini_run):
    shutil.copytree(mini_run / "images", here / "pictures")
    result = invset("probe", "folder=pictures", *FEW)
    assert (result.code, result.err) == (0, "")
    (line,) = [line for line in result.out.splitlines() if line.startswith("14 images")]
    lowest, *_, highest = map(float, line.split()[-5:])
    assert 50 <= lowest <= highest <= 60


def test_a_dead_unit_has_nothing_to_suggest(invset, monkeypatch):
    from invset.models.linear import LinearModel

    monkeypatch.setattr(LinearModel, "forward", lambda self, images: self.output(self.logit(images.flatten(1)) * 0))
    result = invset("probe", "network=linear", "generator=pixels", "generator.options.shape=[3,8,8]",
                    "neuron=output:1", *FEW)  # fmt: skip
    assert (result.code, result.err) == (3, "")
    assert "no range to suggest: ascent does not get above usual activations." in result.out
    assert suggestions(result.out) == []


def _survey(random: list[float], ascents: list[float], real: list[float] | None = None) -> Survey:
    tops = torch.tensor(ascents)
    activations = {"random codes": torch.tensor(random), "ascents": tops}
    if real is not None:
        activations["natural codes"] = torch.tensor(real)
    return Survey("unit", activations, torch.zeros(len(tops), 1), torch.zeros(len(tops), 3, 1, 1))


def test_suggested_ranges_lie_between_usual_and_reachable():
    found = _survey([0.0, 1.0], [100.0, 101.0, 102.0]).ranges
    assert found == [(20, 40), (40, 60), (60, 80), (80, 100)]
    assert found[0][0] >= 0.95
    assert found[-1][1] <= 101
    widths = {round(high - low, 6) for low, high in found}
    assert len(widths) == 1


def test_how_codes_stand_to_a_range():
    found = _survey([9.0] * 5, [10.0], real=[1.0, 2.0, 3.0])
    assert found.standing(3.0) == "1 of 3 natural codes is as high"
    assert found.standing(1.5) == "2 of 3 natural codes are as high"
    assert _survey([9.0] * 5, [10.0]).standing(9.5) == "0 of 5 random codes are as high"


def test_ascents_may_start_from_any_code_that_was_drawn(invset, here):
    """More of them than codes that are looked at, from a generator that knows no natural ones."""
    result = invset("probe", "network=linear", "generator=pixels", "generator.options.shape=[3,8,8]",
                    "neuron=output:1", "codes=2", "chains=6", "steps=30")  # fmt: skip
    assert result.code == 0, result.out
    assert "2 random codes" in result.out
    assert "6 ascents" in result.out


def test_natural_codes_count_before_random_ones():
    assert _survey([500.0] * 3, [100.0, 101.0, 102.0], real=[0.0, 1.0]).ranges
    assert _survey([0.0] * 3, [100.0, 101.0, 102.0], real=[500.0] * 3).ranges == []


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0, 37.0, 1e6])
@pytest.mark.parametrize("shift", [-3.0, 0.0, 0.7])
def test_suggested_ranges_at_any_scale(scale, shift):
    random = [(shift + value) * scale for value in (0.0, 0.1, 0.2)]
    ascents = [(shift + value) * scale for value in (4.0, 5.0, 6.0)]
    found = _survey(random, ascents).ranges
    assert 1 <= len(found) <= 6
    for low, high in found:
        assert (shift + 0.1) * scale < low < high < (shift + 6) * scale


@pytest.mark.parametrize(
    ("random", "ascents"),
    [([0.0, 0.0], [0.0, 0.0]), ([5.0, 6.0], [1.0, 2.0]), ([float("nan")] * 2, [1.0, 2.0])],
)
def test_nothing_to_suggest(random, ascents):
    assert _survey(random, ascents).ranges == []


def test_chains_that_never_moved_do_not_count():
    assert _survey([0.0, 0.0], [0.0, 0.0, 0.0, 10.0, 10.0]).ranges
    assert _survey([0.0, 0.0], [10.0]).ranges


def test_memory_that_runs_out_halves_batches(invset, here, mini_run, monkeypatch):
    """Six images at a time fit through the network: of codes, of ascents and of a folder; the same is found."""
    from invset.models.reader import Reader

    shutil.copytree(mini_run / "images", here / "pictures")
    read, room = Reader.read, [6]

    def cramped(self: Reader, images):
        if len(images) > room[0]:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return read(self, images)

    whole = invset("probe", "folder=pictures", *FEW)
    monkeypatch.setattr(Reader, "read", cramped)
    halved = invset("probe", "folder=pictures", *FEW)
    assert (halved.code, halved.err) == (0, "")
    said, *rest = halved.out.splitlines()
    assert said == "memory ran out: from here on 4 at a time"  # of 16
    assert suggestions("\n".join(rest)) == suggestions(whole.out)
    room[0] = 0
    failed = invset("probe", "folder=pictures", *FEW)
    assert failed.code == 1
    assert failed.err.startswith("invset: out of memory, and halving batches did not help")


def test_a_unit_that_is_off_for_most_codes(invset, here):
    """Of fc6:351 half of the natural codes have nothing, and no step leads up from those."""
    result = invset("probe", "neuron=fc6:351", "codes=16", "chains=4", "steps=6")

    assert result.code == 0
    ascents = next(line.split() for line in result.out.splitlines() if " ascents " in line)
    assert float(ascents[2]) > 1, "the lowest, where half of the natural codes have 0"
    assert "invset sample neuron=fc6:351 'range=[" in result.out
