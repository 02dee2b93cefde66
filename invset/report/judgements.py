"""What the paper claims beside what was measured: a verdict for each group, and sentences for Markdown."""

from __future__ import annotations

import math
import operator
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from invset.report.claims import Claim
from invset.report.measured import Cell
from invset.report.prose import in_markdown, listed
from invset.report.tables import shown
from invset.report.verdicts import FAILS, HOLDS, UNKNOWN, Verdict, verdict_of

Groups: TypeAlias = Mapping[str, Mapping[str, Mapping[str, Cell]]]

NAMED = 6  # groups that are named one by one

_OF_A_CLAIM = {HOLDS: "Holds", FAILS: "Does not hold", UNKNOWN: "Cannot be told"}
_OF_A_QUESTION = {HOLDS: "Yes", FAILS: "No", UNKNOWN: "Cannot be told"}


@dataclass(frozen=True)
class Judgement:
    """A claim, and a verdict for each group, in order.

    Attributes:
        claim: as it was given.
        title: of its measure, for people.
        verdicts: one a group.
    """

    claim: Claim
    title: str
    verdicts: tuple[Verdict, ...]

    def of_outcome(self, outcome: str) -> list[Verdict]:
        """The verdicts with that outcome."""
        return [verdict for verdict in self.verdicts if verdict.outcome == outcome]

    def words(self) -> str:
        """What was found, in sentences for Markdown, on one line: the numbers of one group, or counts of several."""
        if not self.verdicts:
            return "Cannot be told: nothing was measured."
        if len(self.verdicts) == 1:
            verdict = self.verdicts[0]
            return f"{self._worded[verdict.outcome]}: {verdict.why}."
        return " ".join(part for part in (self._counts(), self._range(), self._without_interval()) if part)

    @property
    def _worded(self) -> Mapping[str, str]:
        return _OF_A_QUESTION if self.claim.ours else _OF_A_CLAIM

    def _counts(self) -> str:
        total, worded = len(self.verdicts), self._worded
        counts = {outcome: len(self.of_outcome(outcome)) for outcome in worded}
        if counts[HOLDS] == total:
            return f"{worded[HOLDS]} for all {total}."
        if counts[FAILS] == total:
            return f"{worded[FAILS]} for {'all' if self.claim.ours else 'any of'} {total}."
        if counts[UNKNOWN] == total:
            return f"{worded[UNKNOWN]} for any of {total} ({self._reasons()})."
        parts = [f"{worded[HOLDS]} for {counts[HOLDS] or 'none'} of {total}"]
        if counts[FAILS]:
            names = _named([in_markdown(verdict.group) for verdict in self.of_outcome(FAILS)])
            parts.append(f"{worded[FAILS].lower()} for {counts[FAILS]} ({names})")
        if counts[UNKNOWN]:
            parts.append(f"{worded[UNKNOWN].lower()} for {counts[UNKNOWN]} ({self._reasons()})")
        return ", ".join(parts) + "."

    def _reasons(self) -> str:
        groups: dict[str, list[str]] = {}
        for verdict in self.of_outcome(UNKNOWN):
            groups.setdefault(verdict.reason, []).append(in_markdown(verdict.group))
        return "; ".join(f"{_named(names)}: {reason}" for reason, names in groups.items())

    def _range(self) -> str:
        """Lowest, median and highest of the groups with numbers: of each row, and of one over the other."""
        known = [verdict for verdict in self.verdicts if verdict.numbers]
        if not known:
            return ""
        of, than = [verdict.of for verdict in known], [verdict.than for verdict in known]
        own = in_markdown(self.claim.of)
        parts = [f"{own} {_three(of)}"]
        if self.claim.than is not None:
            other = in_markdown(self.claim.than)
            parts.append(f"{other} {_three(than)}")
            if min(of) >= 0 and min(than) > 0 and math.isfinite(max(of) + max(than)):
                parts.append(f"{own} over {other} {_three(map(operator.truediv, of, than))}")
        missing = "" if len(known) == len(self.verdicts) else f" (of {len(known)})"
        return f"Lowest, median and highest {in_markdown(self.title)}{missing}: {'; '.join(parts)}."

    def _without_interval(self) -> str:
        rows: dict[tuple[str, ...], list[str]] = {}
        for verdict in self.verdicts:
            if verdict.numbers:
                rows.setdefault(verdict.without_interval, []).append(in_markdown(verdict.group))
        bare = {own: names for own, names in rows.items() if own}
        if not bare:
            return ""
        if len(rows) == 1 and len(next(iter(bare))) == (1 if self.claim.than is None else 2):
            return "These are one number each, with no interval."
        told = (f"{listed([in_markdown(row) for row in own])} ({', '.join(names)})" for own, names in bare.items())
        return f"One number each, with no interval: {'; '.join(told)}."


def judge(claim: Claim, groups: Groups, titles: Mapping[str, str] | None = None) -> Judgement:
    """Whether the claim holds in each group, as `verdict_of`.

    Args:
        claim: what to look for.
        groups: title of a group -> name of a row -> key of a measure -> its cell.
        titles: key of a measure -> its title for people; without one, the key in words.
    """
    title = (titles or {}).get(claim.measure, claim.measure.replace("_", " "))
    return Judgement(claim, title, tuple(verdict_of(claim, title, group, rows) for group, rows in groups.items()))


def _named(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= NAMED else f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more"


def _three(numbers: Iterable[float]) -> str:
    ordered = sorted(numbers)
    return ", ".join(shown(number) for number in (ordered[0], statistics.median(ordered), ordered[-1]))
