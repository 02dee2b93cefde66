"""Every config composes; every setting is explained; Hydra's own features work."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from invset.assemble.sampling import check_targets
from invset.cli.compose import WITH_CONFIGS
from invset.cli.help import config_folder, describe_command
from invset.settings import SETTINGS, ProbeSettings, SampleSettings, check, names, walk

GROUPS = ("network", "generator", "encoder", "method", "schedule", "experiment")
NEEDED = {  # what some of them leave to be given
    ("network", "torchvision"): ("neuron=fc8:1", "range=[1,2]"),
    ("network", "timm"): ("neuron=fc:1", "range=[1,2]"),
    ("network", "custom"): ("neuron=fc:1", "range=[1,2]", "network.factory=nets:mine"),
    ("generator", "custom"): ("generator.factory=nets:mine", "generator.options.code=12"),
}
OPTIONS = [(group, path.stem) for group in GROUPS for path in sorted((config_folder() / group).glob("*.yaml"))]


def composed(invset, *arguments: str) -> dict:
    result = invset(*arguments, "--cfg", "job", "--resolve")
    assert result.code == 0, result.err
    return yaml.safe_load(result.out)


def test_there_are_configs():
    assert {group for group, _ in OPTIONS} == set(GROUPS)


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_of_sample_composes_to_the_schema(invset, group, option):
    config = composed(invset, "sample", f"{group}={option}", *NEEDED.get((group, option), ()))
    check_targets(OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(SampleSettings), config)))


@pytest.mark.parametrize(("group", "option"), [pair for pair in OPTIONS if pair[0] in ("network", "generator")])
def test_every_option_of_probe_composes_to_the_schema(invset, group, option):
    needed = [setting for setting in NEEDED.get((group, option), ()) if not setting.startswith("range=")]
    config = composed(invset, "probe", f"{group}={option}", *needed)
    check(OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(ProbeSettings), config)))


@pytest.mark.parametrize("form", ["experiment=linear", "+experiment=linear"])
def test_an_experiment_overrides_the_defaults_and_is_overridden(invset, form):
    config = composed(invset, "sample", form, "range=[0.2,0.3]", "network.options.shape=[3,4,4]")
    assert config["neuron"] == "output:1"
    assert config["range"] == [0.2, 0.3]
    assert config["network"]["kind"] == "linear"
    assert config["encoder"]["network"] == "none"
    assert config["generator"]["kind"] == "pixels"
    assert config["generator"]["options"] == {"shape": [3, 4, 4]}


@pytest.mark.parametrize("command", WITH_CONFIGS)
def test_the_defaults_give_every_setting_a_value(invset, command):
    config = OmegaConf.create(composed(invset, command))
    for key in names(SETTINGS[command]):
        group, _, name = key.rpartition(".")
        assert name in (OmegaConf.select(config, group) if group else config), key


@pytest.mark.parametrize("command", SETTINGS)
def test_help_explains_every_setting(command):
    text = describe_command(command)
    for key in names(SETTINGS[command]):
        group = key.rpartition(".")[0]
        # A group's own keys are in the config that the group's name leads to.
        own_line = re.search(rf"^  {re.escape(key)}\b", text, re.MULTILINE)
        assert own_line or re.search(rf"\b{group or key}\b", text), key


def test_help_states_defaults_and_choices(invset):
    text = " ".join(describe_command("sample").split())
    for key, entry in walk(SampleSettings):
        takes = entry.metadata.get("takes")
        if isinstance(takes, tuple) and not callable(takes[0]):
            assert all(choice in text for choice in takes), key
    assert "[500]" in text


def test_help_of_a_method_explains_its_own_settings(invset):
    result = invset("sample", "method=ppgn", "--help")
    assert "method.options.epsilon1" in result.out
    assert "[1e-05]" in result.out
    assert "has no settings of its own" in invset("sample", "method=full", "--help").out


def test_cfg_job_prints_and_writes_nothing(invset, here):
    plain = invset("sample", "experiment=linear", "--cfg", "job")
    assert "${network.options.shape}" in plain.out
    resolved = invset("sample", "experiment=linear", "--cfg", "job", "--resolve")
    assert "${" not in resolved.out
    assert list(here.iterdir()) == []


def test_info_says_how_the_config_was_made(invset, here):
    result = invset("sample", "experiment=linear", "--info")
    assert result.code == 0
    assert "experiment/linear" in result.out
    assert list(here.iterdir()) == []


def test_a_folder_of_ones_own_configs(invset, here):
    mine = here / "mine"
    (mine / "experiment").mkdir(parents=True)
    (mine / "schedule").mkdir()
    (mine / "schedule" / "short.yaml").write_text("inner_steps: 7\n")
    (mine / "experiment" / "own.yaml").write_text(
        "# @package _global_\ndefaults:\n  - linear\n  - override /schedule: short\nn: 5\nschedule:\n  K: 3\n"
    )
    config = composed(invset, "sample", "--config-dir", "mine", "experiment=own")
    schedule = config["schedule"]
    assert (config["n"], schedule["K"], schedule["inner_steps"], config["network"]["kind"]) == (5, 3, 7, "linear")
    assert schedule["alpha"] == 10, "what the file leaves out is the schema's"
    result = invset("sample", "--config-dir", "mine", "experiment=own", "hydra.run.dir=run")
    assert result.code == 0, result.err
    assert len(list((here / "run" / "images").iterdir())) == 5


def test_a_sweep_runs_every_job_and_ends_with_the_worst_code(invset, here, linear):
    result = invset(*linear, "n=5", "-m", "range=[0.6,0.7],[0.9,0.1],[1.5,2],[0.8,0.9]")
    assert result.code == 3
    assert [line for line in result.err.splitlines() if line.startswith("invset:")] == result.err.splitlines()
    assert result.err.count("[0.9, 0.1]") >= 1
    (sweep,) = (here / "outputs" / "sweeps").glob("*/*")
    assert (sweep / "multirun.yaml").is_file()
    counts = {
        job.name: len(list((job / "images").glob("*.png"))) for job in sweep.iterdir() if (job / "images").is_dir()
    }
    assert counts == {"0": 5, "2": 0, "3": 5}
    assert {"0", "2", "3", "multirun.yaml", "overview.png", "overview.csv"} <= {path.name for path in sweep.iterdir()}


def test_the_run_folder_is_timestamped(invset, here, linear):
    assert invset(*linear, "n=4").code == 0
    (folder,) = Path(here / "outputs").glob("*/*")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d", str(folder.relative_to(here / "outputs")))
    assert (folder / "config.yaml").is_file()
