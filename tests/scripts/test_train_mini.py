"""Training the built-in model: a run cut in two is the run in one, bit for bit, and its files load."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from PIL import Image

from invset.errors import ConfigError, WeightsError
from invset.models.mini import (
    LOGIT_SCALE,
    MiniGenerator,
    MiniNetwork,
    class_folders,
    fold,
    load_code_statistics,
    load_generator,
    load_network,
)
from invset.training.checkpoint import load_checkpoint, save_checkpoint
from invset.training.data import (
    ImageSet,
    augmented,
    join,
    load_images,
    named_folders,
    same_class_rows,
    unit_folders,
)
from invset.training.evaluate import encode, reconstruction
from invset.training.export import export_generator, export_network
from invset.training.generator import GeneratorSettings, GeneratorTraining
from invset.training.loop import train
from invset.training.network import NetworkSettings, NetworkTraining, Teacher

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "train_mini.py"
CONFIGS = ROOT / "configs" / "train"


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Six 80x64 images each of two classes of one's own: reddish and bluish noise."""
    root = tmp_path_factory.mktemp("images")
    rng = torch.Generator().manual_seed(0)
    for name, tint in (("reds", (255, 60, 60)), ("blues", (60, 60, 255))):
        (root / name).mkdir()
        for i in range(6):
            pixels = (torch.rand(64, 80, 3, generator=rng) * torch.tensor(tint)).byte().numpy()
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def images(folder) -> ImageSet:
    return load_images(folder, unit_folders(folder))


def network_training(data, **settings):
    return NetworkTraining(data, 2, NetworkSettings(batch=4, shift=2, **settings), seed=3, device="cpu")


def generator_training(data, **settings):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = fold(MiniNetwork(2, norm=True))
    small = GeneratorSettings(batch=4, mixed=2, warmup=1, shift=2, **settings)
    return GeneratorTraining(network, data, small, seed=3, device="cpu")


def equal(a, b) -> bool:
    """Bit for bit, through dicts, lists and tensors."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


@pytest.mark.parametrize("build", [network_training, generator_training])
def test_a_run_cut_in_two_is_the_run_in_one(build, images, tmp_path):
    options = {"report_every": 2}
    whole = build(images, images=16)
    train(whole, tmp_path / "whole", **options)
    assert whole.step_number == 4

    for steps in (1, 3, 4):  # a new object each time, as a new process has
        part = build(images, images=16)
        limit = Stopping(part, steps)
        train(limit, tmp_path / "parts", **options)
    assert equal(part.state(), whole.state())
    written = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "parts")]
    assert written[0] == written[1]
    assert [json.loads(line)["step"] for line in written[0].splitlines()] == [2, 4]


class Stopping:
    """A training that ends at a step, as if its time were up."""

    def __init__(self, training, last):
        self.__dict__.update(training=training, last=last)

    @property
    def done(self):
        return self.training.step_number >= self.last

    def __getattr__(self, name):
        return getattr(self.training, name)


@pytest.mark.parametrize("build", [network_training, generator_training])
def test_the_seed_decides(build, images):
    first, second = build(images), build(images)
    assert equal(first.step(), second.step())
    assert equal(first.state(), second.state())


def test_training_leaves_the_global_generator_alone(images):
    before = torch.get_rng_state()
    generator_training(images).step()
    network_training(images).step()
    assert torch.equal(torch.get_rng_state(), before)


def test_the_network_learns(images):
    training = network_training(images, images=120)
    while not training.done:
        losses = training.step()
    assert losses["label"] < 0.5
    assert training.evaluate(images) == {"top1": 1.0, "top5": 1.0}


def test_the_generator_learns(images):
    training = generator_training(images, images=160, ema=0.8, rate=1e-3)
    held_out, codes = images, encode(training.network, images.images)
    before, _ = training.evaluate(held_out, codes)
    while not training.done:
        training.step()
    after, grid = training.evaluate(held_out, codes)
    assert after["psnr"] > before["psnr"] + 1
    assert grid.shape == (3, 2 * 64, 2 * 64)


def test_reconstruction_of_a_perfect_generator(images):
    """With G(c) the image itself, the code error is 0 and the PSNR that of the error put in: 0.1 is 20 dB."""
    network = fold(MiniNetwork(2, norm=True)).eval()
    exact = [image.float() / 255 for image in images.images]
    generator = MiniGenerator().eval()
    generator.forward = lambda codes: torch.stack(exact)
    codes = encode(network, images.images)
    assert reconstruction(generator, network, images, codes)[0]["code_error"] < 1e-10
    generator.forward = lambda codes: torch.stack(exact) + 0.1
    assert reconstruction(generator, network, images, codes)[0]["psnr"] == pytest.approx(20, abs=1e-3)


def test_rates_fall_to_zero(images):
    training = generator_training(images, images=16, decay=0.5)
    rates = []
    while not training.done:
        training.step()
        rates.append(training.generator_adam.param_groups[0]["lr"])
    assert rates == pytest.approx([3e-4, 3e-4, 3e-4, 1.5e-4])


def test_no_mixed_codes(images):
    small = GeneratorSettings(batch=4, mixed=0)
    training = GeneratorTraining(fold(MiniNetwork(2, norm=True)), images, small, seed=0, device="cpu")
    assert "mixed_code" not in training.step()


def test_more_mixed_codes_than_pairs():
    with pytest.raises(ConfigError, match=r"settings\.mixed is 3, and may be at most half of settings\.batch, 2"):
        GeneratorSettings(batch=4, mixed=3)


def test_mixed_codes_move_towards_their_class(images):
    training = generator_training(images)
    codes, labels = torch.rand(4, 512), torch.tensor([0, 1, 0, 1])
    network = training.network
    activation = lambda c: network.fc8(network.fc7(c)).gather(1, labels[:2, None])[:, 0]  # noqa: E731
    state = training.rng.get_state()
    mixed = training._mixed_codes(codes, labels)
    assert mixed.shape == (2, 512)
    assert (mixed >= 0).all()
    training.rng.set_state(state)
    t = torch.rand(2, 1, generator=training.rng)
    between = (1 - t) * codes[:2] + t * codes[2:]
    torch.testing.assert_close(mixed[0], between[0])
    assert activation(mixed)[1] > activation(between)[1]


def test_a_teacher_of_all_units_is_cross_entropy(tmp_path):
    """With k units named and the rest hopeless: the full cross-entropy with the teacher's softmax."""
    import numpy as np

    logits, taught = torch.randn(3, 5), torch.randn(3, 4)
    path = tmp_path / "teacher.npz"
    index = np.tile(np.arange(4, dtype=np.uint16), (2, 1))
    np.savez(path, name=["a/1", "a/2"], index=index, logit=taught[:2].numpy(), rest=np.full(2, -1e4))
    teacher = Teacher(path, ("a/2", "a/1", "b/9"))
    target = torch.cat([taught[[1, 0]].softmax(1), torch.zeros(2, 1)], 1)
    expected = torch.nn.functional.cross_entropy(logits[:2], target)
    torch.testing.assert_close(teacher.loss(torch.arange(3), logits), expected)
    with pytest.raises(ConfigError, match="says nothing about any"):
        Teacher(path, ("b/9",))


