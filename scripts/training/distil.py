"""The network learns what a teacher says of images that its own units ask the generator for.

Trained on photographs alone, a network's units mean little on a generator's images: ascent finds pictures that raise
them and show nothing. Here chains of codes climb the network's units as it is at each step, a teacher labels the
images on their way, and the network learns the labels, so that what misled it stops doing so.
"""

import copy
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from invset.errors import ConfigError
from invset.models.mini import MiniGenerator, MiniNetwork
from invset.models.network import CodeStatistics, Network
from training.checkpoint import require_dimensions, require_pair
from training.compute import autocast
from training.data import ImageSet, draw_rows, read_batch
from training.evaluate import accuracy, relative_error
from training.network import Teacher, read_logits


@dataclass(frozen=True)
class DistilSettings:
    """How to distil.

    batch: images of chains, and as many photographs, a step. known: share of the chains that climb one of the
    classes; the others climb any unit. longest: steps of a chain, at most, from a natural code or a normal one.
    shortest_step, longest_step: of a chain, in lengths of its code. moves: of each chain between two batches.
    rate: of fc7 and fc8; trunk_rate: of what lies before, where a code comes from; both rise for `warmup` steps.
    photographs: the weight of what is learned from them, beside 1 for the chains' images.
    code: the weight of keeping fc6 where it was, since the generator's codes are of it.
    """

    batch: int = 64
    images: int = 64_000
    rate: float = 5e-4
    trunk_rate: float = 5e-5
    warmup: int = 50
    weight_decay: float = 0.02
    smoothing: float = 0.1
    shift: int = 4
    known: float = 0.75
    longest: int = 40
    shortest_step: float = 0.02
    longest_step: float = 0.08
    moves: int = 2
    photographs: float = 2.0
    code: float = 2.0
    bf16: bool | str = "auto"  # true, false; auto: on a GPU


