"""Whole steps of `method=paper`, written out in plain NumPy float64 with the sums as they are printed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

LARGEST = 0.25  # steps.LARGEST_RADIUS


class ByHand:
    """Secs. 3.3 and 3.4 for x = A c + a, E = B x, f = V x + v, one chain after the other.

    Written from the paper (slack and L of eqs. 9 and 11, multipliers, C₀) and the rule of `steps`, which it repeats.
    """

    def __init__(self, toy, chains: int, mu: float, alpha: float, inner_steps: int, objective_scale: float | None):
        self.A, self.a, self.B, self.V, self.v = (getattr(toy, n).numpy() for n in ("A", "a", "B", "V", "v"))
        self.toy, self.alpha, self.inner_steps = toy, alpha, inner_steps
        self.z1, self.z2 = np.array(toy.ranges).T
        self.half = (self.z2 - self.z1) / 2
        self.low = self.z2 - self.half if toy.lower_only else (self.z1 + self.z2) / 2 - self.half / 2
        self.high = np.full_like(self.low, np.inf) if toy.lower_only else (self.z1 + self.z2) / 2 + self.half / 2
        references = toy.references.numpy()
        encodings = (references @ self.A.T + self.a) @ self.B.T
        self.code_distance, encoding_distance = self.median_distance(references), self.median_distance(encodings)
        if objective_scale is None:
            self.w, self.r = 1 / (2 * (chains - 1) * encoding_distance**2), self.half
        else:
            self.w, self.r = objective_scale, np.ones_like(self.half)
        self.C = np.stack([toy.draw(chain, 0).numpy() for chain in range(chains)])
        self.attempts = np.zeros(chains, int)
        self.lam, self.mu = np.zeros((chains, len(self.half))), mu
        self.radius, self.damping = np.full(chains, 0.05), np.ones(chains)
        self.last = np.full(chains, np.inf)
        self.C0 = np.zeros((0, 4))  # the encodings of the last accepted set
        self.sampling, self.inner, self.outer, self.outer_total = False, 0, 0, None

    @staticmethod
    def median_distance(points) -> float:
        pairs = [np.linalg.norm(p - q) for i, p in enumerate(points) for q in points[i + 1 :]]
        assert len(pairs) % 2 == 1  # the median is one of them
        return sorted(pairs)[len(pairs) // 2]

    def step(self) -> dict:
        """One step; what it began from and did."""
        K = len(self.C)
        x = self.C @ self.A.T + self.a
        E, f = x @ self.B.T, x @ self.V.T + self.v
        top = np.full_like(self.z2, np.inf) if self.toy.lower_only else self.z2
        feasible = [bool(np.all(f[i] >= self.z1) and np.all(f[i] <= top)) for i in range(K)]
        total = [
            float(np.sum((np.maximum(self.z1 - f[i], 0) + np.maximum(f[i] - top, 0)) / self.half)) for i in range(K)
        ]
        staying, smallest = (0.6, 0.06) if self.sampling else (0.95, 1e-4)
        for i in range(K):
            if self.last[i] == 0:
                change = 0.3 * (feasible[i] - staying) / np.sqrt(staying * (1 - staying))
                self.radius[i] = min(max(self.radius[i] * np.exp(change), smallest), LARGEST)
                self.damping[i] = 1
            else:
                self.damping[i] = self.damping[i] / 2 if total[i] > self.last[i] else min(1.5 * self.damping[i], 1)
            self.last[i] = total[i]

        if not self.sampling and all(feasible):
            self.sampling, self.inner = True, 0
            self.radius = np.maximum(self.radius, 0.06)
        accepted = [i for i in range(K) if feasible[i]] if self.sampling else []
        if accepted:
            self.C0 = E[accepted]
        if not self.sampling and self.inner == 0:
            self.outer_total = total

        s = np.clip(f - self.r * self.lam / self.mu, self.low, self.high)
        new_C, lengths = self.C.copy(), np.zeros(K)
        for i in range(K):
            dL_de = np.zeros(4)
            for j in range(K):  # ‖e_i − e_j‖² + ‖e_j − e_i‖²
                dL_de -= self.w * 4 * (E[i] - E[j])
            for y in self.C0:
                dL_de -= self.w * 2 * (E[i] - y)
            if self.damping[i] < 0.25:  # the violation grows however short the steps: the constraint alone
                dL_de[:] = 0
            dL_df = (-self.lam[i] + self.mu * (f[i] - s[i]) / self.r) / self.r
            g = self.A.T @ (self.B.T @ dL_de + self.V.T @ dL_df)
            if total[i] == 0:
                lengths[i] = self.radius[i] * self.code_distance
            else:
                beta = np.sum((self.r * dL_df) ** 2) / (self.mu * (g @ g))
                lengths[i] = min(self.damping[i] * beta * np.linalg.norm(g), LARGEST * self.code_distance)
            new_C[i] = self.C[i] - lengths[i] / np.linalg.norm(g) * g
        done = {"codes": self.C, "f": f, "samples": accepted, "lengths": lengths, "lam": self.lam, "mu": self.mu}
        done |= {"sampling": self.sampling, "outer": self.outer}
        self.C = new_C
        if self.sampling:
            return done
        self.inner += 1
        if self.inner == self.inner_steps:
            self.lam, self.mu = self.lam - self.mu * (f - s) / self.r, self.mu * self.alpha
            for i in range(K):
                if total[i] > 0.9 * self.outer_total[i] > 0:
                    self.attempts[i] += 1
                    self.C[i], self.lam[i] = self.toy.draw(i, int(self.attempts[i])).numpy(), 0
                    self.radius[i], self.damping[i], self.last[i] = 0.05, 1, np.inf
            self.inner, self.outer = 0, self.outer + 1
        return done


CASES = {
    "range": ({}, None, 50),
    "range, p=2": ({"ranges": ((8.0, 12.0), (-9.0, -6.0)), "random_seed": 2}, None, 50),
    "range, p=2, chains that start anew": ({"ranges": ((8.0, 12.0), (-9.0, -6.0))}, None, 50),
    "lower": ({"lower_only": True}, None, 50),
    "lower, as printed (w = r = 1)": ({"lower_only": True}, 1.0, 32),
    "narrow and far": ({"ranges": ((30.0, 30.5),)}, None, 50),
}


@pytest.mark.parametrize("case", CASES)
def test_seeding_and_sampling_steps_are_those_written_out_by_hand(case: str, linear, exact: Callable) -> None:
    """Eqs. 8–11: dozens of steps from the start codes on, seeds, multipliers and samples among them."""
    options, objective_scale, steps = CASES[case]
    toy = linear(**options)
    schedule = {"chains": 3, "penalty": 10.0, "growth": 10.0, "inner_steps": 4, "outer_iterations": 99}
    schedule["objective_scale"] = objective_scale
    paper = toy.paper(**schedule)
    state = exact(paper.begin())
    hand = ByHand(toy, 3, 10.0, 10.0, 4, objective_scale)
    seen = {"seeding": 0, "sampling": 0, "samples": 0, "outer": 0}
    for _ in range(steps):
        state, info = paper.step(state)
        expected = hand.step()

        def same(ours: torch.Tensor, theirs: np.ndarray) -> None:
            np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-6, atol=1e-6)

        same(info.codes, expected["codes"])
        same(info.evaluation.activations, expected["f"])
        same(info.lengths, expected["lengths"])
        same(info.multipliers.values, expected["lam"])
        assert info.multipliers.penalty == expected["mu"]
        assert info.phase == ("sampling" if expected["sampling"] else "seeding")
        assert info.samples.tolist() == expected["samples"]
        assert info.outer == expected["outer"]
        seen[info.phase] += 1
        seen["samples"] += len(info.samples)
        seen["outer"] = max(seen["outer"], info.outer)
    same(state.codes, hand.C)
    assert state.attempts.tolist() == hand.attempts.tolist()
    # The comparison is worth little unless it went through seeding, new multipliers, samples and rejections.
    assert seen["outer"] > 0
    assert seen["seeding"] > 3
    if case == "range, p=2, chains that start anew":
        assert state.attempts.sum() > 0
    else:
        assert seen["samples"] > 30
    if case in ("range, p=2", "narrow and far"):
        assert seen["samples"] < 3 * seen["sampling"]
