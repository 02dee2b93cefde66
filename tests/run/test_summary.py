"""Figures from what was recorded, against figures worked out by hand."""

from __future__ import annotations

import json
import math
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from invset.baselines.rounds import describe_step
from invset.core.problem import Evaluation
from invset.core.region import Region
from invset.run import summary
from invset.run.folder import RunFolder
from invset.run.images import save_pngs
from invset.run.journals import CodeJournal, Journal
from invset.run.json_files import write_json
from invset.run.recorder import Tally, activation_header


class Recorded:
    """What a summary needs of a Recorder: a folder with n samples."""

    def __init__(self, path: Path, encodings: torch.Tensor, codes: torch.Tensor) -> None:
        self.folder = RunFolder.create(path, "n: 1\n", {})
        paths = self.folder.paths
        self.encodings = encodings
        self.count = len(encodings)
        self.codes = CodeJournal(paths.code_journal, codes.shape[1])
        self.codes.append(codes)
        with closing(Journal(paths.activations, activation_header(["a"]))) as journal:
            for number in range(1, self.count + 1):
                save_pngs([paths.image(number)], [torch.full((3, 8, 8), number / 255)])
                journal.append([[number, 1, 0, float(number), number + 0.5, True]])
            journal.append([["", 1, 0, 0.0, 0.0, False]])

    def close(self) -> None:
        self.codes.close()
        self.folder.close()


ENCODINGS = torch.tensor([[0.0, 0.0], [3.0, 4.0], [3.0, 4.5], [0.0, 0.0]])
CODES = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0], [0.0, 4.0]])


def colours(path: Path) -> set[tuple[int, ...]]:
    with Image.open(path) as picture:
        return {tuple(pixel) for pixel in np.asarray(picture.convert("RGB")).reshape(-1, 3).tolist()}


@pytest.fixture
def recorded(tmp_path):
    made = Recorded(tmp_path / "run", ENCODINGS, CODES)
    yield made
    made.close()


def test_figures(recorded):
    tally = Tally(
        samples=4, candidates=5, steps=11, seed_steps=7, sampling_steps=3, tried=8, accepted=6, forward=1, backward=2,
        checked=5, closest=(1.5,), violation=0.0, seconds=1.5,
    )  # fmt: skip
    made = summary.summarise(recorded, 2, tally, 6, "incomplete", 10.0)
    points = ENCODINGS.numpy()
    pairs = [np.linalg.norm(points[i] - points[j]) for i in range(4) for j in range(i)]
    assert made["mean_pairwise_distance"] == pytest.approx(np.mean(pairs))
    # Nearer than 10 / 10 to an earlier one: the third to the second, the fourth to the first.
    assert (made["near_duplicates"], made["near_duplicate_share"]) == (2, 0.5)
    assert (made["in_range_as_saved"], made["acceptance"]) == (0.8, 0.75)
    assert (made["samples"], made["wanted"], made["candidates"]) == (4, 6, 5)
    assert (made["seed_steps"], made["sampling_steps"], made["minimum_sampling_steps"]) == (7, 3, 2)
    assert made["passes"] == {"forward": 1, "backward": 2, "forward_of_saved_images": 5}
    assert made["closest"] == {"activations": [1.5], "violation": 0.0}
    expected = {"lowest": -3, "highest": 4, "mean_norm_of_first_tenth": 1, "mean_norm_of_last_tenth": 4}
    assert made["codes"] == expected
    assert (made["gradient_steps"], made["seconds"]) == (11, 1.5)
    assert made["peak_memory_bytes"] > 1 << 20
    without = summary.summarise(recorded, 2, tally, 6, "incomplete", 10.0, has_seeds=False)
    assert {"seed_steps", "minimum_sampling_steps"} <= made.keys() - without.keys()


def test_a_distance_of_exactly_a_tenth_is_no_near_duplicate(recorded):
    assert summary.summarise(recorded, 2, Tally(), 4, "complete", 5.0)["near_duplicates"] == 1


def test_nothing_recorded(tmp_path):
    empty = Recorded(tmp_path / "run", torch.empty(0, 0), torch.empty(0, 2))
    made = summary.summarise(empty, 2, Tally(), 6, "failed", math.nan)
    assert (made["samples"], made["near_duplicates"]) == (0, 0)
    assert made["seed_steps"] is None
    write_json(empty.folder.paths.summary, made)
    text = empty.folder.paths.summary.read_text()
    assert json.loads(text)["mean_pairwise_distance"] is None
    summary.write_codes(empty, 2)
    assert load_file(empty.folder.paths.codes)["codes"].shape == (0, 2)
    summary.write_samples(empty, ["a"], "title")
    assert not empty.folder.paths.samples.exists()
    empty.close()


def test_codes_of_samples_that_count_and_no_more(recorded):
    recorded.codes.append(torch.tensor([[9.0, 9.0]]))  # its line did not get into activations.csv
    summary.write_codes(recorded, 2)
    assert torch.equal(load_file(recorded.folder.paths.codes)["codes"], CODES)


def test_the_grid_of_samples_is_the_same_each_time_and_each_is_in_it(recorded):
    grid = recorded.folder.paths.samples
    written = []
    for _ in range(2):
        summary.write_samples(recorded, ["a"], "title")
        written.append(grid.read_bytes())
    assert written[0] == written[1]
    assert {(number,) * 3 for number in range(1, 5)} <= colours(grid)


def test_the_picture_of_seeds_has_each_of_them_and_none_is_drawn_without_images(recorded):
    shades = torch.tensor([0.2, 0.4, 0.6])
    images = shades[:, None, None, None].expand(3, 3, 8, 8)
    region = Region.two_sided([(0.3, 0.7)])
    step = describe_step(region, 0, shades[:, None], Evaluation(images[:0], shades[:, None], shades[:, None]))
    summary.write_seeds(recorded, step, "title")
    assert not recorded.folder.paths.seeds.exists()
    summary.write_seeds(recorded, step._replace(evaluation=step.evaluation._replace(images=images)), "title")
    assert {(51,) * 3, (102,) * 3, (153,) * 3} <= colours(recorded.folder.paths.seeds)
