"""The stages by their configs: their files in `invset sample`, kills and repetitions, all in turn, and mistakes."""

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
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from PIL import Image
from safetensors.torch import save_file

from invset.cli.main import run as invset
from invset.errors import ConfigError, WeightsError
from invset.models import registry
from invset.models.labels import class_folders
from invset.models.mini import Dimensions, load_code_statistics, load_generator, load_network
from invset.models.network import Network
from invset.models.registry import build_generator, build_network
from invset.weights.tensors import read_safetensors
from training.checkpoint import load_checkpoint
from training.data import load_images, named_folders
from training.distil import DistilSettings
from training.evaluate import encode
from training.generator import GeneratorSettings
from training.judge import JudgeSettings
from training.network import NetworkSettings, Teacher
from training.pipeline import run_all
from training.stages import STAGES, judged_rows

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "train_mini.py"
CONFIGS = ROOT / "scripts" / "training" / "configs"
SMALL = ("size=32", "width=0.25", "device=cpu", "loop.report_every=1")
NETWORK = ("stage=network", "code=16", "settings={images: 240, batch: 8, shift: 2}")
GENERATOR = ("stage=generator", "critic.name=null", "settings={images: 64, batch: 4, mixed: 2, shift: 2, warmup: 2}")
DISTIL = ("stage=distil", "settings={images: 12, batch: 4, shift: 2, longest: 6, warmup: 1}", "labeller.name=mini")
JUDGE = ("stage=judge", "settings={samples: 4, chains: 4, steps: 20, low: 0.5, high: 50}", "~judges.efficientnet_lite0")


def composed(*overrides: object, hydra: bool = False) -> DictConfig:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose("mini", [str(override) for override in overrides], return_hydra_config=hydra)


def stage(*overrides: object) -> None:
    """Run a stage in this process, which has torch already."""
    config = composed(*overrides, hydra=True)
    HydraConfig.instance().set_config(config)
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):  # stage=all composes the others
        (STAGES | {"all": run_all})[config.name](config)


