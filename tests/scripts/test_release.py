"""What scripts/release.py does to README and pyproject.toml, and what it asks of a wheel."""

from __future__ import annotations

import tomllib

import release

ADDRESS = "https://example.org/someone/invset"


def test_links_of_the_readme_lead_to_committed_files() -> None:
    text = (release.ROOT / "README.md").read_text()
    committed = release.committed_files()
    paths = [link["path"].partition("#")[0] for link in release.LINK.finditer(text)]
    assert len(paths) > 3
    assert [path for path in paths if path not in committed and not (release.ROOT / path).is_dir()] == []
    assert not release.LINK.search(release.with_address(text, ADDRESS, "v1.0"))


def test_links() -> None:
    text = '[a](docs/a.md#part) ![b c](docs/b.png) <img src="c.jpg" width="9"> [d](https://d.org) [e](#e)'
    assert release.with_address(text, ADDRESS, "v1.0") == (
        f"[a]({ADDRESS}/blob/v1.0/docs/a.md#part) ![b c]({ADDRESS}/raw/v1.0/docs/b.png) "
        f'<img src="{ADDRESS}/raw/v1.0/c.jpg" width="9"> [d](https://d.org) [e](#e)'
    )


def test_addresses_in_the_metadata() -> None:
    text = (release.ROOT / "pyproject.toml").read_text()
    changed = tomllib.loads(release.with_urls(text, ADDRESS, "v1.0"))
    assert changed["project"].pop("urls")["Repository"] == ADDRESS
    assert changed == tomllib.loads(text)


def test_configs_weights_and_labels_are_to_be_in_a_wheel() -> None:
    missing = release.missing_in_wheel(["invset/__init__.py"], release.committed_files())
    assert {"invset/configs/sample.yaml", "invset/configs/experiment/linear.yaml"} <= set(missing)
    assert {"invset/data/mini/generator.safetensors", "invset/data/mini/imagenet_classes.txt"} <= set(missing)
    assert "invset/__init__.py" not in missing
