"""torchvision beside the torch that is here, in a program of one's own."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys
import invset
assert "torch" not in sys.modules
import torchvision
assert torchvision.models.resnet18(num_classes=3).fc.out_features == 3
"""
ITS_OWN = """
import torch, invset
library = torch.library.Library("torchvision", "DEF")  # as torchvision's own operators, where they load
for name in ("nms", "qnms"):
    library.define(f"{name}(Tensor boxes) -> Tensor")
import torchvision
assert torch.ops.torchvision.nms.default._schema.arguments[0].name == "boxes"
"""


@pytest.mark.parametrize("program", [PROGRAM, ITS_OWN], ids=["missing", "there"])
def test_torchvision_can_be_imported_after_invset(program: str) -> None:
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