@pytest.fixture(scope="module")
def network_run(folder, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("network")
    stage(*SMALL, *NETWORK, f"data={folder}", f"val={folder}", f"out={out}")
    return out


@pytest.fixture(scope="module")
def model(folder, network_run, tmp_path_factory) -> Path:
    """A folder with the exported network."""
    out = tmp_path_factory.mktemp("model")
    stage(*SMALL, "stage=export", f"data={folder}", f"network_checkpoint={network_run}/checkpoint.pt", f"out={out}")
    return out


@pytest.fixture(scope="module")
def generator_run(folder, model, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("generator")
    stage(*again("generator", folder, model, out))
    return out


@pytest.fixture(scope="module")
def pair(folder, model, generator_run) -> dict[str, Path]:
    """The paths of an exported network, its generator, and the names of its units."""
    checkpoint = generator_run / "checkpoint.pt"
    stage(*SMALL, "stage=export", f"data={folder}", f"generator_checkpoint={checkpoint}", f"out={model}", "bank=5")
    files = {"network": "network.safetensors", "generator": "generator.safetensors", "names": "classes.txt"}
    return {kind: model / name for kind, name in files.items()}


def again(kind: str, folder: Path, model: Path, out: Path) -> tuple[str, ...]:
    """The overrides of `network_run` or `generator_run`, in another folder."""
    own = (*GENERATOR, f"network={model}/network.safetensors") if kind == "generator" else NETWORK
    return (*SMALL, *own, f"data={folder}", f"val={folder}", f"out={out}")


def of(pair: dict[str, Path], *kinds: str) -> tuple[str, ...]:
    return tuple(f"{kind}={pair[kind]}" for kind in kinds)


def test_the_stages_and_a_sample_of_their_model(folder, pair, generator_run, tmp_path, monkeypatch, caplog):
    """At 32 pixels from end to end: images, network, generator, export, evaluate, and `invset sample`."""
    assert pair["names"].read_text() == "blues\nreds\n"
    dimensions = Dimensions(32, 0.25, 16)
    assert load_network(pair["network"]).dimensions == load_generator(pair["generator"]).dimensions == dimensions
    network = build_network("mini", weights=pair["network"], labels=pair["names"])
    generator = build_generator("mini", weights=pair["generator"])
    assert network.input_shape == generator.image_shape == (3, 32, 32)
    assert generator.code_size == network.units("fc6") == 16
    assert generator.natural().shape == (5, 16)

    caplog.set_level(logging.INFO, "train_mini")
    stage(*SMALL, "stage=evaluate", f"data={folder}", f"out={tmp_path}/evaluated", *of(pair, "network", "generator"))
    figures = json.loads(caplog.messages[-1])
    assert set(figures) == {"top1", "top5", "psnr", "code_error"}
    assert figures["top1"] == 1
    with Image.open(tmp_path / "evaluated" / "grid.png") as grid:
        assert grid.size == (64, 64)
    metrics = json.loads((generator_run / "metrics.jsonl").read_text().splitlines()[-1])
    assert metrics["step"] == 16
    assert math.isfinite(metrics["psnr"])
    assert (generator_run / "grids" / "0000016.png").exists()

    activations = network.module(generator.module(generator.statistics.bank))[:, 1]
    low, high = activations.min().item() - 1, activations.max().item() + 1
    handlers = list(logging.getLogger().handlers)
    monkeypatch.chdir(tmp_path)
    goal = ("neuron=fc8:reds", f"range=[{low:.3f},{high:.3f}]", "n=4", "schedule.K=2", "hydra.run.dir=run")
    weights = (f"network.weights={pair['network']}", f"generator.weights={pair['generator']}")
    try:
        assert invset(["sample", *goal, *weights, f"network.labels={pair['names']}"]) == 0
    finally:
        logging.getLogger().handlers[:] = handlers
    with Image.open(tmp_path / "run" / "images" / "0001.png") as image:
        assert image.size == (32, 32)
    with (tmp_path / "run" / "activations.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 4


def test_the_same_command_gives_the_same_weights(folder, model, network_run, same, tmp_path):
    stage(*again("network", folder, model, tmp_path / "same"))
    assert same(network_run, tmp_path / "same")
    stage(*again("network", folder, model, tmp_path / "other"), "seed=1")
    assert not same(network_run, tmp_path / "other")


def test_a_killed_training_ends_where_one_left_alone_does(folder, model, generator_run, same, tmp_path):
    """The command as it is documented, killed by SIGKILL; weights, EMA, optimisers, rng, metrics."""
    overrides = again("generator", folder, model, tmp_path)
    line = [sys.executable, "-W", "error", str(SCRIPT), "threads=1", *overrides, "loop.checkpoint_minutes=0"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(line, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    metrics, deadline = tmp_path / "metrics.jsonl", time.monotonic() + 100
    while not (metrics.exists() and metrics.read_text().count("\n") >= 2):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -9
    assert 1 <= load_checkpoint(tmp_path / "checkpoint.pt")["training"]["step"] < 16
    stage(*overrides)
    assert same(generator_run, tmp_path)


@pytest.fixture(scope="module")
def same(equal):
    """Whether two runs ended alike: every bit of the checkpoint, and every figure on the way."""

    def alike(first: Path, second: Path) -> bool:
        states = [load_checkpoint(out / "checkpoint.pt") for out in (first, second)]
        return equal(*states) and (first / "metrics.jsonl").read_text() == (second / "metrics.jsonl").read_text()

    return alike


def test_distil_and_again(folder, pair, same, tmp_path):
    """Of two own classes, with a labeller of as many units; what is written is what was trained, but for float16."""
    labeller = ("~labeller.options.size", f"+labeller.options.weights={pair['network']}")
    common = (*SMALL, *DISTIL, *labeller, f"data={folder}", f"val={folder}", *of(pair, "network", "generator"))
    stage(*common, f"out={tmp_path}/a")
    stage(*common, f"out={tmp_path}/b", "loop.minutes=0")
    assert load_checkpoint(tmp_path / "b" / "checkpoint.pt")["training"]["step"] == 0
    stage(*common, f"out={tmp_path}/b")
    assert same(tmp_path / "a", tmp_path / "b")
    files = [(tmp_path / run / "network.safetensors").read_bytes() for run in "ab"]
    assert files[0] == files[1]
    metrics = [json.loads(line) for line in (tmp_path / "a" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in metrics] == [1, 2, 3]
    assert set(metrics[0]) == {"step", "made", "label", "code", "agreement", "reached", "top1", "top5"}
    trained = load_checkpoint(tmp_path / "a" / "checkpoint.pt")["training"]["network"]
    written, first = load_network(tmp_path / "a" / "network.safetensors"), load_network(pair["network"])
    for name, value in written.state_dict().items():
        torch.testing.assert_close(value, trained[name], rtol=1e-3, atol=1e-5)
    assert not torch.equal(written.fc8.weight, first.fc8.weight)
    with pytest.raises(WeightsError, match="of another stage or critic, or of other classes; take another out="):
        stage(*SMALL, *NETWORK, f"data={folder}", f"out={tmp_path}/a")


def judge_of_one_kind(size: int = 8) -> Network:
    """Says "blues" of everything, and fc8 of two units."""
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * size * size, 2))
    with torch.no_grad():
        module[1].weight.zero_()
        module[1].bias.copy_(torch.tensor([1.0, 0.0]))
    return Network("judge", module, {"fc8": "1"}, (3, size, size))


def test_judges_of_all_class_folders(folder, pair, tmp_path, monkeypatch):
    monkeypatch.setitem(registry.NETWORKS, "blue_judge", judge_of_one_kind)
    judges = ("~judges.efficientnet_lite2", "+judges.blue_judge={size: 8}", f"data={folder}")
    tensors, size = read_safetensors(pair["network"])
    tensors["fc8.bias"] += 10  # or a few steps of training may leave a unit below 0, where it has no range
    save_file(tensors, tmp_path / "network.safetensors", size)
    pair = pair | {"network": tmp_path / "network.safetensors"}
    stage(*SMALL, *JUDGE, *judges, *of(pair, "network", "generator"), f"out={tmp_path}")
    judged = json.loads((tmp_path / "judge.json").read_text())
    assert list(judged["units"]) == ["blues", "reds"]
    for name, figures in judged["units"].items():
        assert figures["samples"] == 4
        assert figures["seen"] == {"blue_judge": [float(name == "blues"), 1.0]}
    assert judged["means"] == {"blue_judge": {"top1": 0.5, "top5": 1.0}}
    with Image.open(tmp_path / "samples.png") as image:
        assert image.size == (4 * 32, 2 * 32)


def test_which_units_are_judged_and_their_names(folder):
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3, 4))
    network = Network("n", module, {"fc8": "1"}, (3, 1, 1), {"fc8": ("crane", "pig", "crane", "cow")})
    assert judged_rows(composed("stage=judge", "units=[1, 3, cow]"), network) == {"crane 1": 0, "crane 3": 2, "cow": 3}
    with pytest.raises(ConfigError, match="2 units of fc8 are labelled 'crane'; write fc8:1 or fc8:3"):
        judged_rows(composed("stage=judge", "units=[crane]"), network)
    two = judge_of_one_kind()
    assert judged_rows(composed("stage=judge", f"data={folder}"), two) == {"blues": 0, "reds": 1}
    assert judged_rows(composed("stage=judge", f"data={folder}", "classes=[reds]"), two) == {"reds": 1}
    assert judged_rows(composed("stage=judge", "units=[2]"), two) == {"2": 1}
    with pytest.raises(ConfigError, match="no unit called violets"):
        judged_rows(composed("stage=judge", f"data={folder}", "classes=[violets]"), two)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ((*DISTIL, "labeller.name=efficientnet_lite0"), "labeller: needs the units .* has 1000, the folder 2 classes"),
        ((*DISTIL, "generator=null"), "the generator size=64, code=512"),
        (("stage=judge",), "judges: efficientnet_lite0 has 1000 units, the network 2"),
        (("stage=judge", "judges=null"), "judges: there are none"),
        ((*GENERATOR, "critic={name: mini, layers: [fc7]}", "~critic.options.size"), "fc7 of mini is no map"),
        (("stage=evaluate", "generator=null"), "the generator size=64, code=512"),
    ],
)
def test_mistakes_with_a_pair(overrides, message, folder, pair, tmp_path):
    wanted = {"stage=generator": ("network",), "stage=judge": ("network", "generator", "names")}
    kinds = [kind for kind in wanted.get(overrides[0], ("network", "generator")) if f"{kind}=null" not in overrides]
    with pytest.raises(ConfigError, match=message):
        stage(*SMALL, *overrides, *of(pair, *kinds), f"data={folder}", f"out={tmp_path}")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("stage=network", "size=48"), "size is 48, and may be 32, 64, 128, 256"),
        (("stage=generator", "size=32"), "size is 32, and the network's is 64: take size=64"),
        (("stage=generator",), "the network has 1000 units, and the folder 2 classes"),
    ],
)
def test_mistakes(overrides, message, folder, tmp_path):
    with pytest.raises(ConfigError, match=message):
        stage(*overrides, f"data={folder}", f"out={tmp_path}")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [((), "Missing mandatory value: data"), (("data=absent",), "absent: there is no such folder of images")],
)
def test_a_mistake_ends_the_script_with_one_message(overrides, message, tmp_path, caplog):
    spec = importlib.util.spec_from_file_location("train_mini", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    with pytest.raises(SystemExit) as ended:
        script.main.__wrapped__(composed(*overrides, f"out={tmp_path}"))
    assert ended.value.code == 2
    assert len(caplog.messages) == 1
    assert message in caplog.messages[0]


@pytest.mark.parametrize("name", ["label", "network", "generator", "distil", "export", "evaluate", "judge", "all"])
def test_configs_compose_and_agree_with_the_settings(name):
    config = composed(f"stage={name}", "experiment=shipped", "data=images")
    assert config.name == name
    classes = named_folders([*config.classes, *config.more.classes], class_folders())
    assert len(classes) == len(set(classes)) == 55
    kinds = {
        "network": NetworkSettings, "generator": GeneratorSettings, "distil": DistilSettings, "judge": JudgeSettings,
    }  # fmt: skip
    if name in kinds:
        assert dict(config.settings) == kinds[name]().__dict__
    code = config.get("code", 512)
    assert Dimensions(config.size, config.width, code) == Dimensions()


@pytest.fixture(scope="module")
def wnids(tmp_path_factory) -> Path:
    """Four small images each of two of ImageNet's classes, goldfish and lemon."""
    root = tmp_path_factory.mktemp("wnids")
    rng = torch.Generator().manual_seed(0)
    for name, tint in (("n01443537", (255, 120, 0)), ("n07749582", (255, 255, 60))):
        (root / name).mkdir()
        for i in range(4):
            pixels = (torch.rand(40, 40, 3, generator=rng) * torch.tensor(tint)).byte().numpy()
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


ALL = (
    "stage=all", "size=32", "width=0.125", "device=cpu", "loop.report_every=2",
    "++steps.network={code: 16, settings.batch: 4, settings.images: 40, settings.bf16: false}",
    "++steps.generator={critic.options.size: 32, settings.batch: 4, settings.mixed: 2, settings.images: 8}",
    "++steps.label={labeller.options.size: 32, top: 5}",
    "++steps.distil={labeller.options.size: 32, settings.batch: 4, settings.images: 8, settings.longest: 4}",
    "++steps.judge={settings.samples: 2, settings.chains: 2, settings.steps: 3, units: null}",
    "++steps.judge.judges={efficientnet_lite0: {size: 32}, efficientnet_lite2: {size: 32}}",
)  # fmt: skip


def test_all_stages_and_all_again(wnids, equal, tmp_path, caplog):
    """Once, and once more, which finds all done and writes the same files."""
    caplog.set_level(logging.INFO, "train_mini")
    overrides = (*ALL, f"data={wnids}", f"val={wnids}", f"out={tmp_path}")
    stage(*overrides)
    stages = [text.partition("stage=")[2].partition(",")[0] for text in caplog.messages if "stage=" in text]
    assert stages == ["label", "network", "export", "generator", "export", "distil", "export", "evaluate", "judge"]
    first = contents(tmp_path)
    assert {"model/network.safetensors", "model/generator.safetensors", "judge/judge.json"} <= set(first)
    assert {f"{name}/checkpoint.pt" for name in ("network", "generator", "distil")} <= set(first)
    table = Teacher(tmp_path / "label" / "teacher.npz", tuple(f"n01443537/{i}.png" for i in range(4)))
    assert table.known.all()
    assert first["model/network.safetensors"] == first["distil/network.safetensors"]
    model = {kind: tmp_path / "model" / f"{kind}.safetensors" for kind in ("network", "generator")}
    assert load_network(model["network"]).dimensions == load_generator(model["generator"]).dimensions
    assert load_network(model["network"]).fc8.out_features == 1000
    judged = json.loads(first["judge/judge.json"])
    assert list(judged["units"]) == ["goldfish", "lemon"]
    assert set(judged["means"]) == {"efficientnet_lite0", "efficientnet_lite2"}
    codes = encode(load_network(model["network"]), load_images(wnids, class_folders(), size=32).images)
    mean = load_code_statistics(model["generator"]).mean  # of the network as distilled
    torch.testing.assert_close(mean, codes.mean(0), rtol=2e-3, atol=2e-3)

    stage(*overrides)
    second = contents(tmp_path)
    assert set(second) == set(first)
    assert {name for name in first if not equal(first[name], second[name])} == set()


def contents(folder: Path) -> dict[str, object]:
    """Of all files: bytes, or what a checkpoint holds."""
    read = {".pt": load_checkpoint}
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): read.get(path.suffix, Path.read_bytes)(path) for path in files}


