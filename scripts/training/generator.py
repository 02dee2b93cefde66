"""The generator's training: pixels, features, code and a discriminator (Dosovitskiy & Brox 2016)."""

import copy
from dataclasses import asdict, dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from invset.errors import ConfigError
from invset.models.mini import MiniGenerator, MiniNetwork, load_generator
from training.checkpoint import initialise, require_dimensions
from training.compute import autocast, compile_if, send
from training.critic import Critic
from training.data import ImageSet, draw_classmates, draw_rows, read_batch
from training.discriminator import Discriminator, adversarial_loss, discriminator_loss
from training.evaluate import encode, reconstruction, relative_error
from training.folding import start_from

FEATURES = ("conv2", "conv3", "conv4", "conv5")  # not conv1: a loss there leaves a dotted grid
OWN_MAPS = ("conv3", "conv5")  # what the discriminator sees where there is no critic


@dataclass(frozen=True)
class GeneratorSettings:
    """How to train it.

    batch: images a step, half of them classmates of the other half. mixed: further codes a step, made between
    two natural ones and towards their class, which only the discriminator and the code loss judge. pixel, feature,
    critic, code, adversarial: the weights of the losses; critic counts only where there is one.
    """

    batch: int = 32
    mixed: int = 16
    images: int = 400_000
    rate: float = 3e-4
    discriminator_rate: float = 6e-4
    decay: float = 0.25  # last part of the images, over which the rates fall to zero
    ema: float = 0.995
    shift: int = 4
    raise_up_to: float = 0.8  # how far a mixed code moves towards a class, in lengths of itself
    warmup: int = 100  # steps before the discriminator counts
    pixel: float = 2.0
    feature: float = 0.5
    critic: float = 0.7
    code: float = 0.3
    adversarial: float = 0.5
    bf16: bool | str = "auto"  # true, false; auto: on a GPU

    def __post_init__(self) -> None:
        """Raises ConfigError where batch and mixed do not fit."""
        if self.mixed > self.batch // 2:
            raise ConfigError(
                f"settings.mixed is {self.mixed}, and may be at most half of settings.batch, "
                f"{self.batch // 2}. Take fewer."
            )


