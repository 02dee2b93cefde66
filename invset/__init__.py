"""invset samples the inverse set of a neuron: varied images whose activation of it lies in a range you choose.

What a program needs is here by name; torch is imported when a name is first used.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOMES = {
    "Colours": "invset.models.colours",
    "Encoder": "invset.models.reader",
    "Full": "invset.core.full",
    "Generator": "invset.models.network",
    "InvsetError": "invset.errors",
    "Multistart": "invset.core.multistart",
    "Network": "invset.models.network",
    "Paper": "invset.core.paper",
    "Problem": "invset.core.problem",
    "Reader": "invset.models.reader",
    "Region": "invset.core.region",
    "Schedule": "invset.core.seeding",
    "Starts": "invset.models.starts",
    "build_generator": "invset.models.registry",
    "build_network": "invset.models.registry",
    "parse_unit": "invset.models.unit",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'invset' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