def test_all_of_own_classes_without_distil(folder, tmp_path):
    """No EfficientNet knows them: said at once, with what to leave out."""
    overrides = (*ALL, f"data={folder}", f"out={tmp_path}")
    with pytest.raises(ConfigError, match=r"labeller: .* steps\.distil=null"):
        stage(*overrides)
    with pytest.raises(ConfigError, match=r"judges: .* steps\.judge=null"):
        stage(*overrides, "++steps.label=null", "++steps.distil=null")
    assert not list(tmp_path.iterdir())
    left_out = ("++steps.label=null", "++steps.distil=null", "++steps.judge=null")
    stage(*overrides[:-4], *overrides[-2:], *left_out, "++steps.generator={critic.name: null, settings.images: 32}")
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {"network", "model", "generator"}
    assert {path.name for path in (tmp_path / "model").iterdir()} == {
        "network.safetensors", "generator.safetensors", "codes.safetensors", "classes.txt",
    }  # fmt: skip


def test_all_with_mistakes(folder, wnids, tmp_path):
    with pytest.raises(ConfigError, match="val needs the class folders of"):
        stage(*ALL, f"data={folder}", f"val={wnids}", f"out={tmp_path}")
    with pytest.raises(ConfigError, match=r"steps\.network: stage=network has no setting settings\.imges"):
        stage(*ALL, f"data={wnids}", f"out={tmp_path}", "++steps.network={settings.imges: 3}")
    assert not list(tmp_path.iterdir())
