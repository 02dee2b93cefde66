"""Command lines as people write them: understood, or answered with one line."""

from __future__ import annotations

import pytest
import yaml
from hydra._internal.utils import get_args_parser

from invset.cli.arguments import read_arguments, setting_names
from invset.errors import ConfigError
from invset.settings import SETTINGS


@pytest.mark.parametrize(
    ("written", "understood"),
    [
        ("--n 20", "n=20"),
        ("--n=20 -n 30", "n=20 n=30"),
        ("--neuron=fc8:981 seed=3", "neuron=fc8:981 seed=3"),
        ("--batch-size 8 --schedule.K=4", "batch_size=8 schedule.K=4"),
        ("--range -5..-3 --seed -1", "range=[-5,-3] seed=-1"),
        ("--network.options.size 160 --hydra.run.dir=a", "network.options.size=160 hydra.run.dir=a"),
        ("--experiment linear", "experiment=linear"),
        ("-m n=3,4 --n 5", "-m n=3,4 n=5"),
        ("--cfg job --resolve --n 5", "--cfg job --resolve n=5"),
        ("--info --n 5", "--info n=5"),
        ("n=3 --config-dir mine ~seed", "n=3 --config-dir mine ~seed"),
        ("range=50,60", "range=[50,60]"),
        ("range=(50,60)", "range=[50,60]"),
        ("range=50-60", "range=[50,60]"),
        ("range=0.5..0.75", "range=[0.5,0.75]"),
        ("range=-5-5", "range=[-5,5]"),
        ("range=-5--3", "range=[-5,-3]"),
        ("range=1e-5..1e-4", "range=[1e-5,1e-4]"),
        ("range=50 -m n=3,4", "range=50 -m n=3,4"),
        ("range=50..60 -m", "range=[50,60] -m"),
        ("range=30-40,50-60 -m", "range=[30,40],[50,60] -m"),
        ("range=[50,60] range=50 range=auto range=", "range=[50,60] range=50 range=auto range="),
    ],
)
def test_what_is_understood(written: str, understood: str) -> None:
    assert read_arguments("sample", written.split()) == understood.split()


def test_numbers_with_a_space() -> None:
    assert read_arguments("sample", ["range=50 60", ""]) == ["range=[50,60]", ""]


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("--nn 3", "there is no flag --nn: settings are written key=value, as n=20; did you mean n=?"),
        ("--zzzz", "invset sample --help lists the settings"),
        ("-x", "there is no flag -x"),
        ("--n", "--n: give a value: n=VALUE"),
        ("--n --seed 3", "--n: give a value"),
        ("-m range=50,60", r"'range=\[50,60\]' for one range"),
        ("neuron=[conv5:97, fc8:2] n=3", r"put both in quotes, as 'neuron=\[conv5:97, fc8:2\]'"),
        ("neuron=fc8:great white shark", "as 'neuron=fc8:great white shark'"),
        ("--range 50 60", "as 'range=50 60'"),
    ],
)
def test_what_is_not(written: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        read_arguments("sample", written.split())


@pytest.mark.parametrize("command", SETTINGS)
def test_hydras_own_flags_keep_their_meaning(command: str) -> None:
    for action in get_args_parser()._actions:
        for flag in action.option_strings:
            assert flag.lstrip("-") not in setting_names(command)
            words = [flag] if action.nargs == 0 else [flag, action.choices[0] if action.choices else "value"]
            assert read_arguments(command, ["n=3", *words, "seed=1"]) == ["n=3", *words, "seed=1"]


def test_commands_with_words_of_their_own() -> None:
    assert read_arguments("reproduce", ["fig4", "--n", "20", "--out=quick", "fig5"]) == [
        "fig4",
        "n=20",
        "out=quick",
        "fig5",
    ]
    assert read_arguments("units", ["--network", "mini", "school", "bus"]) == ["network=mini", "school", "bus"]
    assert read_arguments("weights", ["list", "--long"]) == ["list", "--long"]


def test_hydra_composes_what_was_understood(invset) -> None:
    result = invset("sample", "--n", "20", "--neuron=fc8:981", "range=50..60", "--cfg", "job")
    assert result.code == 0, result.err
    config = yaml.safe_load(result.out)
    assert (config["n"], config["neuron"], config["range"]) == (20, "fc8:981", [50, 60])
