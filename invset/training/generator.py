"""The generator's training: pixels, features, code and a discriminator (Dosovitskiy & Brox 2016)."""

import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from invset.errors import ConfigError
from invset.models.mini import MiniGenerator, MiniNetwork, load_generator
from invset.training.checkpoint import initialise
from invset.training.data import ImageSet, augmented, random_rows, same_class_rows, scaled
from invset.training.discriminator import Discriminator, Scores
from invset.training.evaluate import encode, reconstruction, relative_error
from invset.training.unfold import unfold

FEATURES = ("conv2", "conv3", "conv4", "conv5")  # not conv1: a loss there leaves a dotted grid


@dataclass(frozen=True)
class GeneratorSettings:
    """How to train it.

    batch: images a step, half of them classmates of the other half. mixed: further codes a step, made between
    two real ones and towards their class, which only the discriminator and the code loss judge.
    """

    batch: int = 32
    mixed: int = 8
    images: int = 400_000
    rate: float = 3e-4
    discriminator_rate: float = 6e-4
    decay: float = 0.25  # last part of the images, over which the rates fall to zero
    ema: float = 0.995
    shift: int = 4
    raise_up_to: float = 0.8  # how far a mixed code moves towards a class, in lengths of itself
    warmup: int = 50  # steps before the discriminator counts
    pixel: float = 4.0
    feature: float = 0.5
    code: float = 0.3
    adversarial: float = 0.2
    bf16: bool = False

    def __post_init__(self) -> None:
        """Raises ConfigError where batch and mixed do not fit."""
        if self.mixed > self.batch // 2:
            raise ConfigError(
                f"settings.mixed is {self.mixed}, and may be at most half of settings.batch, "
                f"{self.batch // 2}. Take fewer."
            )