def test_augmented_without_shift_is_the_image_or_its_mirror():
    images = torch.randint(0, 255, (20, 3, 64, 64), dtype=torch.uint8)
    result = augmented(images, 0, torch.Generator().manual_seed(0))
    same = [torch.equal(a, b) for a, b in zip(images, result, strict=True)]
    mirrored = [torch.equal(a.flip(2), b) for a, b in zip(images, result, strict=True)]
    assert all(a != b for a, b in zip(same, mirrored, strict=True))
    assert 0 < sum(same) < 20
    moved = augmented(images, 3, torch.Generator().manual_seed(0))
    assert moved.shape == images.shape
    assert moved.dtype == torch.uint8


def test_same_class_rows():
    labels = torch.tensor([3, 1, 3, 2, 1, 3])
    rows = torch.arange(6).repeat(50)
    other = same_class_rows(labels, rows, torch.Generator().manual_seed(0))
    assert torch.equal(labels[other], labels[rows])
    assert set(other[rows == 0].tolist()) == {0, 2, 5}


def test_folders_and_classes(folder, images, tmp_path):
    assert unit_folders(folder) == ("blues", "reds")
    assert images.images.shape == (12, 3, 64, 64)
    assert images.labels.bincount().tolist() == [6, 6]
    assert images.names[0] == "blues/0.png"
    crops = load_images(folder, ("blues", "reds"), ["reds"], crops=2)
    assert crops.labels.tolist() == [1] * 12
    assert len(join(images, crops).names) == 24

    (tmp_path / "n01443537").mkdir()
    assert unit_folders(tmp_path) == class_folders()
    assert named_folders(["goldfish", "n01440764"], class_folders()) == ["n01443537", "n01440764"]
    with pytest.raises(ConfigError, match=r"no unit called gold fish\. Try goldfish"):
        named_folders(["gold fish"], class_folders())
    with pytest.raises(ConfigError, match="no class folder, or no unit of the network, for greens"):
        load_images(folder, ("blues", "reds"), ["greens"])
    with pytest.raises(ConfigError, match="absent: there is no such folder"):
        load_images(folder / "absent", ("blues", "reds"))