class GeneratorTraining:
    """All that changes from step to step, and the step."""

    def __init__(
        self,
        network: MiniNetwork,
        data: ImageSet,
        settings: GeneratorSettings,
        seed: int,
        device: str,
        width: float = 1.0,
        compile: bool = False,
        critic: Critic | None = None,
    ):
        """The generator's size and code are the network's. Raises ConfigError if there is no such width."""
        dimensions = replace(network.dimensions, width=width)
        self.settings, self.data, self.device, self.critic = settings, data, device, critic
        maps = {name: network.dimensions.channels(128) for name in OWN_MAPS} if critic is None else critic.channels
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # layers draw their first weights from the global generator
            self.generator = MiniGenerator(norm=True, dimensions=dimensions)
            self.discriminator = Discriminator(network, maps, dimensions.channels(48))
        self.classes = data.labels.unique().to(device)
        self._by_class = data.labels.sort(stable=True)
        self.average = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self.network = network.eval().requires_grad_(False)
        for module in (self.generator, self.discriminator, self.average, self.network):
            module.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._generator, self._discriminator = (
            compile_if(compile, self.generator),
            compile_if(compile, self.discriminator),
        )
        self._layers = compile_if(compile, self.network.layers)
        self.generator_adam = _adam(self.generator, settings.rate)
        self.discriminator_adam = _adam(self.discriminator, settings.discriminator_rate)
        self.rng = torch.Generator().manual_seed(seed)
        self.step_number = 0

    @property
    def done(self) -> bool:
        """Whether the budget of images is spent."""
        return self.step_number * self.settings.batch >= self.settings.images

    def start_from(self, path: str) -> None:
        """Continue another's training, or from exported weights ("shipped": the shipped ones).

        Of a checkpoint's discriminator, what fits is taken over; exported weights have none.
        """
        rows = draw_rows(len(self.data.labels), 256, self.rng)
        codes = encode(self.network, self.data.images[rows.to(self.data.images.device)], 64)
        start_from(self.generator, path, "average", load_generator, codes.to(self.device))
        if path.endswith(".pt"):
            initialise(self.discriminator, path, "discriminator", fitting=True)
        self.average.load_state_dict(self.generator.state_dict())

    def state(self) -> dict:
        """What a checkpoint holds."""
        return {name: part.state_dict() for name, part in self._parts().items()} | {
            "rng": self.rng.get_state(),
            "step": self.step_number,
            "dimensions": asdict(self.generator.dimensions),
        }

    def load_state(self, state: dict) -> None:
        """Go on exactly from `state`. Raises ConfigError if it is of another size, width or code."""
        require_dimensions(state, self.generator.dimensions)
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.rng.set_state(state["rng"])
        self.step_number = state["step"]

    def _parts(self) -> dict:
        names = ("generator", "discriminator", "average", "generator_adam", "discriminator_adam")
        return {name: getattr(self, name) for name in names}

    def step(self) -> dict[str, Tensor]:
        """One update of the discriminator, then one of the generator; returns the losses."""
        self._set_rates()
        self.generator.train()
        images, labels = self._batch()
        n = len(images)
        with autocast(self.device, self.settings.bf16):
            with torch.no_grad():
                features, codes = self._features(images)
                maps = self._maps(images, features)
            mixed = self._mixed_codes(codes, labels)
            all_codes, all_labels = torch.cat([codes, mixed]), torch.cat([labels, self._read(mixed)])
            made = self._generator(all_codes)
            made_features, made_codes = self._features(made)
            made_maps = self._maps(made, made_features)
            detached = {name: value.detach() for name, value in made_maps.items()}
            real = self._discriminator(images, maps, codes, labels)
            fake = self._discriminator(made.detach(), detached, all_codes, all_labels)
            discriminator = discriminator_loss(real, fake)
        self.discriminator_adam.zero_grad()
        discriminator.backward()
        self.discriminator_adam.step()

        with autocast(self.device, self.settings.bf16):
            losses = {"pixel": (made[:n] - images).abs().mean(), "feature": mean_error(made_features, features)}
            losses["code"] = relative_error(made_codes[:n], all_codes[:n])
            if len(mixed):
                losses["mixed_code"] = relative_error(made_codes[n:], all_codes[n:])
            if self.critic is not None:
                losses["critic"] = mean_error(made_maps, maps)
            self.discriminator.requires_grad_(False)
            losses["adversarial"] = adversarial_loss(self._discriminator(made, made_maps, all_codes, all_labels), n)
            self.discriminator.requires_grad_(True)
            loss = torch.stack([weight * losses[name].float() for name, weight in self._weights().items()]).sum()
        self.generator_adam.zero_grad()
        loss.backward()
        self.generator_adam.step()
        self._update_average()
        self.step_number += 1
        losses["discriminator"] = discriminator
        return {name: value.detach() for name, value in losses.items()}

    def evaluate(self, held_out: ImageSet, codes: Tensor) -> tuple[dict[str, float], Tensor]:
        """The averaged generator's `reconstruction` of held-out images with these codes."""
        return reconstruction(self.average, self.network, held_out, codes)

    def _weights(self) -> dict[str, float]:
        s = self.settings
        weights = {"pixel": s.pixel, "feature": s.feature, "code": s.code}
        if self.critic is not None:
            weights["critic"] = s.critic
        if s.mixed:
            weights["mixed_code"] = s.code * s.mixed / s.batch
        if self.step_number >= s.warmup:
            weights["adversarial"] = s.adversarial
        return weights

    def _batch(self) -> tuple[Tensor, Tensor]:
        rows = draw_rows(len(self.data.labels), self.settings.batch // 2, self.rng)
        rows = torch.cat([rows, draw_classmates(self.data.labels, self._by_class, rows, self.rng)])
        return read_batch(self.data, rows, self.settings.shift, self.rng, self.device)

    def _maps(self, images: Tensor, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """What the discriminator sees beside pixels: the critic's maps, or else some of the network's own."""
        return {name: features[name] for name in OWN_MAPS} if self.critic is None else self.critic(images)

    def _features(self, images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """The features of FEATURES, and the code."""
        kept = self._layers(images, (*FEATURES, "fc6"))
        return kept, kept.pop("fc6").float()

    def _mixed_codes(self, codes: Tensor, labels: Tensor) -> Tensor:
        """Codes between two of one class; every second is then moved up the gradient of a class's unit.

        The class is their own or, every second time, another image's: ascent may start from any natural code.
        """
        n, half = self.settings.mixed, len(codes) // 2
        number = torch.arange(n)[:, None]
        t = send(torch.rand(n, 1, generator=self.rng), self.device)
        far = torch.rand(n, 1, generator=self.rng) * self.settings.raise_up_to * (number % 2)
        other = send(number % 4 == 3, self.device)
        target = torch.where(other, labels.roll(1)[:n, None], labels[:n, None])
        mixed = ((1 - t) * codes[:n] + t * codes[half : half + n]).detach().requires_grad_(True)
        with torch.enable_grad():
            activation = self.network.fc8(self.network.fc7(mixed)).gather(1, target).float().sum()
        (gradient,) = torch.autograd.grad(activation, mixed)
        step = send(far, self.device) * mixed.norm(dim=1, keepdim=True) * F.normalize(gradient, dim=1)
        return (mixed + step).relu().detach()

    def _read(self, codes: Tensor) -> Tensor:
        """The one of the classes with images that the network reads in each code."""
        return self.classes[self.network.fc8(self.network.fc7(codes))[:, self.classes].argmax(1)]

    def _set_rates(self) -> None:
        s = self.settings
        left = 1 - self.step_number * s.batch / s.images
        factor = min(1.0, max(left, 0.0) / s.decay) if s.decay else 1.0
        for adam, rate in ((self.generator_adam, s.rate), (self.discriminator_adam, s.discriminator_rate)):
            for group in adam.param_groups:
                group["lr"] = rate * factor

    @torch.no_grad()
    def _update_average(self) -> None:
        """Exponential moving average of weights and of BatchNorm's statistics."""
        old, new = self.average.state_dict(), self.generator.state_dict()
        floating = [name for name, value in old.items() if value.is_floating_point()]
        torch._foreach_lerp_([old[name] for name in floating], [new[name] for name in floating], 1 - self.settings.ema)
        for name in old.keys() - floating:
            old[name].copy_(new[name])


def mean_error(made: dict[str, Tensor], real: dict[str, Tensor]) -> Tensor:
    """Mean over maps of the relative error between those of images and of as many that were made of their codes."""
    return torch.stack([relative_error(made[name][: len(real[name])], real[name]) for name in real]).mean()


def _adam(module: nn.Module, rate: float) -> torch.optim.Adam:
    return torch.optim.Adam(module.parameters(), rate, betas=(0.5, 0.99), fused=True)
