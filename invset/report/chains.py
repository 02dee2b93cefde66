"""Which chain each sample of a finished run comes from, and which samples are akin for it."""

from __future__ import annotations

import csv

import torch
from torch import Tensor

from invset.errors import RunFolderError
from invset.report.runs import FinishedRun
from invset.run.layout import Layout


def has_own_starts(run: FinishedRun) -> bool:
    """Whether every sample has a start of its own: a chain's samples are then no more alike than those of others."""
    return run.method == "multistart"


def chains_of(run: FinishedRun) -> Tensor:
    """(n,) int64, numbers of chains from 1, in order of sampling.

    Raises:
        RunFolderError: activations.csv does not say.
    """
    path = Layout(run.root).activations
    try:
        with path.open(newline="", encoding="utf-8") as file:
            numbers = [int(row["chain"]) for row in csv.DictReader(file) if row["sample"]]
        chains = torch.tensor(numbers, dtype=torch.int64)
    except OSError as error:
        raise RunFolderError(f"{path}: cannot be read ({error.strerror}). Put it back as the run left it.") from error
    except (csv.Error, KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise RunFolderError(
            f"{path}: damaged: a sample's chain is no number. Put the file back as the run left it."
        ) from error
    if len(chains) != run.count:
        raise RunFolderError(f"{path}: it changed while it was read. Let the run end first.")
    return chains
