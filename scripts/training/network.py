"""The network's training: cross-entropy with the labels and, where there is one, a teacher's soft labels."""

import copy
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from invset.errors import ConfigError, WeightsError
from invset.files import write_atomically
from invset.models.mini import SHIPPED, Dimensions, MiniNetwork, load_network
from invset.models.network import Network
from training.checkpoint import require_dimensions
from training.compute import autocast, compile_if, send
from training.data import ImageSet, draw_rows, read_batch, to_float
from training.evaluate import accuracy
from training.folding import start_from


@dataclass(frozen=True)
class NetworkSettings:
    """How to train it; `teacher_weight` of the loss is the teacher's, the rest the labels'."""

    batch: int = 128
    images: int = 500_000
    rate: float = 2e-3
    weight_decay: float = 0.02
    smoothing: float = 0.1
    shift: int = 6
    teacher_weight: float = 0.5
    bf16: bool | str = "auto"  # true, false; auto: on a GPU


class Teacher:
    """Another network's k largest logits of images, and the log-sum-exp of the others, from an .npz file.

    The file holds `name` (n,), "<class folder>/<file>"; `index` (n, k), rows of fc8; `logit` (n, k); and
    `rest` (n,). It may leave out images: those learn from their labels alone.

    Raises:
        ConfigError: the file knows none of the images.
        WeightsError: there is no such file, or it is damaged or something else.
    """

    def __init__(self, path: str | Path, names: tuple[str, ...]):
        try:
            with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                row = {str(name): i for i, name in enumerate(file["name"])}
                index, logit, rest = (torch.from_numpy(file[key]) for key in ("index", "logit", "rest"))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, BadZipFile) as error:
            raise WeightsError(
                f"{path}: is no table of a teacher's logits ({error}). Write one with stage=label."
            ) from error
        if not (index.ndim == 2 and index.shape == logit.shape and len(row) == len(index) == len(rest)):
            raise WeightsError(f"{path}: its tables do not fit each other. Write it again with stage=label.")
        rows = torch.tensor([row.get(name, -1) for name in names])
        self.known = rows >= 0
        if not self.known.any():
            raise ConfigError(f"{path}: says nothing about any of the images. Its names should look like {names[0]}.")
        rows = rows.clamp_min(0)
        self.index = index[rows].long()
        self.target = torch.cat([logit[rows], rest[rows, None]], 1).float().softmax(1)

    def loss(self, rows: Tensor, logits: Tensor) -> Tensor:
        """Cross-entropy over the k units and "any other", the mean over the known images among `rows`."""
        index, target, known = (send(x[rows], logits.device) for x in (self.index, self.target, self.known))
        log_p = logits.log_softmax(1)
        top = log_p.gather(1, index)
        other = log_p.scatter(1, index, -torch.inf).logsumexp(1, keepdim=True)
        loss = -(target * torch.cat([top, other], 1)).sum(1)
        return (loss * known).sum() / known.sum().clamp_min(1)


def read_logits(network: Network, images: Tensor) -> Tensor:
    """The logits (b, classes) that softmax is of, of images (b, 3, h, w): its fc8, at the scale of training."""
    return network.read(["fc8"], images)["fc8"].float() / network.logit_scales.get("fc8", 1.0)


@torch.no_grad()
def write_table(teacher: Network, data: ImageSet, path: Path, top: int = 32, batch: int = 128) -> None:
    """Write what a `Teacher` reads: another network's `top` largest fc8 units for each image."""
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for part in data.images.split(batch):
        logits = read_logits(teacher, to_float(part.to(teacher.device))).cpu()
        largest = logits.topk(min(top, logits.shape[1] - 1), 1)  # one at least is the rest
        others = logits.scatter(1, largest.indices, -torch.inf).logsumexp(1)
        parts.append((largest.indices.int(), largest.values, others))
    index, logit, rest = (torch.cat(values).numpy() for values in zip(*parts, strict=True))
    path.parent.mkdir(parents=True, exist_ok=True)
    table = BytesIO()
    np.savez(table, name=np.array(data.names), index=index, logit=logit, rest=rest)
    write_atomically(path, table.getvalue())


class NetworkTraining:
    """All that changes from step to step, and the step."""

    def __init__(
        self,
        data: ImageSet,
        classes: int,
        settings: NetworkSettings,
        seed: int,
        device: str,
        teacher: Teacher | None = None,
        dimensions: Dimensions = SHIPPED,
        compile: bool = False,
    ):
        self.settings, self.data, self.device, self.teacher = settings, data, device, teacher
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # layers draw their first weights from the global generator
            self.network = MiniNetwork(classes, norm=True, dimensions=dimensions)
        self.network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._network = compile_if(compile, self.network)
        self.adam = torch.optim.AdamW(
            self.network.parameters(), settings.rate, weight_decay=settings.weight_decay, fused=True
        )
        self.rng = torch.Generator().manual_seed(seed)
        self.step_number = 0

    @property
    def done(self) -> bool:
        """Whether the budget of images is spent."""
        return self.step_number * self.settings.batch >= self.settings.images

    def start_from(self, path: str) -> None:
        """Continue another network's training, or from exported weights ("shipped": the shipped ones).

        Where those have another number of classes, fc8 starts anew.
        """
        rows = draw_rows(len(self.data.labels), 256, self.rng)
        images = to_float(self.data.images[rows.to(self.data.images.device)].to(self.device))
        start_from(self.network, path, "network", self._exported, images)

    def state(self) -> dict:
        """What a checkpoint holds."""
        return {
            "network": self.network.state_dict(),
            "adam": self.adam.state_dict(),
            "rng": self.rng.get_state(),
            "step": self.step_number,
            "dimensions": asdict(self.network.dimensions),
        }

    def load_state(self, state: dict) -> None:
        """Go on exactly from `state`. Raises ConfigError if it is of another size, width or code."""
        require_dimensions(state, self.network.dimensions)
        self.network.load_state_dict(state["network"])
        self.adam.load_state_dict(state["adam"])
        self.rng.set_state(state["rng"])
        self.step_number = state["step"]

    def step(self) -> dict[str, Tensor]:
        """One update; returns the losses."""
        s = self.settings
        for group in self.adam.param_groups:  # falls linearly to zero
            group["lr"] = s.rate * max(0.0, 1 - self.step_number * s.batch / s.images)
        self.network.train()
        rows = draw_rows(len(self.data.labels), s.batch, self.rng)
        images, labels = read_batch(self.data, rows, s.shift, self.rng, self.device)
        with autocast(self.device, s.bf16):
            logits = self._network(images).float()
        label = F.cross_entropy(logits, labels, label_smoothing=s.smoothing)
        losses, loss = {"label": label}, label
        if self.teacher is not None:
            losses["teacher"] = self.teacher.loss(rows, logits)
            loss = torch.lerp(label, losses["teacher"], s.teacher_weight)
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        self.step_number += 1
        return {name: value.detach() for name, value in losses.items()}

    def evaluate(self, held_out: ImageSet) -> dict[str, float]:
        """Top-1 and top-5 accuracy, as fractions."""
        self.network.eval()
        return accuracy(self.network, held_out)

    def _exported(self, path: str | None) -> MiniNetwork:
        """Folded weights, on the scale of training."""
        network = load_network(path)
        for tensor in (network.fc8.weight, network.fc8.bias):
            tensor.div_(network.logit_scale)
        if network.fc8.out_features != self.network.fc8.out_features:
            network.fc8 = copy.deepcopy(self.network.fc8)
        return network
