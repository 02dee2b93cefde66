"""One call each: sample, probe, load; the public names; and the documents."""

from __future__ import annotations

import csv
import inspect
import io
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import torch
from PIL import Image

import invset
from invset.run.config import read_config
from tests.cli.conftest import call
from tests.run.runs import data

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "BENCHMARKS.md", "PAPER.md"),
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").glob("*.md"))),
]
LINEAR: dict[str, Any] = {
    "n": 8,
    "network": {"kind": "linear", "options": {"random_seed": 0, "shape": [3, 8, 8]}},
    "generator": {"kind": "pixels", "options": {"shape": [3, 8, 8]}},
    "encoder": "none",
    "schedule": {"K": 4},
}


def test_every_public_name_is_there() -> None:
    for name in invset.__all__:
        assert getattr(invset, name) is not None
    assert set(dir(invset)) == set(invset.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = invset.nothing


def test_every_type_that_a_public_call_takes_is_public() -> None:
    def named(annotation: object) -> Iterator[type]:
        if isinstance(annotation, type) and annotation.__module__.startswith("invset."):
            yield annotation
        for part in get_args(annotation):
            for one in part if isinstance(part, list) else [part]:  # the arguments of a Callable
                yield from named(one)

    public = [getattr(invset, name) for name in invset.__all__ if name != "__version__"]
    missing = set()
    for one in public:
        if isinstance(one, type) and issubclass(one, Exception):
            continue
        hints = get_type_hints(one.__init__ if isinstance(one, type) and "__init__" in vars(one) else one)
        taken = [kind for name in inspect.signature(one).parameters for kind in named(hints.get(name))]
        missing |= {f"{one.__name__} takes {kind.__name__}" for kind in taken if kind not in public}
    assert not missing


def test_samples_are_compared_by_identity() -> None:
    samples = invset.Samples(*[torch.zeros(1)] * 3, ("a",), ((0, 1),), {}, None, Path())
    other = replace(samples)
    assert samples == samples
    assert samples != other
    assert len({samples, other}) == 2


def test_importing_it_does_not_import_torch() -> None:
    code = "import sys, invset; sys.exit('torch' in sys.modules or 'hydra' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_samples_are_what_they_say_and_what_the_command_line_gives(tmp_path: Path) -> None:
    """The same settings and seed: the same files to the byte."""
    samples = invset.sample("output:1", (0.6, 0.7), folder=tmp_path / "python", **LINEAR)
    assert (len(samples), samples.summary["status"], samples.ranges) == (8, "complete", ((0.6, 0.7),))
    assert (samples.images.shape, samples.activations.shape, samples.codes.shape) == ((8, 3, 8, 8), (8, 1), (8, 192))
    read = invset.Reader(network := invset.build_network("linear"), [invset.parse_unit("output:1", network)])
    torch.testing.assert_close(read(samples.images)[1], samples.activations)
    assert ((samples.activations >= 0.6) & (samples.activations <= 0.7)).all()
    shown = samples._repr_png_()
    assert shown is not None
    assert Image.open(io.BytesIO(shown)).size == samples.grid.size
    assert "output:1" in repr(samples)

    command = ("sample", "experiment=linear", "range=[0.6,0.7]", "n=8", "schedule.K=4")
    result = call(*command, f"hydra.run.dir={tmp_path / 'command'}")
    assert result.code == 0, result.err
    assert data(tmp_path / "command") == data(tmp_path / "python")
    assert read_config(tmp_path / "command") == read_config(tmp_path / "python")
    loaded = invset.load(tmp_path / "command")
    assert torch.equal(loaded.images, samples.images)
    assert torch.equal(loaded.codes, samples.codes)


def test_a_run_without_a_folder_goes_with_its_samples_unless_it_is_saved(tmp_path: Path) -> None:
    samples = invset.sample("output:1", (0.6, 0.7), **LINEAR)
    saved = samples.save(tmp_path / "kept")
    with pytest.raises(invset.InvsetError, match="something already"):
        samples.save(tmp_path / "kept")
    images, folder = samples.images, samples.folder
    del samples
    assert not folder.exists()
    assert torch.equal(invset.load(saved).images, images)


def test_what_cannot_be_reached_gives_no_samples_and_no_error() -> None:
    samples = invset.sample("output:1", (1.5, 2.0), **{**LINEAR, "schedule": {"K": 4, "inner_steps": 5}})
    assert (len(samples), samples.summary["status"], samples.grid) == (0, "unreachable", None)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"numbers": 3}, "no setting 'numbers'"), ({"n": "many"}, "n=many: give a whole number"), ({"n": 0}, "n=0"),
        ({"method": "papers"}, "method=papers: .*paper"), ({"schedule": "quick"}, "give these settings as a dict"),
        ({"method": {"name": "ppgn", "options": {"epsilon": 1}}}, "method.options.epsilon"),
        ({"range": (2, 1)}, "range="), ({"resume": "outputs"}, "command line"),
        ({"images": "nowhere", "starts": "codes"}, "nowhere: there is no such folder of images"),
        ({"images": Path("pictures"), "starts": "normal"}, "pictures: images are only used with"),
        ({"unit": "nothing:1"}, "nothing"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_an_error_of_ours(wrong: dict[str, Any], words: str) -> None:
    given = {"unit": "output:1", "range": (0.6, 0.7), **LINEAR, **wrong}
    with pytest.raises(invset.ConfigError, match=words):
        invset.sample(given.pop("unit"), given.pop("range"), **given)


def test_probe_of_one_unit_and_of_several(tmp_path: Path) -> None:
    """The linear model's activations are those of σ(wᵀx + c): what ascents reach is what the best image gives."""
    settings = {**LINEAR, "codes": 8, "chains": 3, "steps": 30}
    del settings["n"], settings["schedule"]
    one = invset.probe("output:1", **settings)
    random, tops = one.activations["random codes"], one.activations["ascents"]
    assert (len(random), len(tops)) == (8, 3)
    assert tops.min() > random.max()
    linear = invset.build_network("linear")
    torch.testing.assert_close(linear.module(one.images)[:, 0], tops)
    torch.testing.assert_close(one.images.flatten(1), one.codes, rtol=0, atol=0.5 / 255)  # the generator is pixels
    assert len(repr(one).splitlines()) == 5
    assert "3 ascents" in repr(one)
    saved = one.save(tmp_path / "probed")
    with (saved / "activations.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [float(line["activation"]) for line in lines if line["over"] == "ascents"] == tops.tolist()
    assert (saved / "activations.png").read_bytes() == one._repr_png_()
    with Image.open(saved / "ascents.png") as picture:
        assert picture.size == one.grid.size
    with pytest.raises(invset.InvsetError, match="something already"):
        one.save(saved)
    logit = linear.module.logit
    best_image = (logit.weight[0] > 0).float()
    assert tops.max() <= logit(best_image).sigmoid() + 1e-6
    several = invset.probe(["output:1", "logit:1"], **settings)
    assert [len(survey.activations["random codes"]) for survey in several] == [8, 8]
    assert torch.equal(several[0].activations["random codes"], random)
    (saved / "activations.png").unlink()
    assert invset.probe("output:1", images=saved, **settings).activations["images"].shape == (1,)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documents_have_no_gaps_and_their_links_lead_somewhere(document: str) -> None:
    path = ROOT / document
    text = path.read_text()
    assert not re.search(r"@[A-Z0-9]+@|TODO|FIXME", text)
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("http") or (path.parent / target).exists(), target
