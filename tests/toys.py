"""Problems whose every number can be worked out by hand, and what tests do with the methods that solve them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from invset.core.full import Full
from invset.core.method import ACTIVE, Method, Step
from invset.core.multistart import Multistart
from invset.core.paper import Paper
from invset.core.problem import Pipeline, Problem
from invset.core.region import Region
from invset.core.seeding import Schedule
from invset.passes.micro_batches import MicroBatches
from invset.passes.plain import Plain
from invset.run.checkpoint import pack

Array = NDArray[np.float64]
TWO_RANGES = ((8.0, 12.0), (-9.0, -6.0))  # of `Linear`


def exact(region: Region) -> Region:
    """The region in float64."""
    return Region(*(getattr(region, name).double() for name in region.__dataclass_fields__))


def in_units(region: Region, scale: float) -> Region:
    """The region where activations are so many times as large."""
    return Region(*(getattr(region, name) * scale for name in region.__dataclass_fields__))


def problem_of(
    generate: Callable[[Tensor], Tensor],
    read: Callable[[Tensor], tuple[Tensor, Tensor]],
    size: int | None = None,
    code_bounds: tuple[float, float] | None = None,
    **options: Any,
) -> Problem:
    """A problem whose passes go through in parts of `size`; the images are raw, if nothing else is said."""
    pipeline = Pipeline(generate, read, **{"eight_bit": False, **options})
    return Problem(MicroBatches(Plain(pipeline), size), code_bounds)


def as_images(codes: Tensor) -> Tensor:
    """Codes (k, c) -> (k, c, 1, 1), for networks that read codes as they are."""
    return codes[:, :, None, None]


class Toy:
    """A problem to solve: `generate`, `read`, `draw`, `references` and `region`, and the methods of the core on it."""

    generate: Callable[[Tensor], Tensor]
    read: Callable[[Tensor], tuple[Tensor, Tensor]]

    def problem(self, size: int | None = None, **options: Any) -> Problem:
        return problem_of(self.generate, self.read, size, **options)

    def paper(self, problem: Problem | None = None, **schedule: Any) -> Paper:
        return Paper(*self._parts(problem, {"chains": 3, **schedule}))

    def multistart(self, problem: Problem | None = None, even: bool = False, **schedule: Any) -> Multistart:
        return Multistart(*self._parts(problem, {"chains": 3, **schedule}), even)

    def full(self, problem: Problem | None = None, **schedule: Any) -> Full:
        return Full(*self._parts(problem, {"chains": 10, **schedule}))

    def _parts(self, problem: Problem | None, schedule: dict[str, Any]) -> tuple[Any, ...]:
        return problem or self.problem(), self.region, Schedule(**schedule), self.draw, self.references


@dataclass
class Linear(Toy):
    """Linear generator, encoder and neurons in float64: x = A c + a, E(x) = B x, f(x) = V x + v, images 3x1x2.

    `code_scale`, `encoding_scale` and `activation_scale` only change the units in which the same problem is put.
    `batches` are the numbers of codes that went through the generator.
    """

    ranges: tuple[tuple[float, float], ...] = ((20.0, 24.0),)
    lower_only: bool = False
    code_scale: float = 1.0
    encoding_scale: float = 1.0
    activation_scale: float = 1.0
    random_seed: int = 0

    def __post_init__(self) -> None:
        randomness = torch.Generator().manual_seed(self.random_seed)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=randomness, dtype=torch.float64)

        self.A, self.a = normal(6, 5), normal(6)
        self.B = normal(4, 6)
        self.V, self.v = normal(len(self.ranges), 6), normal(len(self.ranges))
        self.starts = normal(40, 5)
        self.unrelated = normal(6, 5)
        self.batches: list[int] = []

    @property
    def references(self) -> Tensor:
        return self.unrelated * self.code_scale

    def draw(self, chain: int, attempt: int) -> Tensor:
        return self.starts[(chain + 11 * attempt) % len(self.starts)] * self.code_scale

    def generate(self, codes: Tensor) -> Tensor:
        self.batches.append(len(codes))
        return ((codes / self.code_scale) @ self.A.T + self.a).view(-1, 3, 1, 2)

    def read(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = images.flatten(1)
        return (x @ self.B.T) * self.encoding_scale, (x @ self.V.T + self.v) * self.activation_scale

    @property
    def region(self) -> Region:
        kind = Region.lower_only if self.lower_only else Region.two_sided
        return in_units(exact(kind(self.ranges)), self.activation_scale)

    # The same in NumPy, for one code.

    def look(self, c: Array) -> tuple[Array, Array]:
        """Encodings and activations."""
        x = self.A.numpy() @ c + self.a.numpy()
        return self.B.numpy() @ x, self.V.numpy() @ x + self.v.numpy()

    def pull(self, c: Array, encodings: Array, activations: Array) -> Array:
        """The gradient in the code, from those in encodings and activations."""
        return self.A.numpy().T @ (self.B.numpy().T @ encodings + self.V.numpy().T @ activations)


CODE, PIXELS, HIDDEN, UNITS = 7, 12, 9, 4


@dataclass
class Tiny(Toy):
    """x = (tanh(A c + a) + 1) / 2, E(x) = relu(B x + b), f(x) = W relu(V x + v) + w; images 3x2x2, in float64.

    `code_scale` and `activation_scale` put codes and activations in other units. `units` of the four are constraints;
    with `wide`, the activations hold the whole layer after them, once for each unit, as PPGN's softmaxes ask.
    """

    units: tuple[int, ...] = (2,)
    ranges: tuple[tuple[float, float], ...] = ((0.875, 1.5),)
    wide: bool = False
    code_scale: float = 1.0
    activation_scale: float = 1.0
    lower_only: bool = False

    def __post_init__(self) -> None:
        randomness = np.random.default_rng(5)
        sizes = [(PIXELS, CODE), (PIXELS,), (CODE, PIXELS), (CODE,)]
        sizes += [(HIDDEN, PIXELS), (HIDDEN,), (UNITS, HIDDEN), (UNITS,)]
        self.matrices = [randomness.normal(size=size) / (2 if len(size) == 2 else 4) for size in sizes]
        self.region = in_units(exact(Region.two_sided(self.ranges)), self.activation_scale)

    def generate(self, codes: Tensor) -> Tensor:
        A, a, *_ = map(torch.as_tensor, self.matrices)
        return ((torch.tanh(codes / self.code_scale @ A.T + a) + 1) / 2).view(-1, 3, 2, 2)

    def read(self, images: Tensor) -> tuple[Tensor, Tensor]:
        _, _, B, b, V, v, W, w = map(torch.as_tensor, self.matrices)
        x = images.flatten(1)
        layer = (torch.relu(x @ V.T + v) @ W.T + w) * self.activation_scale
        activations = layer[:, list(self.units)]
        if self.wide:
            activations = torch.cat([activations, *[layer] * len(self.units)], dim=1)
        return self.code_scale * torch.relu(x @ B.T + b), activations

    def draw(self, chain: int, attempt: int) -> Tensor:
        randomness = torch.Generator().manual_seed(100 * chain + attempt)
        return self.code_scale * torch.randn(CODE, generator=randomness, dtype=torch.float64)

    @property
    def references(self) -> Tensor:
        randomness = torch.Generator().manual_seed(7)
        return self.code_scale * torch.randn(6, CODE, generator=randomness, dtype=torch.float64)

    # The same in NumPy, for one code.

    def forward(self, c: Array) -> dict[str, Array]:
        A, a, B, b, V, v, W, w = self.matrices
        t = np.tanh(A @ c + a)
        x = (t + 1) / 2
        z = V @ x + v
        return {"t": t, "x": x, "E": np.maximum(B @ x + b, 0), "z": z, "layer": W @ np.maximum(z, 0) + w}

    def backward_to_image(self, at: dict[str, Array], layer_gradient: Array) -> Array:
        _, _, _, _, V, _, W, _ = self.matrices
        return V.T @ ((W.T @ layer_gradient) * (at["z"] > 0))

    def backward_to_code(self, at: dict[str, Array], image_gradient: Array) -> Array:
        return self.matrices[0].T @ (image_gradient * (1 - at["t"] ** 2) / 2)

    def look(self, c: Array) -> tuple[Array, Array]:
        at = self.forward(c)
        return at["E"], at["layer"][list(self.units)]

    def pull(self, c: Array, encodings: Array, activations: Array) -> Array:
        at, layer = self.forward(c), np.zeros(UNITS)
        layer[list(self.units)] = activations
        image = self.backward_to_image(at, layer) + self.matrices[2].T @ (encodings * (at["E"] > 0))
        return self.backward_to_code(at, image)


PIXEL_SHAPE = (3, 5, 6)


@dataclass
class Flat(Toy):
    """Pixels as codes, and units that are linear in them: f = V x, in float64."""

    ranges: tuple[tuple[float, float], ...] = ((0.0, 1.0),)

    def __post_init__(self) -> None:
        randomness = torch.Generator().manual_seed(11)
        size = int(np.prod(PIXEL_SHAPE))
        self.V = torch.randn(len(self.ranges), size, generator=randomness, dtype=torch.float64)
        self.region = exact(Region.two_sided(self.ranges))
        self.references = torch.rand(5, size, generator=randomness, dtype=torch.float64)

    def generate(self, codes: Tensor) -> Tensor:
        return codes.view(-1, *PIXEL_SHAPE)

    def read(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return images.flatten(1)[:, :4], images.flatten(1) @ self.V.T

    def problem(self, size: int | None = None, **options: Any) -> Problem:
        return super().problem(size, **{"code_bounds": (0.0, 1.0), **options})

    def draw(self, chain: int, attempt: int) -> Tensor:
        randomness = torch.Generator().manual_seed(10 * chain + attempt)
        return torch.rand(int(np.prod(PIXEL_SHAPE)), generator=randomness, dtype=torch.float64)


def walk(
    method: Method, steps: int, state: Any = None, until: Callable[[Step], bool] = lambda step: False
) -> tuple[Any, list[Step]]:
    """The last state and what each step gave, from `state` or the beginning on; ends early where the run does."""
    state = method.begin() if state is None else state
    taken: list[Step] = []
    while len(taken) < steps and state.phase in ACTIVE:
        state, step = method.step(state)
        taken.append(step)
        if until(step):
            break
    return state, taken


def samples(taken: Sequence[Step]) -> tuple[Tensor, Tensor, Tensor]:
    """Images, codes and activations of all samples of these steps."""

    def rows(get: Callable[[Step], Tensor]) -> Tensor:
        return torch.cat([get(step)[step.samples] for step in taken])

    return rows(lambda s: s.evaluation.images), rows(lambda s: s.codes), rows(lambda s: s.evaluation.activations)


def is_sampling(step: Step) -> bool:
    return bool(step.sampling.any())


def assert_same_bits(ours: Any, theirs: Any) -> None:
    """Two states, or steps, are the same to the bit."""
    (tensors, values), (others, other_values) = pack(ours), pack(theirs)
    assert tensors.keys() == others.keys()
    for name, tensor in tensors.items():
        assert torch.equal(tensor.nan_to_num(7.0), others[name].nan_to_num(7.0)), name
        assert tensor.dtype == others[name].dtype, name
    assert repr(values) == repr(other_values)


def assert_same_run(ours: Sequence[Step], theirs: Sequence[Step], unit: float = 1.0, rtol: float = 1e-8) -> None:
    """To rounding: the same decisions, the same codes in units of `unit`, the same numbers on the way."""
    close: dict[str, float] = {"rtol": rtol, "atol": rtol / 10}
    for one, other in zip(ours, theirs, strict=True):
        for name in ("samples", "feasible", "sampling", "begins", "outer"):
            assert torch.equal(getattr(one, name), getattr(other, name)), name
        torch.testing.assert_close(one.codes / unit, other.codes, **close)
        torch.testing.assert_close(one.lengths / unit, other.lengths, **close)
        torch.testing.assert_close(one.multipliers.values, other.multipliers.values, **close)
        assert torch.equal(one.multipliers.penalty, other.multipliers.penalty)