def test_export(images, tmp_path):
    network, generator = MiniNetwork(2, norm=True).eval(), MiniGenerator(norm=True).eval()
    export_network(network, ("blues", "reds"), tmp_path)
    loaded = load_network(tmp_path / "network.safetensors")
    export_generator(generator, loaded, images, tmp_path, bank=7, seed=0)
    assert class_folders(tmp_path / "classes.txt") == ("blues", "reds")

    x, code = torch.rand(2, 3, 64, 64), torch.rand(2, 512)
    torch.testing.assert_close(loaded(x), LOGIT_SCALE * network(x), rtol=0.02, atol=0.02)
    written = load_generator(tmp_path / "generator.safetensors")
    torch.testing.assert_close(written(code), generator(code), rtol=0, atol=0.01)
    statistics = load_code_statistics(tmp_path / "generator.safetensors")
    codes = encode(loaded, images.images)
    torch.testing.assert_close(statistics.mean, codes.mean(0), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(statistics.deviation, codes.std(0), rtol=1e-3, atol=1e-3)
    assert torch.cdist(statistics.bank, codes).argmin(1).unique().numel() == 7


def test_a_kill_while_writing_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"step": 1})

    def killed(state, file):
        file.write(b"half a")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, {"step": 2})
    assert load_checkpoint(path) == {"step": 1}


def test_a_damaged_checkpoint_ends_in_one_message(images, tmp_path):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"training": network_training(images).state(), "sums": {}})
    assert not list(tmp_path.glob("*.tmp"))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"checkpoint\.pt: not a checkpoint of this script"):
        train(network_training(images), tmp_path)
    with pytest.raises(WeightsError, match="there is no such checkpoint"):
        load_checkpoint(tmp_path / "absent.pt")


@pytest.mark.parametrize("stage", ["network", "generator", "export"])
def test_configs_compose_and_agree_with_the_settings(stage):
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("mini", [f"stage={stage}", "experiment=shipped", "data=images"])
    assert config.name == stage
    assert len(config.classes) + len(config.more.classes) == 29
    assert len(named_folders([*config.classes, *config.more.classes], class_folders())) == 29
    kinds = {"network": NetworkSettings, "generator": GeneratorSettings}
    if stage in kinds:
        assert dict(config.settings) == kinds[stage]().__dict__


def run(*overrides: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-W", "error", str(SCRIPT), "threads=1", "device=cpu", *map(str, overrides)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def test_the_three_stages(folder, tmp_path):
    out = tmp_path / "out"
    common = (f"data={folder}", f"val={folder}", "loop.report_every=1")
    steps = (
        ("stage=network", "settings.images=8", "settings.batch=4", f"out={out}/network"),
        ("stage=export", f"network_checkpoint={out}/network/checkpoint.pt", f"out={out}/model"),
        (
            "stage=generator",
            "settings={images: 4, batch: 4, mixed: 2}",
            f"network={out}/model/network.safetensors",
        ),
        ("stage=export", f"generator_checkpoint={out}/generator/checkpoint.pt", f"out={out}/model", "bank=5"),
    )
    for step in steps:
        extra = (f"out={out}/generator",) if step[0] == "stage=generator" else ()
        result = run(*common, *step, *extra)
        assert result.returncode == 0, result.stderr + result.stdout
    statistics = load_code_statistics(out / "model" / "generator.safetensors")
    images = load_generator(out / "model" / "generator.safetensors")(statistics.bank)
    assert load_network(out / "model" / "network.safetensors")(images).shape == (5, 2)
    result = run(*common, "stage=evaluate", *(f"{n}={out}/model/{n}.safetensors" for n in ("network", "generator")))
    assert result.returncode == 0, result.stderr + result.stdout
    figures = json.loads(result.stdout[result.stdout.index("{") :])
    assert set(figures) == {"top1", "top5", "psnr", "code_error"}
    metrics = json.loads((out / "generator" / "metrics.jsonl").read_text().splitlines()[-1])
    assert metrics["step"] == 1
    assert math.isfinite(metrics["psnr"])
    assert (out / "generator" / "grids" / "0000001.png").exists()


def test_a_users_mistake_ends_with_one_message(tmp_path):
    result = run("stage=network", f"data={tmp_path}/absent", f"out={tmp_path}")
    assert result.returncode == 2
    assert "absent: there is no such folder of images" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr


def test_a_generator_of_classes_that_the_network_lacks(folder, tmp_path):
    result = run("stage=generator", f"data={folder}", f"out={tmp_path}")
    assert result.returncode == 2
    assert "the network has 1000 units, and the folder 2 classes" in result.stdout
