"""`import torchvision`, after `import invset`, beside any build of torch.

PyPI's torchvision for Linux is compiled for CUDA. Beside a CPU-only torch its compiled operators cannot load, and
`import torchvision` ends with "operator torchvision::nms does not exist", because it attaches Python rules to two
operators that are not there. Declaring the two (never calling them) is enough: nothing here detects boxes.
"""

import sys

_RULES = "torchvision._meta_registrations"  # which torchvision imports once it has tried to load its operators
_MISSING = ("nms", "qnms")
_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_library = None  # torch forgets the declarations when the library object goes


class _BeforeRules:
    """Finds no module; asked for torchvision's rules, it first declares the operators that are missing."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name == _RULES:
            _declare_missing_operators()


def prepare_for_torchvision() -> None:
    """Let `import torchvision` work from here on; imports nothing itself, and does nothing where all is well."""
    if _BeforeRules not in sys.meta_path:
        sys.meta_path.insert(0, _BeforeRules)


def _declare_missing_operators() -> None:
    import torch

    global _library
    missing = [name for name in _MISSING if not hasattr(torch.ops.torchvision, name)]
    if missing and _library is None:
        _library = torch.library.Library("torchvision", "FRAGMENT")
        for name in missing:
            _library.define(f"{name}{_SCHEMA}")
