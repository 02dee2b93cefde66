"""A claim of the paper that a comparison can tell: one row of each group against another one, or a number."""

from __future__ import annotations

import operator
import sys
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields

from invset.report.prose import listed

RELATIONS = {"above": operator.gt, "at least": operator.ge, "below": operator.lt, "at most": operator.le}


@dataclass(frozen=True)
class Claim:
    """That one row of each group is above or below another one, or a number.

    Attributes:
        says: the paper's claim, in words.
        measure: the key of a measure, as `mean_pairwise_distance`.
        of: the name of a row of each group, as `ours`.
        relation: `above`, `at least`, `below` or `at most`.
        than: the name of another row of the group; or else
        value: a number.
        times: what the other row's measure is multiplied by first, > 0.
        paper: the paper's numbers, in words.
        ours: whether it is a question of ours, which the paper does not answer.

    Raises:
        ValueError: a field is not what it should be; the message names the claim and the field.
    """

    says: str
    measure: str
    of: str
    relation: str
    than: str | None = None
    value: float | None = None
    times: float = 1.0
    paper: str | None = None
    ours: bool = False

    def __post_init__(self) -> None:
        if not _is_text(self.says):
            raise ValueError(f"a claim's says is the claim in words, not {self.says!r}")
        where = f'claim "{self.says}"'
        for name in ("measure", "of"):
            if not _is_text(getattr(self, name)):
                raise ValueError(f"{where}: {name} is a name, not {getattr(self, name)!r}")
        for name in ("than", "paper"):
            if getattr(self, name) is not None and not _is_text(getattr(self, name)):
                raise ValueError(f"{where}: {name} is a text, not {getattr(self, name)!r}")
        if not isinstance(self.relation, str) or self.relation not in RELATIONS:
            raise ValueError(f"{where}: relation is {listed(list(RELATIONS), 'or')}, not {self.relation!r}")
        if (self.than is None) == (self.value is None):
            has = "neither" if self.than is None else "both"
            raise ValueError(f"{where}: it needs than (another row) or value (a number), and has {has}")
        if self.value is not None and not _is_number(self.value):
            raise ValueError(f"{where}: value is a finite number, not {self.value!r}")
        if not _is_number(self.times) or self.times <= 0:
            raise ValueError(f"{where}: times is a finite number above 0, not {self.times!r}")
        if self.value is not None and self.times != 1:
            raise ValueError(f"{where}: times is for than; put the product in value")
        if self.than == self.of:
            raise ValueError(f"{where}: of and than are both {self.of!r}: a row is compared with another one")


def claim_of(settings: Mapping[str, object]) -> Claim:
    """A claim from the entries of a config, as plain values.

    Raises:
        ValueError: an entry is unknown, missing, or not what it should be.
    """
    names = [field.name for field in fields(Claim)]
    needed = [field.name for field in fields(Claim) if field.default is MISSING]
    if unknown := [name for name in settings if name not in names]:
        raise ValueError(f"a claim has no {unknown[0]!r}; it has {listed(names)}")
    if missing := [name for name in needed if name not in settings]:
        raise ValueError(f"a claim needs {listed(missing)}")
    return Claim(**settings)  # type: ignore[arg-type]  # the claim checks its fields itself


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
