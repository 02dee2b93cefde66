"""The list of known weights, and names for torchvision's."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import pytest

from invset.errors import ConfigError
from invset.models.deepsim import HEADS
from invset.weights.known import KNOWN, PREFIX, Source, Weights, file_of, find, torchvision_weights


def test_the_names_that_networks_and_generators_ask_for_are_known() -> None:
    assert set(KNOWN) >= {
        "caffenet",
        "caffenet-matconvnet",
        "places205",
        "ppgn",
        *(f"deepsim-{layer}" for layer in HEADS),
    }


def test_caffenet_is_the_file_that_two_projects_publish() -> None:
    """BVLC/caffe publishes the SHA-1, openvinotoolkit/open_model_zoo size and SHA-384."""
    caffenet = find("caffenet")
    assert caffenet.size == 243_862_418
    assert caffenet.checksums["sha1"] == "4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46"
    assert caffenet.checksums["sha384"].startswith("6677844301d6c7f68f5b6a299cf41c4f")
    assert caffenet.sources[0] == Source("http://dl.caffe.berkeleyvision.org/bvlc_reference_caffenet.caffemodel")
    assert caffenet.terms.startswith("unrestricted use;")


@pytest.mark.parametrize("name", KNOWN)
def test_every_entry_is_complete(name: str) -> None:
    weights = KNOWN[name]
    assert weights.name == name
    assert weights.sources
    assert weights.terms
    assert weights.about
    for source in weights.sources:
        parts = urlsplit(source.url)
        assert parts.scheme in ("http", "https")
        assert parts.hostname
        packed = PurePosixPath(parts.path).suffix in (".zip", ".gz")
        assert packed == (source.member is not None)
    assert weights.file == PurePosixPath(weights.file).name
    for algorithm, digest in weights.checksums.items():
        assert re.fullmatch("[0-9a-f]+", digest)
        assert len(digest) == 2 * hashlib.new(algorithm).digest_size


def test_no_two_entries_share_a_file() -> None:
    assert len({weights.file for weights in KNOWN.values()}) == len(KNOWN)


@pytest.mark.parametrize("name", ["CaffeNet", " caffenet ", "deepsim_fc6", "DeePSiM-FC6"])
def test_spelling_does_not_matter(name: str) -> None:
    assert find(name) is KNOWN[name.strip().lower().replace("_", "-")]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cafenet", "no weights are called 'cafenet': did you mean caffenet"),
        ("deepsim", "did you mean deepsim-conv3"),
        ("zzz", "there are caffenet, caffenet-matconvnet, deepsim-conv3"),
        ("../caffenet", "no weights are called"),
        ("../../x-7be5be79.pth", "no weights are called"),
    ],
)
def test_a_name_there_is_not(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        find(name)


def test_torchvisions_alexnet() -> None:
    url = "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"
    weights = torchvision_weights(url)
    assert (weights.file, weights.checksums) == ("alexnet-owt-7be5be79.pth", {PREFIX: "7be5be79"})
    assert weights.sources == (Source(url),)
    assert find(weights.name) == weights


def test_every_classifier_of_torchvision_has_weights_by_its_address() -> None:
    """Oracle: torchvision's own list of addresses, and the way it reads the digest off a name."""
    from torchvision import models

    builders = [models.get_model_builder(name) for name in models.list_models(module=models)]
    urls = {entry.url for builder in builders for entry in models.get_model_weights(builder)}
    assert len(urls) > 80
    for url in urls:
        weights = torchvision_weights(url)
        assert weights.file == url.rsplit("/", 1)[1]
        assert re.search(r"-([a-f0-9]*)\.", weights.file).group(1).startswith(weights.checksums[PREFIX])
        assert find(weights.name) == weights
        assert ("NC" in weights.terms) == ("swag" in url.lower())


def test_the_list_is_read_without_anything_slow() -> None:
    program = "import sys, invset.weights.known, invset.weights.cache; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "rich", "hydra", "requests", "scipy"} & set(loaded)


def test_a_file_is_given_by_path_by_name_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def found(weights: Weights) -> Path:
        return Path("cache") / weights.file

    assert file_of(None, "ppgn", found) == Path("cache") / KNOWN["ppgn"].file
    assert file_of("deepsim-fc6", "ppgn", found) == Path("cache") / KNOWN["deepsim-fc6"].file
    assert file_of("some/where.pt", "ppgn", found) == Path("some/where.pt")
    (tmp_path / "caffenet").write_bytes(b"mine")
    assert file_of("caffenet", "ppgn", found) == Path("caffenet")
    assert file_of(None, "caffenet", found) == Path("cache") / KNOWN["caffenet"].file
    assert file_of("DeePSiM_fc6", "ppgn", found) == Path("cache") / KNOWN["deepsim-fc6"].file
    monkeypatch.setenv("HOME", str(tmp_path))
    assert file_of("~/caffenet", "ppgn", found) == tmp_path / "caffenet"
    assert file_of("~/absent", "ppgn", found) == tmp_path / "absent"
    for path in ("absent.pt", "./absent", "~nobody-of-that-name/absent"):
        assert file_of(path, "ppgn", found) == Path(path)
    with pytest.raises(
        ConfigError, match=r"there is no file 'cafenet', and no weights are called.* did you mean caffe"
    ):
        file_of("cafenet", "ppgn", found)


@pytest.mark.parametrize("layer", HEADS)
def test_each_generator_has_known_weights(layer: str) -> None:
    assert layer in KNOWN[f"deepsim-{layer}"].sources[0].url
