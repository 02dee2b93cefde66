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
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from PIL import Image

from invset.cli.main import run as invset
from invset.errors import ConfigError, WeightsError
from invset.models import registry
from invset.models.labels import class_folders
from invset.models.mini import Dimensions, load_code_statistics, load_generator, load_network
from invset.models.network import Network
from invset.models.registry import build_generator, build_network
from invset.training.checkpoint import load_checkpoint
from invset.training.data import load_images, named_folders
from invset.training.distil import DistilSettings
from invset.training.evaluate import encode
from invset.training.generator import GeneratorSettings
from invset.training.judge import JudgeSettings
from invset.training.network import NetworkSettings, Teacher

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "train_mini.py"
CONFIGS = ROOT / "configs" / "train"
SMALL = ("size=32", "width=0.25", "device=cpu", "loop.report_every=1")
NETWORK = ("stage=network", "code=16", "settings={images: 240, batch: 8, shift: 2}")
GENERATOR = ("stage=generator", "critic.name=null", "settings={images: 160, batch: 4, mixed: 2, shift: 2, warmup: 2}")


DISTIL = ("stage=distil", "settings={images: 24, batch: 4, shift: 2, longest: 6}", "labeller.name=mini")
JUDGE = ("stage=judge", "settings={samples: 4, chains: 4, steps: 30}", "~judges.efficientnet_lite0")