class DistilTraining:
    """All that changes from step to step, and the step.

    Args:
        network: folded, as shipped; is trained.
        generator: folded; stays as it is.
        statistics: of natural codes, from which chains start.
        teacher: a network whose fc8 has the network's units in the same order.
        data, table: photographs, and what a teacher says of them.
        classes: (k,), rows that chains climb, such as those the generator knows; None for those of the photographs.

    Raises:
        ConfigError: the generator is not of this network, or carries no natural codes.
    """

    def __init__(
        self,
        network: MiniNetwork,
        generator: MiniGenerator,
        statistics: CodeStatistics,
        teacher: Network,
        data: ImageSet,
        table: Teacher | None,
        settings: DistilSettings,
        seed: int,
        device: str,
        classes: Tensor | None = None,
    ):
        require_pair(network, generator)
        if not len(statistics.bank):
            raise ConfigError(
                "the generator carries no natural codes for chains to start from: export it with bank=20000."
            )
        self.settings, self.data, self.table, self.device = settings, data, table, device
        self.first, self.generator, self.teacher, self.statistics = network, generator, teacher, statistics
        self.network = copy.deepcopy(network).eval().requires_grad_(True)
        for module in (self.network, self.first, self.generator, self.teacher.module):
            module.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        head = [*self.network.fc7.parameters(), *self.network.fc8.parameters()]
        trunk = [parameter for parameter in self.network.parameters() if all(parameter is not other for other in head)]
        self.adam = torch.optim.AdamW(
            [{"params": head}, {"params": trunk}], weight_decay=settings.weight_decay, fused=True
        )
        self.rng = torch.Generator().manual_seed(seed)
        self.classes = data.labels.unique().cpu() if classes is None else classes
        chains = settings.batch
        self.codes = torch.zeros(chains, network.dimensions.code)
        self.targets, self.left = torch.zeros(chains, dtype=torch.long), torch.zeros(chains, dtype=torch.long)
        self.lengths = torch.zeros(chains)
        self.step_number = 0

    @property
    def done(self) -> bool:
        """Whether the budget of images is spent."""
        return self.step_number * self.settings.batch >= self.settings.images

    def state(self) -> dict:
        """What a checkpoint holds."""
        return {
            "network": self.network.state_dict(),
            "adam": self.adam.state_dict(),
            "rng": self.rng.get_state(),
            "step": self.step_number,
            "chains": {name: getattr(self, name) for name in ("codes", "targets", "left", "lengths")},
            "dimensions": asdict(self.network.dimensions),
        }

    def load_state(self, state: dict) -> None:
        """Go on exactly from `state`. Raises ConfigError if it is of another size, width or code."""
        require_dimensions(state, self.network.dimensions)
        self.network.load_state_dict(state["network"])
        self.adam.load_state_dict(state["adam"])
        self.rng.set_state(state["rng"])
        self.step_number = state["step"]
        chains = state["chains"]
        if len(chains["codes"]) != len(self.codes):
            raise ConfigError(
                f"the checkpoint has {len(chains['codes'])} chains, settings.batch is {len(self.codes)}. "
                "Go on with the same, or take another out."
            )
        self.codes, self.targets = chains["codes"], chains["targets"]
        self.left, self.lengths = chains["left"], chains["lengths"]

    def step(self) -> dict[str, Tensor]:
        """Move the chains, ask the teacher about their images, and update the network; returns the losses."""
        s = self.settings
        left = max(0.0, 1 - self.step_number * s.batch / s.images)  # falls linearly to zero
        for group, rate in zip(self.adam.param_groups, (s.rate, s.trunk_rate), strict=True):
            group["lr"] = rate * left * min(1.0, (self.step_number + 1) / max(s.warmup, 1))
        made = self._climb()
        rows = draw_rows(len(self.data.labels), s.batch, self.rng)
        real, labels = read_batch(self.data, rows, s.shift, self.rng, self.device)
        images = torch.cat([made, real]).contiguous(memory_format=torch.channels_last)
        with torch.no_grad(), autocast(self.device, s.bf16):
            answers = read_logits(self.teacher, made)
            before = self.first.layers(images, ["fc6"])["fc6"].float()
        with autocast(self.device, s.bf16):
            layers = self.network.layers(images, ["fc6", "fc8"])
        logits = layers["fc8"].float() / self.network.logit_scale
        of_made, of_real = logits[: len(made)], logits[len(made) :]
        losses = {
            "made": F.cross_entropy(of_made, answers.softmax(1)),
            "label": F.cross_entropy(of_real, labels, label_smoothing=s.smoothing),
            "code": relative_error(layers["fc6"], before),
        }
        known = losses["label"]
        if self.table is not None:
            losses["teacher"] = self.table.loss(rows, of_real)
            known = (losses["label"] + losses["teacher"]) / 2
        loss = losses["made"] + s.photographs * known + s.code * losses["code"]
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        self.step_number += 1
        right = answers.argmax(1)
        losses["agreement"] = (of_made.argmax(1) == right).float().mean()
        first = answers.topk(min(5, answers.shape[1]), 1).indices
        losses["reached"] = (first == self.targets.to(answers.device)[:, None]).any(1).float().mean()
        return {name: value.detach() for name, value in losses.items()}

    def evaluate(self, held_out: ImageSet) -> dict[str, float]:
        """Top-1 and top-5 accuracy, as fractions."""
        return accuracy(self.network, held_out)

    def _climb(self) -> Tensor:
        """Images (batch, 3, h, w) of the chains, as an 8-bit file holds them; the chains then stand further up."""
        self._renew()
        for _ in range(self.settings.moves):
            codes = self.codes.to(self.device).requires_grad_(True)
            with autocast(self.device, self.settings.bf16):
                images = self.generator(codes)
                activations = self.network(images).gather(1, self.targets.to(self.device)[:, None]).float().sum()
            (gradient,) = torch.autograd.grad(activations, codes)
            length = self.lengths.to(self.device)[:, None] * codes.detach().norm(dim=1, keepdim=True)
            self.codes = (codes.detach() + length * F.normalize(gradient, dim=1)).relu().cpu()
        return (255 * images.detach().float().clamp(0, 1)).round() / 255

    def _renew(self) -> None:
        """Chains at their end start again: at a natural code or a normal one, with another unit and step length."""
        s, n = self.settings, len(self.codes)
        bank, units = self.statistics.bank, self.network.fc8.out_features
        real = bank[torch.randint(len(bank), (n,), generator=self.rng)]
        normal = torch.randn(self.codes.shape, generator=self.rng) * self.statistics.deviation + self.statistics.mean
        from_real = torch.rand(n, 1, generator=self.rng) < 0.5
        known = self.classes[torch.randint(len(self.classes), (n,), generator=self.rng)]
        any_unit = torch.randint(units, (n,), generator=self.rng)
        of_known = torch.rand(n, generator=self.rng) < s.known
        lengths = torch.empty(n).uniform_(s.shortest_step, s.longest_step, generator=self.rng)
        lives = torch.randint(1, s.longest + 1, (n,), generator=self.rng)
        ended = self.left <= 0
        self.codes = torch.where(ended[:, None], torch.where(from_real, real, normal).relu(), self.codes)
        self.targets = torch.where(ended, torch.where(of_known, known, any_unit), self.targets)
        self.lengths = torch.where(ended, lengths, self.lengths)
        self.left = torch.where(ended, lives, self.left) - s.moves
