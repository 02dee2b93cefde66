"""What scripts/release.py does to README and pyproject.toml, and what it asks of a wheel."""

from __future__ import annotations

import tomllib

import release

ADDRESS = "https://example.org/someone/invset"


def test_links_of_the_readme_lead_to_files() -> None:
    text = (release.ROOT / "README.md").read_text()
    paths = [link["path"].partition("#")[0] for link in release.LINK.finditer(text)]
    assert [path for path in paths if not (release.ROOT / path).exists()] == []
    assert not release.LINK.search(release.with_address(text, ADDRESS, "v1.0"))


def test_links() -> None:
    text = '[a](docs/a.md#part) ![b c](docs/b.png) <img src="c.jpg" width="9"> [d](https://d.org) [e](#e)'
    assert release.with_address(text, ADDRESS, "v1.0") == (
        f"[a]({ADDRESS}/blob/v1.0/docs/a.md#part) ![b c]({ADDRESS}/raw/v1.0/docs/b.png) "
        f'<img src="{ADDRESS}/raw/v1.0/c.jpg" width="9"> [d](https://d.org) [e](#e)'
    )


def test_addresses_in_the_metadata() -> None:
    text = '[project]\nname = "a"\n\n[project.scripts]\na = "a:main"\n'
    changed = tomllib.loads(release.with_urls(text, ADDRESS, "v1.0"))
    assert changed["project"].pop("urls")["Repository"] == ADDRESS
    assert changed == tomllib.loads(text)
    assert "\n[project.scripts]\n" in (release.ROOT / "pyproject.toml").read_text()


def test_all_files_of_the_package_and_all_configs_are_to_be_in_a_wheel() -> None:
    committed = ["README.md", "configs/sample.yaml", "invset/__init__.py", "invset/data/mini/codes.safetensors"]
    wanted = ["invset/__init__.py", "invset/configs/sample.yaml", "invset/data/mini/codes.safetensors"]
    assert release.missing_in_wheel(wanted, committed) == []
    assert release.missing_in_wheel(wanted[:1], committed) == wanted[1:]