class GeneratorTraining:
    """All that changes from step to step, and the step."""

    def __init__(self, network: MiniNetwork, data: ImageSet, settings: GeneratorSettings, seed: int, device: str):
        self.settings, self.data, self.device = settings, data, device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # layers draw their first weights from the global generator
            self.generator, self.discriminator = MiniGenerator(norm=True), Discriminator(network.fc8.out_features)
        self.classes = data.labels.unique().to(device)
        self.average = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self.network = network.eval().requires_grad_(False)
        for module in (self.generator, self.discriminator, self.average, self.network):
            module.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.generator_adam = _adam(self.generator, settings.rate)
        self.discriminator_adam = _adam(self.discriminator, settings.discriminator_rate)
        self.rng = torch.Generator().manual_seed(seed)
        self.step_number = 0

    @property
    def done(self) -> bool:
        """Whether the budget of images is spent."""
        return self.step_number * self.settings.batch >= self.settings.images

    def start_from(self, path: str) -> None:
        """Continue another generator's training, with a new discriminator; its weights may be folded."""
        if path.endswith(".pt"):
            initialise(self.generator, path, "average")
        else:
            rows = random_rows(len(self.data.labels), 256, self.rng)
            codes = encode(self.network, self.data.images[rows])
            unfold(load_generator(path), self.generator, codes.to(self.device))
        self.average.load_state_dict(self.generator.state_dict())

    def state(self) -> dict:
        """What a checkpoint holds."""
        return {name: part.state_dict() for name, part in self._parts().items()} | {
            "rng": self.rng.get_state(),
            "step": self.step_number,
        }

    def load_state(self, state: dict) -> None:
        """Go on exactly from `state`."""
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
        with self._autocast():
            with torch.no_grad():
                features, codes = self._features(images)
            mixed = self._mixed_codes(codes, labels)
            all_codes, all_labels = torch.cat([codes, mixed]), torch.cat([labels, self._read(mixed)])
            made = self.generator(all_codes)
            made_features, made_codes = self._features(made)
            seen = {name: value.detach() for name, value in made_features.items()}
            discriminator_loss = self._discriminator_loss(images, features, made.detach(), seen, all_codes, all_labels)
        self.discriminator_adam.zero_grad()
        discriminator_loss.backward()
        self.discriminator_adam.step()

        with self._autocast():
            losses = self._similarity_losses(images, features, made, made_features)
            losses |= self._code_losses(made_codes, all_codes)
            losses["adversarial"] = self._adversarial_loss(made, made_features, all_codes, all_labels)
            weights = self._weights()
            loss = torch.stack([weight * losses[name].float() for name, weight in weights.items()]).sum()
        self.generator_adam.zero_grad()
        loss.backward()
        self.generator_adam.step()
        self._update_average()
        self.step_number += 1
        losses["discriminator"] = discriminator_loss
        return {name: value.detach() for name, value in losses.items()}

    def evaluate(self, held_out: ImageSet, codes: Tensor) -> tuple[dict[str, float], Tensor]:
        """The averaged generator's `reconstruction` of held-out images with these codes."""
        return reconstruction(self.average, self.network, held_out, codes)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device, torch.bfloat16, enabled=self.settings.bf16)

    def _discriminator_loss(
        self,
        images: Tensor,
        features: dict[str, Tensor],
        made: Tensor,
        made_features: dict[str, Tensor],
        codes: Tensor,
        labels: Tensor,
    ) -> Tensor:
        """Hinge losses of realism alone, and with label and code; of a mixed code there is no real image."""
        n = len(images)
        real = self.discriminator(images, features, codes[:n], labels[:n])
        fake = self.discriminator(made, made_features, codes, labels)
        hinges = [F.relu(1 - real.alone), F.relu(1 - real.alone - real.code - real.label)]
        hinges += [F.relu(1 + fake.alone), F.relu(1 + self._judged(fake))]
        return torch.stack([hinge.mean() for hinge in hinges]).sum()

    def _adversarial_loss(
        self, made: Tensor, made_features: dict[str, Tensor], codes: Tensor, labels: Tensor
    ) -> Tensor:
        self.discriminator.requires_grad_(False)
        fake = self.discriminator(made, made_features, codes, labels)
        self.discriminator.requires_grad_(True)
        return -self._judged(fake).mean()

    def _judged(self, fake: Scores) -> Tensor:
        """With label and, where an image has had that code, with code."""
        has_image = torch.arange(len(fake.code), device=fake.code.device) < self.settings.batch
        return fake.alone + fake.label + fake.code * has_image[:, None]

    def _similarity_losses(
        self, images: Tensor, features: dict[str, Tensor], made: Tensor, made_features: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        n = len(images)
        errors = [relative_error(made_features[name][:n], features[name]) for name in FEATURES]
        return {"pixel": (made[:n] - images).abs().mean(), "feature": torch.stack(errors).mean()}

    def _code_losses(self, made_codes: Tensor, codes: Tensor) -> dict[str, Tensor]:
        n = self.settings.batch
        losses = {"code": relative_error(made_codes[:n], codes[:n])}
        if len(codes) > n:
            losses["mixed_code"] = relative_error(made_codes[n:], codes[n:])
        return losses

    def _weights(self) -> dict[str, float]:
        s = self.settings
        weights = {"pixel": s.pixel, "feature": s.feature, "code": s.code}
        if s.mixed:
            weights["mixed_code"] = s.code * s.mixed / s.batch
        if self.step_number >= s.warmup:
            weights["adversarial"] = s.adversarial
        return weights

    def _batch(self) -> tuple[Tensor, Tensor]:
        rows = random_rows(len(self.data.labels), self.settings.batch // 2, self.rng)
        rows = torch.cat([rows, same_class_rows(self.data.labels, rows, self.rng)])
        images = scaled(augmented(self.data.images[rows], self.settings.shift, self.rng).to(self.device))
        return images.contiguous(memory_format=torch.channels_last), self.data.labels[rows].to(self.device)

    def _features(self, images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """The features of FEATURES, and the code."""
        kept: dict[str, Tensor] = {}
        handles = [
            getattr(self.network, name).register_forward_hook(
                lambda module, inputs, output, name=name: kept.__setitem__(name, output)
            )
            for name in (*FEATURES, "fc6")
        ]
        try:
            self.network(images)
        finally:
            for handle in handles:
                handle.remove()
        return kept, kept.pop("fc6").float()

    def _mixed_codes(self, codes: Tensor, labels: Tensor) -> Tensor:
        """Codes between two of one class; every second is then moved up the gradient of a class's unit.

        The class is their own or, every second time, another image's: ascent may start from any real code.
        """
        n, half = self.settings.mixed, len(codes) // 2
        number = torch.arange(n)[:, None]
        t = torch.rand(n, 1, generator=self.rng).to(self.device)
        far = torch.rand(n, 1, generator=self.rng) * self.settings.raise_up_to * (number % 2)
        other = (number % 4 == 3).to(self.device)
        target = torch.where(other, labels.roll(1)[:n, None], labels[:n, None])
        mixed = ((1 - t) * codes[:n] + t * codes[half : half + n]).detach().requires_grad_(True)
        with torch.enable_grad():
            activation = self.network.fc8(self.network.fc7(mixed)).gather(1, target).float().sum()
        (gradient,) = torch.autograd.grad(activation, mixed)
        step = far.to(self.device) * mixed.norm(dim=1, keepdim=True) * F.normalize(gradient, dim=1)
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
        new = self.generator.state_dict()
        for name, value in self.average.state_dict().items():
            if value.is_floating_point():
                value.lerp_(new[name], 1 - self.settings.ema)
            else:
                value.copy_(new[name])


def _adam(module: nn.Module, rate: float) -> torch.optim.Adam:
    return torch.optim.Adam(module.parameters(), rate, betas=(0.5, 0.99), fused=True)
