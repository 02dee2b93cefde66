"""What codes of real images look like, where a generator knows it."""

from typing import NamedTuple

from torch import Tensor


class CodeStatistics(NamedTuple):
    """Of the codes of real images.

    mean (c,); deviation (c,), per dimension; bank (m, c), codes of real images; float32.
    """

    mean: Tensor
    deviation: Tensor
    bank: Tensor
