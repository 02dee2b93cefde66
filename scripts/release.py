"""What is uploaded to PyPI, built from what is committed: python scripts/release.py v0.1.0 https://HOST/OWNER/invset.

Needs git, build and twine. The address of the repository is written into the metadata, and before the relative links of
README.md, which there would lead nowhere.
"""

from __future__ import annotations

import argparse
import io
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYPI_LIMIT = 100_000_000  # bytes of a file
LINK = re.compile(r"""(?P<before>\]\(|(?:src|href|srcset)=")(?!https?:|mailto:|\#)(?P<path>[^)"\s]+)""")
PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp")


def with_address(text: str, address: str, tag: str) -> str:
    """A page whose relative links lead to the repository's files at `tag`: pictures as files, others as pages."""

    def lead(link: re.Match[str]) -> str:
        kind = "raw" if link["path"].lower().endswith(PICTURES) else "blob"
        return f"{link['before']}{address}/{kind}/{tag}/{link['path']}"

    return LINK.sub(lead, text)


def with_urls(pyproject: str, address: str, tag: str) -> str:
    """pyproject.toml with the addresses that PyPI shows."""
    urls = f'[project.urls]\nRepository = "{address}"\nChangelog = "{address}/blob/{tag}/CHANGELOG.md"\n\n'
    return pyproject.replace("[project.scripts]\n", f"{urls}[project.scripts]\n", 1)


def missing_in_wheel(names: Iterable[str], committed: Iterable[str]) -> list[str]:
    """The committed files of the package and the configs that are not among the `names` in a wheel."""
    wanted = {file for file in committed if file.startswith("invset/")}
    wanted |= {f"invset/{file}" for file in committed if file.startswith("configs/")}
    return sorted(wanted - set(names))


def main() -> None:
    """Build, and check what was built."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tag", help="v and the version of invset/__init__.py")
    parser.add_argument("address", help="of the repository")
    parser.add_argument("--out", type=Path, default=Path("dist"))
    asked = parser.parse_args()
    if any(asked.out.glob("*")):
        sys.exit(f"{asked.out}: is not empty.")
    heading = rf"^## {re.escape(asked.tag[1:])} \(\d{{4}}-\d\d-\d\d\)$"
    if not re.search(heading, (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE):
        sys.exit(f"CHANGELOG.md: has no line '## {asked.tag[1:]} (YYYY-MM-DD)'.")
    with tempfile.TemporaryDirectory() as folder:
        committed = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
        with tarfile.open(fileobj=io.BytesIO(committed)) as archive:
            archive.extractall(folder, filter="data")
        readme, pyproject = Path(folder, "README.md"), Path(folder, "pyproject.toml")
        readme.write_text(with_address(readme.read_text(), asked.address, asked.tag))
        pyproject.write_text(with_urls(pyproject.read_text(), asked.address, asked.tag))
        subprocess.run([sys.executable, "-m", "build", "--outdir", asked.out.resolve(), folder], check=True)
    built = sorted(asked.out.iterdir())
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *built], check=True)
    wheel = next(path for path in built if path.suffix == ".whl")
    if wheel.name.split("-")[1] != asked.tag[1:]:
        sys.exit(f"{wheel.name}: is not version {asked.tag[1:]}, which the tag names.")
    with zipfile.ZipFile(wheel) as files, tarfile.open(fileobj=io.BytesIO(committed)) as archive:
        files_committed = [member.name for member in archive if member.isfile()]
        if missing := missing_in_wheel(files.namelist(), files_committed):
            sys.exit(f"{wheel.name}: lacks {', '.join(missing)}.")
    for path in built:
        print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
        if path.stat().st_size > PYPI_LIMIT:
            sys.exit(f"{path}: is larger than PyPI takes.")


if __name__ == "__main__":
    main()
