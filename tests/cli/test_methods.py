"""The baselines from the command line: the same folder and counts, their own settings, errors in words."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from invset.assemble.methods import METHODS
from invset.cli.help import config_folder, describe_command
from invset.models.mini import DATA
from invset.models.registry import build_generator, build_network

CODES = ("ppgn", "dgn_am", "mfv", "penalty")
WIDE = ("range=[-1000,1000]", "n=6", "schedule.K=2")


def short(method: str) -> tuple[str, ...]:
    """A few of the images, so that it is quick."""
    return (f"method={method}", *(("method.options.images=20",) if method == "mfv" else ()))


def test_every_method_has_a_config():
    assert {path.stem for path in (config_folder() / "method").glob("*.yaml")} == set(METHODS)
    listed = describe_command("sample")
    assert all(f"\n  method={name} " in listed for name in METHODS)


@pytest.mark.parametrize("method", CODES)
def test_a_run_and_more_of_it(invset, here, results, method, few_codes):
    begin = ("sample", *short(method), "neuron=fc8:goldfish", *WIDE)
    whole, part = invset(*begin, "n=10", "hydra.run.dir=whole"), invset(*begin, "hydra.run.dir=part")
    assert (whole.code, whole.err, part.code) == (0, "", 0)
    assert invset("sample", "resume=part", "n=10").code == 0
    assert results(here / "part") == results(here / "whole")
    summary = json.loads((here / "whole" / "summary.json").read_text())
    assert summary["samples"] == 10
    assert summary["passes"]["forward"] >= 10


def ppgn_codes(invset, folder: Path, *options: str) -> torch.Tensor:
    """Codes (4, c): two steps of two chains, the pull to E(G(h)) as strong as that to the class."""
    run = invset("sample", "method=ppgn", "method.options.epsilon1=0.01", "neuron=fc8:goldfish", *WIDE, "n=4",
                 "pixels=raw", f"hydra.run.dir={folder}", *options)  # fmt: skip
    assert run.code == 0, run.err
    return load_file(folder / "codes.safetensors")["codes"]


def test_ppgns_first_step_by_hand(invset, here):
    """h' = clip(h + step), along the log-softmax's gradient, taken as 1 − p at the unit, and 0.01 (E(G(h)) − h)."""
    codes = ppgn_codes(invset, here / "run")
    network, generator = build_network("mini"), build_generator("mini")
    first = codes[:2].clone().requires_grad_(True)
    outputs = network.read(["fc6", "fc8"], generator(first))
    logits = outputs["fc8"] / network.logit_scales["fc8"]
    (gradient,) = torch.autograd.grad(((1 - logits.softmax(1)[:, 1]).detach() * logits[:, 1]).sum(), first)
    highest = generator.code_bounds[1]
    unit = highest / 30
    direction = unit * gradient + 0.01 * (outputs["fc6"].detach() - codes[:2]) / unit
    step = unit * direction / direction.abs().mean(dim=1, keepdim=True)
    torch.testing.assert_close(codes[2:4], (codes[:2] + step).clamp(0, highest), rtol=1e-3, atol=1e-4)


def test_ppgn_does_not_know_how_many_times_logits_fc8_is(invset, here):
    tensors, scale = load_file(DATA / "network.safetensors"), build_network("mini").logit_scales["fc8"]
    for name in ("fc8.weight", "fc8.bias"):
        tensors[name] *= 2  # exact
    save_file(tensors, here / "twice.safetensors", {"logit_scale": str(2 * scale)})
    save_file(tensors, here / "other.safetensors", {"logit_scale": str(scale)})
    shipped = ppgn_codes(invset, here / "shipped")
    twice, other = (
        ppgn_codes(invset, here / name, f"network.weights={name}.safetensors") for name in ("twice", "other")
    )
    torch.testing.assert_close(twice, shipped)
    assert not torch.allclose(other, shipped, atol=1e-2)


@pytest.fixture
def pictures(here: Path) -> Path:
    folder = here / "pictures"
    folder.mkdir()
    for grey in (20, 120, 220):
        Image.new("RGB", (8, 8), (grey, grey, grey)).save(folder / f"{grey}.png")
    shutil.copy(folder / "20.png", folder / "copy.png")
    return folder


def test_search_finds_what_lies_in_the_range(invset, here, rows, pictures):
    linear = ("network=linear", "generator=pixels", "generator.options.shape=[3,8,8]", "encoder=none")
    run = ("method=search", f"folder={pictures}", "neuron=output:1", "schedule.K=2")
    every = invset("sample", *linear, *run, "range=[0,1]", "n=4", "hydra.run.dir=all")
    assert every.code == 0, every.err
    values = {float(row["output:1 saved"]) for row in rows(here / "all" / "activations.csv")}
    assert len(values) == 3, "two files are the same image"
    middle = sorted(values)[1]
    some = invset("sample", *linear, *run, f"range=[{middle - 1e-4},{middle + 1e-4}]", "n=4", "hydra.run.dir=some")
    assert some.code == 3
    assert len(rows(here / "some" / "activations.csv")) == 1


def test_pixel_ascent(invset, here):
    result = invset("sample", "method=pixel_ascent", "generator=pixels", "encoder=none", "neuron=fc8:goldfish", *WIDE,
                    "method.options.jitter=2", "hydra.run.dir=run")  # fmt: skip
    assert result.code == 0, result.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("method=ppg", "method=ppg: did you mean ppgn"),
        ("method=paper +method.options.steps=3", "method paper has no settings of its own"),
        ("method=ppgn method.options.steps=many", "method.options.steps=many: give a whole number"),
        ("method=ppgn +method.options.foo=1", "there is no setting 'method.options.foo': for method ppgn there are"),
        ("method=ppgn method.options.take=some", "take=some"),
        ("method=ppgn neuron=conv5:97:max", "at one position"),
        ("method=pixel_ascent", "method=pixel_ascent works on images as they are: add generator=pixels"),
        ("method=search generator=pixels", "give folder=DIR"),
        ("method=mfv generator=pixels encoder=none", "give starts=codes folder=DIR"),
        ("method=dgn_am folder=pictures", "only used with starts=near, codes"),
    ],
)
def test_what_does_not_fit_is_one_line(invset, here, arguments, told):
    result = invset("sample", "range=[0,1]", *arguments.split())
    assert (result.code, result.out) == (2, "")
    assert result.err.count("\n") == 1
    assert told in result.err
    assert list(here.iterdir()) == []