@pytest.fixture(autouse=True, scope="module")  # before fixtures that train, which are of this scope
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
def script():
    spec = importlib.util.spec_from_file_location("train_mini", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


@pytest.fixture(scope="module")
def stage(script):
    """Runs a stage in this process, which has torch already."""

    def run(*overrides: object) -> None:
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            config = compose("mini", list(map(str, overrides)), return_hydra_config=True)
            HydraConfig.instance().set_config(config)
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
    network = build_network("mini", weights=paths["network"], labels=model / "classes.txt")
    generator = build_generator("mini", weights=paths["generator"])
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
                *(f"network.weights={paths['network']}", f"network.labels={model}/classes.txt"),
                f"generator.weights={paths['generator']}",
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


@pytest.fixture(scope="module")
def pair(folder, stage, model, generator_run, tmp_path_factory) -> dict[str, Path]:
    """The paths of an exported network, its generator, and the names of its units."""
    out, network = tmp_path_factory.mktemp("pair"), model / "network.safetensors"
    checkpoint = generator_run / "checkpoint.pt"
    options = (f"data={folder}", f"generator_checkpoint={checkpoint}", f"network={network}", f"out={out}", "bank=5")
    stage(*SMALL, "stage=export", *options)
    return {"network": network, "generator": out / "generator.safetensors", "names": model / "classes.txt"}


def of(pair: dict[str, Path], *kinds: str) -> tuple[str, ...]:
    return tuple(f"{kind}={pair[kind]}" for kind in kinds)


def test_distil_and_again(folder, stage, model, pair, tmp_path):
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
    assert [line["step"] for line in metrics] == [1, 2, 3, 4, 5, 6]
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


def test_judge_of_all_class_folders(folder, stage, pair, tmp_path, monkeypatch):
    """With `classes: null`, `units: null`; of the names in `names`, and without them of the folders."""
    monkeypatch.setitem(registry.NETWORKS, "blue_judge", judge_of_one_kind)
    judges = ("~judges.efficientnet_lite2", "+judges.blue_judge={size: 8}", f"data={folder}")
    common = (*SMALL, *JUDGE, *judges, *of(pair, "network", "generator"))
    stage(*common, *of(pair, "names"), f"out={tmp_path}/named")
    stage(*common, f"out={tmp_path}/unnamed")
    stage(*common, "classes=[reds]", f"out={tmp_path}/one")
    stage(*common, "units=[2]", f"out={tmp_path}/unit")
    named, unnamed, one, unit = (
        json.loads((tmp_path / name / "judge.json").read_text()) for name in ("named", "unnamed", "one", "unit")
    )
    assert named == unnamed
    assert list(named["units"]) == ["blues", "reds"]
    assert list(one["units"]) == ["reds"]
    assert list(unit["units"]) == ["2"]
    assert one["units"]["reds"] == unit["units"]["2"] == named["units"]["reds"]
    for name, figures in named["units"].items():
        assert figures["samples"] == 4
        assert figures["seen"] == {"blue_judge": [float(name == "blues"), 1.0]}
    assert named["means"] == {"blue_judge": {"top1": 0.5, "top5": 1.0}}
    with Image.open(tmp_path / "named" / "samples.png") as image:
        assert image.size == (4 * 32, 2 * 32)
    stage(*common, "units=[2]", "settings={low: 50, high: 51, chains: 2}", f"out={tmp_path}/none")
    none = json.loads((tmp_path / "none" / "judge.json").read_text())
    assert none["means"] == {"blue_judge": {"top1": 0.0, "top5": 0.0}}
    assert not (tmp_path / "none" / "samples.png").exists()


def test_names_that_two_units_share(script):
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3, 4))
    network = Network("n", module, {"fc8": "1"}, (3, 1, 1), {"fc8": ("crane", "pig", "crane", "cow")})
    assert script.judged_rows(composed("stage=judge", "units=[1, 3, cow]"), network) == {
        "crane 1": 0, "crane 3": 2, "cow": 3,
    }  # fmt: skip
    with pytest.raises(ConfigError, match="2 units of fc8 are labelled 'crane'; write fc8:1 or fc8:3"):
        script.judged_rows(composed("stage=judge", "units=[crane]"), network)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ((*DISTIL, "labeller.name=efficientnet_lite0"), "labeller: needs the units .* has 1000, the folder 2 classes"),
        ((*DISTIL, "labeller.name=nonsense"), "there is no network 'nonsense'"),
        ((*DISTIL, "~labeller.options.size", "network={network}", "generator=null"), "the generator size=64, code=512"),
        (("stage=judge",), "judges: efficientnet_lite0 has 1000 units, the network 2"),
        (("stage=judge", "judges=null"), "judges: there are none"),
        ((*JUDGE, "units=[violets]"), "no unit of layer fc8 of mini is labelled 'violets'"),
        ((*JUDGE, "classes=[violets]"), "no unit called violets"),
        ((*JUDGE, "settings.low=1.1"), "low and high are 1.1 and 1.0"),
        ((*GENERATOR, "settings.bf16=maybe"), "settings.bf16 is 'maybe', and may be true, false or auto"),
        ((*GENERATOR, "critic={name: mini, layers: [block4]}", "~critic.options.size"), "no layer 'block4'"),
        ((*GENERATOR, "critic={name: mini, layers: [fc7]}", "~critic.options.size"), "fc7 of mini is no map"),
        (("stage=evaluate", "generator=null"), "the generator size=64, code=512"),
    ],
)
def test_mistakes_with_a_pair(overrides, message, folder, stage, pair, tmp_path, monkeypatch):
    monkeypatch.setitem(registry.NETWORKS, "efficientnet_lite2", judge_of_one_kind)
    own = [text.format(**pair) if "{network}" in text else text for text in overrides]
    given = {text.partition("=")[0] for text in own} | ({"generator"} if "stage=generator" in own else set())
    kinds = ["network", "generator", *(["names"] if "stage=judge" in own else [])]
    options = [f"{kind}={pair[kind]}" for kind in kinds if kind not in given]
    if "stage=distil" in own and "generator=null" in own:
        own.append(f"+labeller.options.weights={pair['network']}")
    if "stage=judge" in own and len(own) > 2:
        own.append("judges.efficientnet_lite2.size=8")
    with pytest.raises(ConfigError, match=message):
        stage(*SMALL, *own, *options, f"data={folder}", f"out={tmp_path}")


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
    "++steps.network={code: 16, settings.batch: 4, settings.images: 80, settings.bf16: false}",
    "++steps.generator={critic.options.size: 32, settings.batch: 4, settings.mixed: 2, settings.images: 16}",
    "++steps.label={labeller.options.size: 32, top: 5}",
    "++steps.distil={labeller.options.size: 32, settings.batch: 4, settings.images: 16, settings.longest: 4}",
    "++steps.judge={settings.samples: 2, settings.chains: 2, settings.steps: 3, units: null}",
)  # fmt: skip


