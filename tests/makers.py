"""Every method on a toy problem of its own, in short runs whose settings show all its terms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from invset.baselines.dgn_am import DgnAm, DgnAmSettings
from invset.baselines.mfv import Mfv, MfvSettings
from invset.baselines.penalty import Penalty, PenaltySettings
from invset.baselines.pixel_ascent import PixelAscent, PixelAscentSettings
from invset.baselines.ppgn import Ppgn, PpgnSettings, Softmax
from invset.baselines.search import Search
from invset.core.method import Method
from invset.core.problem import Problem
from tests.toys import PIXEL_SHAPE, TWO_RANGES, UNITS, Flat, Linear, Tiny


def ppgn(toy: Tiny, problem: Problem | None = None, chains: int = 3, **settings: Any) -> Ppgn:
    """`toy` is to be wide."""
    count = len(toy.units)
    firsts, scale = range(count, count + UNITS * count, UNITS), toy.activation_scale
    softmaxes = [Softmax(first, UNITS, unit, scale) for first, unit in zip(firsts, toy.units, strict=True)]
    parts = (problem or toy.problem(), toy.region, toy.draw, toy.references, PpgnSettings(**settings), softmaxes)
    return Ppgn(*parts, chains=chains, random_seed=4)


def dgn_am(toy: Tiny, problem: Problem | None = None, chains: int = 3, **settings: Any) -> DgnAm:
    parts = (problem or toy.problem(), toy.region, toy.draw, toy.references, DgnAmSettings(**settings))
    return DgnAm(*parts, chains=chains, random_seed=4)


def penalty(toy: Tiny, problem: Problem | None = None, chains: int = 3, **settings: Any) -> Penalty:
    parts = (problem or toy.problem(), toy.region, toy.draw, toy.references, PenaltySettings(**settings))
    return Penalty(*parts, chains=chains)


def pixel_ascent(toy: Flat, problem: Problem | None = None, chains: int = 3, **settings: Any) -> PixelAscent:
    parts = (problem or toy.problem(), toy.region, toy.draw, toy.references, PixelAscentSettings(**settings))
    return PixelAscent(*parts, PIXEL_SHAPE, chains=chains, random_seed=4)


def mfv(toy: Tiny, problem: Problem | None = None, chains: int = 3, **settings: Any) -> Mfv:
    problem = problem or toy.problem()
    real = torch.stack([toy.draw(chain, 50) for chain in range(30)])

    def ascent(draw: Callable[[int, int], Tensor]) -> DgnAm:
        given = DgnAmSettings(starts="given", step=1.0, **settings)
        return DgnAm(problem, toy.region, draw, toy.references, given, chains=chains)

    clusters = MfvSettings(clusters=4, nearest=3, images=20)
    return Mfv(problem, toy.region, real, clusters, ascent, chains=chains, random_seed=4)


def search(toy: Flat, problem: Problem | None = None, chains: int = 3, count: int = 50) -> Search:
    def look(number: int) -> Tensor | None:
        return None if number % 5 == 3 else toy.draw(number, 0)

    return Search(problem or toy.problem(), toy.region, look, count, toy.references, chains=chains)


@dataclass(frozen=True)
class Maker:
    """A method and its toy problem.

    `make(toy, problem=None, chains=…, **settings)`; `alone`: each chain goes its way whatever the others do;
    `rounds`: a baseline whose chains start anew after 4 steps; `units`: its settings in units of code, None: it has
    fixed ones.
    """

    name: str
    make: Callable[..., Method]
    toy: Any
    alone: bool = False
    rounds: bool = False
    units: tuple[str, ...] | None = None

    def __call__(self, problem: Problem | None = None, **settings: Any) -> Method:
        return self.make(self.toy, problem, **settings)

    def in_other_units(self, code: float, encoding: float, activation: float) -> Method:
        """The same problem in units of which each is so much smaller."""
        if isinstance(self.toy, Linear):
            scales = {"code_scale": code, "encoding_scale": encoding, "activation_scale": activation}
            return self.make(replace(self.toy, **scales))
        toy = replace(self.toy, code_scale=code, activation_scale=activation)
        return self.make(toy, **dict.fromkeys(self.units or (), code))


def _paper(toy: Linear, problem: Problem | None = None, **schedule: Any) -> Method:
    return toy.paper(problem, **{"inner_steps": 4, "outer_iterations": 99, **schedule})


def _multistart(toy: Linear, problem: Problem | None = None, even: bool = False, **schedule: Any) -> Method:
    return toy.multistart(problem, even, **{"inner_steps": 12, **schedule})


def _full(toy: Linear, problem: Problem | None = None, **schedule: Any) -> Method:
    return toy.full(problem, **{"chains": 70, "inner_steps": 5, "outer_iterations": 99, **schedule})


LINEAR = Linear(TWO_RANGES, random_seed=2)
WIDE = Tiny(wide=True, units=(2, 0), ranges=((1.0, 2.25), (0.5, 1.75)))
PLAIN = Tiny(units=(2, 0), ranges=((1.0, 2.25), (0.5, 1.75)))
FLAT = Flat(ranges=((-7.0, -4.0),))
TERMS = {"jitter": 2, "decay": 0.1, "blur_radius": 0.7, "small_norm": 5.0, "total_variation": 0.1, "margin": 0.2}
LOUD = {"steps": 4, "rounds": None, "epsilon1": 0.3, "epsilon3": 0.1, "step": 0.3}

CORE = [
    Maker("paper", _paper, LINEAR, units=()),
    Maker("multistart", _multistart, LINEAR, units=()),
    Maker("multistart, evenly", partial(_multistart, even=True), LINEAR, units=()),
    Maker("full", _full, LINEAR, units=()),
]
BASELINES = [
    Maker("ppgn", partial(ppgn, **LOUD), WIDE, alone=True, rounds=True, units=("scale",)),
    Maker("dgn_am", partial(dgn_am, steps=4, step=0.5), PLAIN, alone=True, rounds=True, units=("scale",)),
    Maker("penalty", partial(penalty, steps=4), PLAIN, rounds=True, units=()),
    Maker("penalty alone", partial(penalty, steps=4, diversity=0.0), PLAIN, alone=True, rounds=True, units=()),
    Maker("pixel_ascent", partial(pixel_ascent, steps=4, **TERMS), FLAT, alone=True, rounds=True),
    Maker("mfv", partial(mfv, steps=4), PLAIN, alone=True, rounds=True, units=("scale",)),
    Maker("search", search, FLAT),
]
MAKERS = CORE + BASELINES
STUCK = Maker("paper, whose chains start anew", _paper, Linear(TWO_RANGES))
