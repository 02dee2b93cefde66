"""The picture of a run's groups: a row each, its medoid framed, then samples from near it to far from it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image, ImageColor
from torch import Tensor

from invset.report.facet_groups import Group
from invset.report.figures import COLUMNS, rows_of_images
from invset.report.readings import pictured
from invset.report.runs import FinishedRun

FRAME = "#c0392b"
ROWS = 20  # groups in the picture at most


def shown_rows(group: Group, count: int = COLUMNS) -> list[int]:
    """Which of a group's samples are shown: the medoid, then evenly spaced from the nearest to the farthest."""
    rows = group.rows.tolist()
    if len(rows) <= count:
        return rows
    places = torch.linspace(1, len(rows) - 1, count - 1).round().long().tolist()
    return [rows[0], *(rows[place] for place in places)]


def facet_picture(
    run: FinishedRun, chosen: Sequence[int], groups: Sequence[Group], activations: Tensor, chains: Tensor, heading: str
) -> Image.Image:
    """A row a group, the largest `ROWS` of them, under a heading.

    Args:
        run: where the images are.
        chosen: the n rows of the run's samples that were grouped.
        groups: of these n.
        activations: (n, p).
        chains: (n,).
        heading: over the first row.

    Raises:
        RunFolderError: an image is missing or damaged.
    """
    titles, images, captions = [], [], []
    for group in groups[:ROWS]:
        rows = shown_rows(group)
        first, *others = pictured(run, [chosen[row] for row in rows])
        images.append([framed(first, FRAME), *(framed(image, "white") for image in others)])
        values = ["  ".join(f"{value:.4g}" for value in activations[row].tolist()) for row in rows]
        words = [f"{value}\nchain {int(chains[row])}" for value, row in zip(values, rows, strict=True)]
        captions.append([f"medoid  {words[0]}", *words[1:]])
        titles.append(f"{group.title}\nseen: {group.seen}" if group.seen else group.title)
    titles[0] = f"{heading}\n\n{titles[0]}"
    return rows_of_images(titles, images, captions)


def framed(image: Tensor, colour: str) -> Tensor:
    """(3, h, w) in [0, 1] -> the image within a frame of a 32nd of its longer side, 1 pixel at least."""
    height, width = image.shape[1:]
    edge = max(1, max(height, width) // 32)
    whole = torch.tensor(ImageColor.getrgb(colour)[:3]).view(3, 1, 1) / 255
    whole = whole.expand(3, height + 2 * edge, width + 2 * edge).clone()
    whole[:, edge : edge + height, edge : edge + width] = image
    return whole