def test_all_stages_and_all_again(wnids, stage, tmp_path):
    """In a real process, as it is used; then once more in this one, which finds all done and writes the same files."""
    out = tmp_path / "out"
    overrides = (*ALL, f"data={wnids}", f"val={wnids}", f"out={out}")
    line = command(*overrides, "++steps.judge.judges={efficientnet_lite0: {size: 32}, efficientnet_lite2: {size: 32}}")
    result = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT, env=ENVIRONMENT)
    assert result.returncode == 0, result.stdout + result.stderr
    stages = [text.partition("stage=")[2].partition(",")[0] for text in result.stdout.splitlines() if "stage=" in text]
    assert stages == ["label", "network", "export", "generator", "export", "distil", "export", "evaluate", "judge"]
    first = contents(out)
    assert {"model/network.safetensors", "model/generator.safetensors", "judge/judge.json"} <= set(first)
    assert {f"{name}/checkpoint.pt" for name in ("network", "generator", "distil")} <= set(first)
    table = Teacher(out / "label" / "teacher.npz", tuple(f"n01443537/{i}.png" for i in range(4)))
    assert table.known.all()
    assert first["model/network.safetensors"] == first["distil/network.safetensors"]
    model = {kind: out / "model" / f"{kind}.safetensors" for kind in ("network", "generator")}
    assert load_network(model["network"]).dimensions == load_generator(model["generator"]).dimensions
    assert load_network(model["network"]).fc8.out_features == 1000
    judged = json.loads(first["judge/judge.json"])
    assert list(judged["units"]) == ["goldfish", "lemon"]
    assert set(judged["means"]) == {"efficientnet_lite0", "efficientnet_lite2"}
    codes = encode(load_network(model["network"]), load_images(wnids, class_folders(), size=32).images)
    mean = load_code_statistics(model["generator"]).mean  # of the network as distilled
    torch.testing.assert_close(mean, codes.mean(0), rtol=2e-3, atol=2e-3)

    stage(*line[line.index(str(SCRIPT)) + 2 :])
    again = contents(out)
    assert set(again) == set(first)
    assert {name for name in first if not equal(first[name], again[name])} == set()


def contents(folder: Path) -> dict[str, object]:
    """Of all files but Hydra's and its log: bytes, or what a checkpoint holds."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".log", ".yaml")]
    read = {".pt": load_checkpoint}
    return {str(path.relative_to(folder)): read.get(path.suffix, Path.read_bytes)(path) for path in files}


def test_all_of_own_classes_without_distil(folder, stage, tmp_path):
    """No EfficientNet knows them: said at once, with what to leave out."""
    overrides = (*ALL, f"data={folder}", f"out={tmp_path}")
    with pytest.raises(ConfigError, match=r"labeller: .* steps\.distil=null"):
        stage(*overrides)
    with pytest.raises(ConfigError, match=r"judges: .* steps\.judge=null"):
        stage(*overrides, "++steps.label=null", "++steps.distil=null")
    assert not list(tmp_path.iterdir())
    left_out = ("++steps.label=null", "++steps.distil=null", "++steps.judge=null")
    stage(*overrides, *left_out, "++steps.generator={critic.name: null}")
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {"network", "model", "generator"}
    assert {path.name for path in (tmp_path / "model").iterdir()} == {
        "network.safetensors", "generator.safetensors", "classes.txt",
    }  # fmt: skip


def test_all_with_mistakes(folder, wnids, stage, tmp_path):
    with pytest.raises(ConfigError, match="val needs the class folders of"):
        stage(*ALL, f"data={folder}", f"val={wnids}", f"out={tmp_path}")
    with pytest.raises(ConfigError, match=r"steps\.network: stage=network has no setting settings\.imges"):
        stage(*ALL, f"data={wnids}", f"out={tmp_path}", "++steps.network={settings.imges: 3}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["network", "generator", "distil", "export", "evaluate", "judge", "all"])
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


def test_no_data_is_said_in_one_line(tmp_path):
    line = command("stage=network", f"out={tmp_path}")
    result = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT, env=ENVIRONMENT)
    assert result.returncode == 2
    assert "Missing mandatory value: data" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr


def test_a_users_mistake_ends_with_one_message(tmp_path):
    line = command("stage=network", f"data={tmp_path}/absent", f"out={tmp_path}")
    result = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT, env=ENVIRONMENT)
    assert result.returncode == 2
    assert "absent: there is no such folder of images" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr
