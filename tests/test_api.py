"""The public names, and the program in README that uses them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import invset

README = Path(__file__).parents[1] / "README.md"
DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "BENCHMARKS.md",
    "PAPER.md",
    "docs/steps.md",
    "docs/baselines.md",
    "docs/scale.md",
]


def test_every_public_name_is_there():
    for name in invset.__all__:
        assert getattr(invset, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = invset.nothing


def test_importing_it_does_not_import_torch():
    code = "import sys, invset; sys.exit('torch' in sys.modules or 'hydra' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_program_in_the_readme():
    (program,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    scope: dict = {}
    exec(program, scope)
    assert len(scope["images"]) >= 30
    low, high = 50, 60
    activations = scope["reader"](scope["problem"].evaluate(scope["state"].codes).images)[1]
    assert activations.shape == (10, 1)
    assert all(low <= value <= high for value in scope["activations"])


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documents_have_no_gaps_and_their_links_lead_somewhere(document):
    path = README.parent / document
    text = path.read_text()
    assert not re.search(r"@[A-Z0-9]+@|TODO|FIXME", text)
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("http") or (path.parent / target).exists(), target
