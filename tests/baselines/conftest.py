"""Small networks with hand-written forward and backward passes in NumPy, and the same as a `Problem`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from invset.baselines.chains import Chains
from invset.baselines.dgn_am import DgnAm, DgnAmSettings
from invset.baselines.mfv import Mfv, MfvSettings
from invset.baselines.penalty import Penalty, PenaltySettings
from invset.baselines.pixel_ascent import PixelAscent, PixelAscentSettings
from invset.baselines.ppgn import Ppgn, PpgnSettings, Softmax
from invset.baselines.search import Search
from invset.core.problem import Problem
from invset.core.region import Region
from invset.core.state import Method, State, StepInfo

Array = NDArray[np.float64]
CODE, PIXELS, HIDDEN, UNITS = 7, 12, 9, 4


def matrices() -> list[Array]:
    """A, a (generator), B, b (encoder), V, v (hidden layer), W, w (layer of units)."""
    randomness = np.random.default_rng(5)
    sizes = [(PIXELS, CODE), (PIXELS,), (CODE, PIXELS), (CODE,), (HIDDEN, PIXELS), (HIDDEN,), (UNITS, HIDDEN), (UNITS,)]
    return [randomness.normal(size=size) / (2 if len(size) == 2 else 4) for size in sizes]


@dataclass
class Tiny:
    """x = (tanh(A c + a) + 1) / 2, E(x) = relu(B x + b), f(x) = W relu(V x + v) + w; images 3x2x2, in float64.

    `code_scale` puts codes in other units. `units` of the four are constraints; with `wide`, the activations hold the
    whole layer after them, once for each unit, as PPGN's softmaxes ask.
    """

    units: tuple[int, ...] = (2,)
    ranges: tuple[tuple[float, float], ...] = ((0.9, 1.5),)
    wide: bool = False
    code_scale: float = 1.0

    def __post_init__(self) -> None:
        self.matrices = matrices()
        self.region = Region(*(getattr(Region.two_sided(self.ranges), n).double() for n in Region.__dataclass_fields__))

    @property
    def softmaxes(self) -> list[Softmax]:
        p = len(self.units)
        return [Softmax(p + UNITS * i, UNITS, unit) for i, unit in enumerate(self.units)]

    def generate(self, codes: Tensor) -> Tensor:
        A, a, *_ = map(torch.as_tensor, self.matrices)
        return ((torch.tanh(codes / self.code_scale @ A.T + a) + 1) / 2).view(-1, 3, 2, 2)

    def read(self, images: Tensor) -> tuple[Tensor, Tensor]:
        _, _, B, b, V, v, W, w = map(torch.as_tensor, self.matrices)
        x = images.flatten(1)
        layer = torch.relu(x @ V.T + v) @ W.T + w
        activations = layer[:, list(self.units)]
        if self.wide:
            activations = torch.cat([activations, *[layer] * len(self.units)], dim=1)
        return self.code_scale * torch.relu(x @ B.T + b), activations

    def problem(self, **options: Any) -> Problem:
        return Problem(self.generate, self.read, **{"eight_bit": False, **options})

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


@pytest.fixture
def tiny() -> type[Tiny]:
    return Tiny


PIXEL_SHAPE = (3, 5, 6)


@dataclass
class Flat:
    """Pixels as codes, and units that are linear in them: f = V x + v, in float64."""

    ranges: tuple[tuple[float, float], ...] = ((0.0, 1.0),)

    def __post_init__(self) -> None:
        randomness = torch.Generator().manual_seed(11)
        size = int(np.prod(PIXEL_SHAPE))
        self.V = torch.randn(len(self.ranges), size, generator=randomness, dtype=torch.float64)
        self.region = Region(*(getattr(Region.two_sided(self.ranges), n).double() for n in Region.__dataclass_fields__))
        self.references = torch.rand(5, size, generator=randomness, dtype=torch.float64)

    def read(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return images.flatten(1)[:, :4], images.flatten(1) @ self.V.T

    def problem(self, **options: Any) -> Problem:
        bounded = {"eight_bit": False, "code_bounds": (0.0, 1.0), **options}
        return Problem(lambda codes: codes.view(-1, *PIXEL_SHAPE), self.read, **bounded)

    def draw(self, chain: int, attempt: int) -> Tensor:
        randomness = torch.Generator().manual_seed(10 * chain + attempt)
        return torch.rand(int(np.prod(PIXEL_SHAPE)), generator=randomness, dtype=torch.float64)


@pytest.fixture
def flat() -> type[Flat]:
    return Flat


def _ppgn(toy: Tiny, problem: Problem | None = None, chains: int = 3, **settings: Any) -> Ppgn:
    batch_size = settings.pop("batch_size", None)
    problem = problem or toy.problem()
    arguments = (problem, toy.region, toy.draw, toy.references, PpgnSettings(**settings), toy.softmaxes)
    return Ppgn(*arguments, chains=chains, random_seed=4, batch_size=batch_size)


def _dgn_am(toy: Tiny, problem: Problem | None = None, chains: int = 3, **settings: Any) -> DgnAm:
    batch_size = settings.pop("batch_size", None)
    arguments = (problem or toy.problem(), toy.region, toy.draw, toy.references, DgnAmSettings(**settings))
    return DgnAm(*arguments, chains=chains, random_seed=4, batch_size=batch_size)


def _penalty(toy: Tiny, problem: Problem | None = None, chains: int = 3, **settings: Any) -> Penalty:
    batch_size = settings.pop("batch_size", None)
    arguments = (problem or toy.problem(), toy.region, toy.draw, toy.references, PenaltySettings(**settings))
    return Penalty(*arguments, chains=chains, batch_size=batch_size)


def _pixel_ascent(toy: Flat, problem: Problem | None = None, chains: int = 3, **settings: Any) -> PixelAscent:
    batch_size = settings.pop("batch_size", None)
    arguments = (problem or toy.problem(), toy.region, toy.draw, toy.references, PixelAscentSettings(**settings))
    return PixelAscent(*arguments, PIXEL_SHAPE, chains=chains, random_seed=4, batch_size=batch_size)


def _mfv(toy: Tiny, problem: Problem | None = None, chains: int = 3, **settings: Any) -> Mfv:
    problem = problem or toy.problem()
    batch_size = settings.pop("batch_size", None)
    real = torch.stack([toy.draw(chain, 50) for chain in range(30)])

    def ascent(draw: Callable[[int, int], Tensor]) -> DgnAm:
        given = DgnAmSettings(starts="given", step=1.0, **settings)
        return DgnAm(problem, toy.region, draw, toy.references, given, chains=chains, batch_size=batch_size)

    clusters = MfvSettings(clusters=4, nearest=3, images=20)
    return Mfv(problem, toy.region, real, clusters, ascent, chains=chains, random_seed=4, batch_size=batch_size)


def _search(toy: Flat, problem: Problem | None = None, chains: int = 3, **settings: Any) -> Search:
    def look(number: int) -> Tensor | None:
        return None if number % 5 == 3 else toy.draw(number, 0)

    return Search(problem or toy.problem(), toy.region, look, settings.pop("count", 50), toy.references, chains=chains)


@dataclass(frozen=True)
class Maker:
    """A baseline on its toy problem: `make(problem=None, chains=3, **settings)`, `toy`, and whether chains interact."""

    name: str
    make: Callable[..., Method]
    toy: Tiny | Flat
    alone: bool = True  # each chain by itself


def makers() -> list[Maker]:
    """Every baseline, in short rounds whose settings show all its terms."""
    wide = Tiny(wide=True, units=(2, 0), ranges=((1.0, 2.2), (0.5, 1.8)))
    plain = Tiny(units=(2, 0), ranges=((1.0, 2.2), (0.5, 1.8)))
    flat = Flat(ranges=((-7.0, -4.0),))
    terms = {"jitter": 2, "decay": 0.1, "blur_radius": 0.7, "small_norm": 5.0, "total_variation": 0.1, "margin": 0.2}

    def bound(make: Callable[..., Method], toy: Tiny | Flat, **own: Any) -> Callable[..., Method]:
        return lambda problem=None, chains=3, **more: make(toy, problem, chains, **{**own, **more})

    return [
        Maker("ppgn", bound(_ppgn, wide, steps=4, rounds=None, epsilon3=0.1, step=0.3), wide),
        Maker("dgn_am", bound(_dgn_am, plain, steps=4, step=0.5), plain),
        Maker("penalty", bound(_penalty, plain, steps=4), plain, alone=False),
        Maker("penalty alone", bound(_penalty, plain, steps=4, diversity=0.0), plain),
        Maker("pixel_ascent", bound(_pixel_ascent, flat, steps=4, **terms), flat),
        Maker("mfv", bound(_mfv, plain, steps=4), plain),
        Maker("search", bound(_search, flat), flat, alone=False),
    ]


@pytest.fixture(params=makers(), ids=lambda maker: maker.name)
def maker(request: pytest.FixtureRequest) -> Maker:
    return request.param


@pytest.fixture
def ppgn() -> Callable[..., Ppgn]:
    return _ppgn


@pytest.fixture
def dgn_am() -> Callable[..., DgnAm]:
    return _dgn_am


@pytest.fixture
def penalty() -> Callable[..., Penalty]:
    return _penalty


@pytest.fixture
def pixel_ascent() -> Callable[..., PixelAscent]:
    return _pixel_ascent


@pytest.fixture
def search() -> Callable[..., Search]:
    return _search


def _walk(method: Method | Chains, steps: int, state: State | None = None) -> tuple[State, list[StepInfo]]:
    state = method.begin() if state is None else state
    infos = []
    for _ in range(steps):
        if state.phase != "sampling":
            break
        state, info = method.step(state)
        infos.append(info)
    return state, infos


@pytest.fixture
def walk() -> Callable[..., tuple[State, list[StepInfo]]]:
    """(method, steps, state=None) -> the last state and what each step gave; ends early where the method does."""
    return _walk
