"""What a unit's activation reaches, and ranges that make sense: over codes, images, and the tops of ascents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from invset import files
from invset.assemble.models import Models
from invset.assemble.reach import build_reading, climb, evaluate, suggest_ranges
from invset.assemble.sampling import code_bounds
from invset.core import scales
from invset.errors import RunFolderError
from invset.models.image_folder import ImageFolder
from invset.models.reader import Reader
from invset.models.starts import Starts
from invset.passes.micro_batches import describing_memory
from invset.report.tables import csv_text
from invset.run.images import encode_png
from invset.run.sheet import Cell, Strip, sheet, tile
from invset.settings import ProbeSettings

BATCH = 64  # images
QUANTILES = {"lowest": 0.0, "5%": 0.05, "half": 0.5, "95%": 0.95, "highest": 1.0}


@dataclass(frozen=True, eq=False)
class Survey:
    """What one unit's activation reaches.

    Attributes:
        unit: with its label.
        activations: (m,) each, over "random codes", "natural codes", "images" and at the tops of "ascents", as far as
            there are any.
        codes: of the ascents' tops, (m, c).
        images: of the same, (m, 3, h, w) in [0, 1].
    """

    unit: str
    activations: Mapping[str, Tensor]
    codes: Tensor
    images: Tensor

    def __repr__(self) -> str:
        ranges = ", ".join(f"({low:g}, {high:g})" for low, high in self.ranges)
        return f"{self.unit}\n{self.table}\nranges to try: {ranges or 'none'}"

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        from invset.report.plots import distributions  # not before a plot is drawn: it imports matplotlib

        return encode_png(distributions(self.unit, self.activations))

    @property
    def table(self) -> str:
        """The activations' quantiles, a line each, as `invset probe` prints them."""
        lines: list[tuple[str, ...]] = [("activation over", *QUANTILES)]
        for name, values in self.activations.items():
            cells = (f"{float(values.quantile(share)):.4g}" for share in QUANTILES.values())
            lines.append((f"{len(values)} {name}", *cells))
        first, *others = (max(map(len, column)) for column in zip(*lines, strict=True))
        return "\n".join(
            "  ".join([name.ljust(first), *(cell.rjust(width) for cell, width in zip(cells, others, strict=True))])
            for name, *cells in lines
        )

    @property
    def grid(self) -> Image.Image:
        """The images that the ascents came to, each over its activation."""
        tops = self.activations["ascents"].tolist()
        cells = [Cell(tile(image), f"{top:.4g}") for image, top in zip(self.images, tops, strict=True)]
        return sheet(f"{self.unit}\ntops of ascents", [Strip(cells)])

    def save(self, folder: str | Path) -> Path:
        """Write activations.csv, activations.png and ascents.png into a folder that is not there yet.

        Raises:
            RunFolderError: there is something, or it cannot be written.
        """
        root = Path(folder)
        lines = [{"over": name, "activation": one} for name, many in self.activations.items() for one in many.tolist()]
        if root.exists():
            raise RunFolderError(f"{folder}: there is something already; choose another folder.")
        with files.describing(RunFolderError, root, ", or choose another folder"):
            root.mkdir(parents=True)
            (root / "activations.csv").write_text(csv_text(lines), encoding="utf-8")
            (root / "activations.png").write_bytes(self._repr_png_())
            (root / "ascents.png").write_bytes(encode_png(self.grid))
        return root

    @property
    def ranges(self) -> list[tuple[float, float]]:
        """Ranges side by side, of round numbers, from what natural codes seldom exceed to what ascents reach."""
        return suggest_ranges(self.activations[self._usual], self.activations["ascents"])

    def standing(self, lowest: float) -> str:
        """How many codes are that high."""
        codes = self.activations[self._usual]
        count = int((codes >= lowest).sum())
        return f"{count} of {len(codes)} {self._usual} {'is' if count == 1 else 'are'} as high"

    @property
    def _usual(self) -> str:
        return "natural codes" if "natural codes" in self.activations else "random codes"


def survey(
    settings: ProbeSettings, models: Models, on_smaller: Callable[[int], None] = lambda largest: None
) -> Iterator[Survey]:
    """The activations of each unit, in order; `on_smaller` is given what goes through at once when memory runs out.

    Raises:
        InvsetError: the generator knows no random codes, the folder holds no images, or memory does not suffice.
        NonFiniteError: a network gave NaN or infinity.
    """
    with describing_memory("try device=cpu"):
        generator, device = models.generator, models.device
        reader = Reader(models.network, models.units)
        images = None if settings.folder is None else ImageFolder(settings.folder, models.network.input_shape[1:])
        problem, batches = build_reading(generator, reader, code_bounds(settings.code.bounds, generator))
        batches.on_smaller = on_smaller
        read = batches.over(reader)
        count = max(settings.codes, settings.chains)
        where = settings.folder if models.starts == "codes" else None
        starts = Starts(models.starts, settings.seed, count, generator, models.inverse, where)  # type: ignore[arg-type]
        codes = torch.stack([starts.draw(chain) for chain in range(count)]).to(device)
        distance = scales.typical_distance(codes[:BATCH])
        codes, drawn = evaluate(problem, codes)
        known = drawn
        over = {"random codes": drawn[: settings.codes]}
        if generator.statistics is not None and len(generator.statistics.bank):
            natural = generator.statistics.bank.to(device)
            natural, over["natural codes"] = evaluate(problem, natural)
            codes, known = torch.cat([codes, natural]), torch.cat([drawn, over["natural codes"]])
        if images is not None:
            with torch.no_grad():
                over["images"] = torch.cat([read(batch.to(device))[1].cpu() for batch in images.batches(BATCH)])
        for index, unit in enumerate(models.units):
            tops, highest = climb(problem, codes, known, index, distance, settings.chains, settings.steps)
            made = torch.cat([problem.evaluate(batch).images for batch in highest.split(BATCH)])
            activations = {name: values[:, index] for name, values in over.items()} | {"ascents": tops.cpu()}
            yield Survey(unit.describe(), activations, highest.cpu(), made.cpu())
