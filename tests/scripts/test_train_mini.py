"""The script that trains the built-in model: its stages, its files in `invset sample`, kills and repetitions."""

import csv
import importlib.util
import json
import logging
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from PIL import Image

from invset.cli.main import run as invset
from invset.errors import ConfigError
from invset.models.mini import Dimensions, class_folders, load_code_statistics, load_generator, load_network
from invset.models.registry import build_generator, build_network
from invset.training.checkpoint import load_checkpoint
from invset.training.data import named_folders
from invset.training.generator import GeneratorSettings
from invset.training.network import NetworkSettings

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "train_mini.py"
CONFIGS = ROOT / "configs" / "train"
SMALL = ("size=32", "width=0.25", "device=cpu", "loop.report_every=1")
NETWORK = ("stage=network", "code=16", "settings={images: 240, batch: 8, shift: 2}")
GENERATOR = ("stage=generator", "settings={images: 160, batch: 4, mixed: 2, shift: 2, warmup: 2}")


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Six 50x40 images each of two classes of one's own: reddish and bluish noise."""
    root = tmp_path_factory.mktemp("images")
    rng = torch.Generator().manual_seed(0)
    for name, tint in (("reds", (255, 60, 60)), ("blues", (60, 60, 255))):
        (root / name).mkdir()
        for i in range(6):
            pixels = (torch.rand(40, 50, 3, generator=rng) * torch.tensor(tint)).byte().numpy()
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


def composed(*overrides: object) -> DictConfig:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose("mini", [str(override) for override in overrides])


@pytest.fixture(scope="module")
def stage():
    """Runs a stage in this process, which has torch already."""
    spec = importlib.util.spec_from_file_location("train_mini", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)

    def run(*overrides: object) -> None:
        config = composed(*overrides)
        script.STAGES[config.name](config)

    return run


