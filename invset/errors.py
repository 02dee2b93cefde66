"""The errors a user can cause. Each message says what is wrong, where, and what to do."""

from typing import Any


class InvsetError(Exception):
    """Something a user can mend; `exit_code` is what the command line ends with."""

    exit_code = 1


class ConfigError(InvsetError):
    """A setting is wrong or does not fit the others."""

    exit_code = 2


class WeightsError(InvsetError):
    """A file of weights is missing, damaged or made for another network."""


class NonFiniteError(InvsetError):
    """A network or generator gave NaN or infinity; `rows` (k,) bool: for which codes of a step, if it was in one."""

    rows: Any = None


class OutOfMemoryError(InvsetError):
    """The device has no memory left for a batch."""


class RunFolderError(InvsetError):
    """A run folder cannot be written, read or continued."""


class RanksError(InvsetError):
    """One of several processes that work together failed, or was lost."""
