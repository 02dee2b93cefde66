"""Import torchvision beside any build of torch.

PyPI's torchvision for Linux is compiled for CUDA. Beside a CPU-only torch its compiled operators cannot load, and
`import torchvision` ends with "operator torchvision::nms does not exist", because it attaches Python rules to two
operators that are not there. Declaring the two (never calling them) is enough: nothing here detects boxes.
"""

from types import ModuleType

_MISSING = ("nms", "qnms")
_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_library = None  # torch forgets the declarations when the library object goes


def import_torchvision() -> ModuleType:
    """Return the `torchvision` module, declaring its two missing operators first if it cannot be imported without.

    Raises:
        ImportError: torchvision is not installed, or fails for another reason.
    """
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise ImportError(f"torchvision cannot be imported: {error}") from error
        _declare_missing_operators()
        import torchvision
    return torchvision


def _declare_missing_operators() -> None:
    import sys

    import torch

    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]  # halves of the failed import
    global _library
    _library = torch.library.Library("torchvision", "DEF")
    for name in _MISSING:
        _library.define(f"{name}{_SCHEMA}")