def command(*overrides: object) -> list[str]:
    return [sys.executable, "-W", "error", str(SCRIPT), "threads=1", *map(str, overrides)]


ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def network_run(folder, stage, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("network")
    stage(*SMALL, *NETWORK, f"data={folder}", f"val={folder}", f"out={out}")
    return out


@pytest.fixture(scope="module")
def model(folder, stage, network_run, tmp_path_factory) -> Path:
    """A folder with the exported network."""
    out = tmp_path_factory.mktemp("model")
    stage(*SMALL, "stage=export", f"data={folder}", f"network_checkpoint={network_run}/checkpoint.pt", f"out={out}")
    return out


@pytest.fixture(scope="module")
def generator_run(folder, stage, model, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("generator")
    stage(*SMALL, *GENERATOR, f"data={folder}", f"val={folder}", f"network={model}/network.safetensors", f"out={out}")
    return out


def test_the_stages_and_a_sample_of_their_model(folder, stage, model, generator_run, tmp_path, monkeypatch, caplog):
    """At 32 pixels from end to end: images, network, generator, export, evaluate, and `invset sample`."""
    paths = {kind: model / f"{kind}.safetensors" for kind in ("network", "generator")}
    checkpoint = generator_run / "checkpoint.pt"
    stage(*SMALL, "stage=export", f"data={folder}", f"generator_checkpoint={checkpoint}", f"out={model}", "bank=5")
    assert (model / "classes.txt").read_text() == "blues\nreds\n"
    dimensions = Dimensions(32, 0.25, 16)
    assert load_network(paths["network"]).dimensions == load_generator(paths["generator"]).dimensions == dimensions
    network = build_network("mini", path=paths["network"], classes=model / "classes.txt")
    generator = build_generator("mini", path=paths["generator"])
    assert network.input_shape == generator.image_shape == (3, 32, 32)
    assert generator.code_size == network.units("fc6") == 16
    assert load_code_statistics(paths["generator"]).bank.shape == (5, 16)

    caplog.set_level(logging.INFO, "train_mini")
    options = [f"{kind}={path}" for kind, path in paths.items()]
    stage(*SMALL, "stage=evaluate", f"data={folder}", f"out={tmp_path}/evaluated", *options)
    figures = json.loads(caplog.messages[-1])
    assert set(figures) == {"top1", "top5", "psnr", "code_error"}
    assert figures["top1"] == 1
    with Image.open(tmp_path / "evaluated" / "grid.png") as grid:
        assert grid.size == (64, 64)
    metrics = json.loads((generator_run / "metrics.jsonl").read_text().splitlines()[-1])
    assert metrics["step"] == 40
    assert math.isfinite(metrics["psnr"])
    assert (generator_run / "grids" / "0000040.png").exists()

    activations = network.module(generator.module(generator.statistics.bank))[:, 1]
    low, high = activations.min().item() - 1, activations.max().item() + 1
    root, handlers = logging.getLogger(), list(logging.getLogger().handlers)
    monkeypatch.chdir(tmp_path)
    try:
        code = invset(
            [
                *(
                    "sample",
                    "neuron=fc8:reds",
                    f"range=[{low:.3f},{high:.3f}]",
                    "n=4",
                    "schedule.K=2",
                    "hydra.run.dir=run",
                ),
                *(f"+network.options.path={paths['network']}", f"+network.options.classes={model}/classes.txt"),
                f"+generator.options.path={paths['generator']}",
            ]
        )
    finally:
        root.handlers[:] = handlers
    assert code == 0
    with Image.open(tmp_path / "run" / "images" / "0001.png") as image:
        assert image.size == (32, 32)
    with (tmp_path / "run" / "activations.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 4


@pytest.mark.parametrize("kind", ["network", "generator"])
def test_the_same_command_gives_the_same_weights(kind, folder, stage, model, request, tmp_path):
    first = request.getfixturevalue(f"{kind}_run")
    stage(*again(kind, folder, model, tmp_path))
    assert same(first, tmp_path)


@pytest.mark.parametrize("kind", ["network", "generator"])
def test_a_killed_training_ends_where_one_left_alone_does(kind, folder, stage, model, request, tmp_path):
    """A real process, killed by SIGKILL once it has reported a step; weights, EMA, optimisers, rng, metrics."""
    overrides = again(kind, folder, model, tmp_path)
    process = subprocess.Popen(
        command(*overrides, "loop.checkpoint_minutes=0"),
        cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    metrics, deadline = tmp_path / "metrics.jsonl", time.monotonic() + 100
    while not (metrics.exists() and metrics.read_text().count("\n") >= 3):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -9
    assert 1 <= load_checkpoint(tmp_path / "checkpoint.pt")["training"]["step"] < 30
    stage(*overrides)
    assert same(request.getfixturevalue(f"{kind}_run"), tmp_path)


def again(kind: str, folder: Path, model: Path, out: Path) -> tuple[str, ...]:
    """The overrides of `network_run` or `generator_run`, in another folder."""
    own = (*GENERATOR, f"network={model}/network.safetensors") if kind == "generator" else NETWORK
    return (*SMALL, *own, f"data={folder}", f"val={folder}", f"out={out}")


def same(first: Path, second: Path) -> bool:
    """Whether two runs ended alike: every bit of the checkpoint, and every figure on the way."""
    states = [load_checkpoint(out / "checkpoint.pt") for out in (first, second)]
    return equal(*states) and (first / "metrics.jsonl").read_text() == (second / "metrics.jsonl").read_text()


def equal(a, b) -> bool:
    """Bit for bit, through dicts, lists and tensors."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


def test_another_seed_gives_other_weights(folder, stage, model, network_run, tmp_path):
    stage(*again("network", folder, model, tmp_path), "seed=1")
    assert not same(network_run, tmp_path)


@pytest.mark.parametrize("name", ["network", "generator", "export", "evaluate"])
def test_configs_compose_and_agree_with_the_settings(name):
    config = composed(f"stage={name}", "experiment=shipped", "data=images")
    assert config.name == name
    classes = named_folders([*config.classes, *config.more.classes], class_folders())
    assert len(classes) == len(set(classes)) == 55
    kinds = {"network": NetworkSettings, "generator": GeneratorSettings}
    if name in kinds:
        assert dict(config.settings) == kinds[name]().__dict__
    code = config.get("code", 512)
    assert Dimensions(config.size, config.width, code) == Dimensions()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("stage=network", "size=48"), "size is 48, and may be 32, 64, 128, 256"),
        (("stage=network", "width=0.3"), "width is 0.3, and may be a multiple of 1/8"),
        (("stage=network", "code=4"), "code is 4, and may be a whole number from 8"),
        (("stage=network", "compile=perhaps"), "compile is 'perhaps', and may be true, false or auto"),
        (("stage=network", "device=cud"), "device is cud, which is not here"),
        (("stage=network", "data_device=moon"), "data_device is moon, and may be cpu"),
        (("stage=generator", "size=32"), "size is 32, and the network's is 64: take size=64"),
        (("stage=evaluate", "size=128"), "size is 128, and the network's is 64"),
        (("stage=generator",), "the network has 1000 units, and the folder 2 classes"),
    ],
)
def test_mistakes(overrides, message, folder, stage, tmp_path):
    with pytest.raises(ConfigError, match=message):
        stage(*overrides, f"data={folder}", f"out={tmp_path}")


def test_a_users_mistake_ends_with_one_message(tmp_path):
    line = command("stage=network", f"data={tmp_path}/absent", f"out={tmp_path}")
    result = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT, env=ENVIRONMENT)
    assert result.returncode == 2
    assert "absent: there is no such folder of images" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr
