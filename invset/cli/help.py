"""What --help prints: a command's use and examples here, its settings from `invset.settings`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from invset.settings import COLUMN, SETTINGS, describe

COMMANDS = {
    "sample": "sample the inverse set of a neuron: images whose activation lies in a range",
    "probe": "find out which activations a neuron reaches, and which ranges make sense",
    "runs": "list runs and sweeps, the newest first: of what, how many samples, complete or not",
    "show": "open the picture of the latest run, or of another",
    "overview": "what became of the jobs of a sweep (complete, running, failed, missing), as a picture and a table",
    "compare": "put runs side by side: how varied, how well in range, at what cost",
    "reproduce": "the paper's figures and tables from their recipes, with what was measured beside what it claims",
    "facets": "group a run's samples into the kinds of thing that a neuron responds to",
    "animate": "all samples of a run as a moving picture",
    "units": "list the layers of a network, their units and names; fetches no weights",
    "weights": "list, fetch, check and add the weights of published networks and generators",
}

USAGE = """\
invset {version}: what does a neuron respond to? Varied images whose activation lies in a range you choose.

usage: invset COMMAND [key=value ...]

commands:
{commands}

  invset COMMAND --help       what a command takes
  invset --version
  eval "$(invset -sc install=bash)"   completion in bash; zsh likewise; fish: invset -sc install=fish | source
"""

FIRST = ("neuron", "range", "n", "method", "until", "gain", "fill", "constraint")  # of the settings, in --help
HIDDEN = ("kind", "options", "name")  # of groups that configs are chosen for: their line says it all

HEADS = {
    "sample": """\
usage: invset sample [key=value ...]

  invset sample                                     a good default: goldfish, in a range it reaches
  invset sample neuron=fc8:volcano 'range=[50,60]'  a unit by its label; by number, from 1: fc8:981
  invset sample 'neuron=[conv5:97,fc8:goldfish]' 'range=[[2,3.5],[60,80]]'   an intersection
  invset sample -m neuron=fc8:goldfish,fc8:volcano 'range=[30,40],[40,50]'
                                                    a sweep: one run for each pair, and overview.png, overview.csv
  invset sample resume=outputs/DATE/TIME            go on after an interruption; with n=700: extend
  invset sample resume=outputs/sweeps/DATE/TIME     the same for a sweep: only what is missing is done
  invset sample until=plateau n=5000                until few more distinct images come""",
    "probe": """\
usage: invset probe neuron=LAYER:UNIT [key=value ...]

  invset probe neuron=fc8:goldfish
  invset probe 'neuron=[conv5:97,fc8:862]' folder=DIR     and over the images of a folder""",
    "overview": """\
usage: invset overview FOLDER

  invset overview outputs/sweeps/DATE/TIME

Read from the folder alone, whichever launcher ran the jobs. Writes overview.png and overview.csv into it.""",
    "runs": """\
usage: invset runs [FOLDER ...]

  invset runs                      those in outputs
  invset runs outputs/reproduced   those of the paper's figures alone""",
    "show": """\
usage: invset show [RUN]

  invset show                      the latest run in outputs
  invset show outputs/DATE/TIME    another, or a sweep

Prints the path of the picture, and opens it where there is a display.""",
    "weights": """\
usage: invset weights list|fetch|verify|path|add [NAME ...]

  invset weights list                    what is known, what of it is here, how large, on which terms
  invset weights list NAME               all about it: addresses, checksums, terms (--long: of all)
  invset weights fetch NAME ...          get it: terms shown, goes on after an interruption, checked before use
  invset weights verify [NAME ...]       read again what is here, and compare it with its checksums
  invset weights path NAME               print where it is, for scripts; fails if it is not here
  invset weights add NAME PATH           take a file (or the archive it comes in) that you got by hand

A run that needs weights which are not here fetches them itself. torchvision's go by their file names, as
alexnet-owt-7be5be79.pth. Where no checksum is published the first file is trusted; its SHA-256
is recorded, and later files must match.

environment:
  INVSET_CACHE     the folder for files [$XDG_CACHE_HOME/invset, else ~/.cache/invset]
  INVSET_OFFLINE   1: never use the network; say what to put where instead""",
    "compare": """\
usage: invset compare RUN [RUN ...] [key=value ...]

  invset compare outputs/DATE/TIME outputs/DATE/TIME
  invset compare outputs/sweeps/DATE/TIME/* n=200      the runs of a sweep, 200 samples of each
  invset compare RUN RUN features=efficientnet_lite0   and what an independent network sees in them

All images are encoded afresh by the first run's encoder. Writes compare.csv, compare.md, rows.png, histograms.png.""",
    "reproduce": """\
usage: invset reproduce FIGURE [FIGURE ...] [key=value ...]

  invset reproduce fig4                      with the built-in model, a minute or so
  invset reproduce all                       everything: some forty minutes on two cores
  invset reproduce fig4 model=caffenet       with the paper's networks, units and ranges
  invset reproduce fig1 n=50 out=quick       a setting of invset sample, for every run
  invset reproduce mine.yaml                 a recipe of your own: copy one of configs/recipe

figures: fig1 ... fig9, table1 of the paper; equations: eqs. 4, 5 and 6; methods: all methods side by side; all.
Beside them variety: method=multistart and the paper's over many units, an hour (model=mini, hidden, lite0, lite1).

Writes OUT/FIGURE/figure.png, numbers.csv and note.md, and the runs into OUT/runs; of several figures also OUT/PAPER.md.
Runs that are there are not made again, and an interrupted one is resumed: give the same command again.""",
    "facets": """\
usage: invset facets RUN [key=value ...]

  invset facets outputs/DATE/TIME
  invset facets outputs/DATE/TIME groups=8                        as many groups as you like
  invset facets outputs/DATE/TIME features=efficientnet_lite0     and what an independent network sees in each

With method=paper samples of one chain lie close together, so only other chains' count: sample with many, as
schedule.K=50. Writes facets.png (a row a group), groups.csv and facets.csv (a line a sample).""",
    "animate": """\
usage: invset animate RUN [key=value ...]

  invset animate outputs/DATE/TIME                  lowest activation first; writes samples.mp4 into the run's folder
  invset animate outputs/DATE/TIME out=tour.gif fps=4 n=60

MP4 is the smallest, and needs one package more: pip install 'invset[video]'. GIF is four times as large.""",
    "units": """\
usage: invset units [network=NAME] [LAYER, or a WORD to look for]

  invset units                                  the layers of the built-in network
  invset units network=caffenet conv5           one layer: its units, and how they are written
  invset units network=caffenet volcano         units whose names have that in them
  invset units network=torchvision network.name=vit_b_16""",
}

TAILS = {
    "probe": "exit codes: 0 done, 2 a wrong setting, 3 no range to suggest, 1 anything else that failed.",
    "overview": "exit codes: 0 all jobs are complete, 3 some did not reach their ranges, 1 some failed or are missing.",
    "sample": """\
of Hydra:
  -m           sweep                       --cfg job [--resolve]   print the config and stop
  --info       how the config was made     --config-dir DIR        a folder of your own configs
  hydra.run.dir=DIR                        where to write [outputs/DATE/TIME]
  hydra.sweep.dir=DIR                      of a sweep [outputs/sweeps/DATE/TIME]; given again, it goes on there
  hydra/launcher=submitit_local            a sweep's jobs as processes; submitit_slurm: on a cluster; joblib, ray
                                           (pip install 'invset[submitit]', 'invset[joblib]', 'invset[ray]')

on several processes or GPUs of a machine: torchrun --nproc-per-node=N -m invset sample …

exit codes: 0 all samples delivered, 2 a wrong setting, 3 the range was not reached or not often enough,
1 anything else that failed, 130 or 143 interrupted.""",
    "reproduce": "exit codes: 0 done, also where a claim does not hold; 2 a wrong setting; 1 a figure was not made.",
}
USUAL_TAIL = "exit codes: 0 done, 2 a wrong setting, 1 anything else that failed."


def describe_command(command: str, arguments: Sequence[str] = ()) -> str:
    """What a command is for, its settings, and those of the method that the arguments choose."""
    parts = [f"invset {command}: {COMMANDS[command]}.", HEADS[command]]
    if command in SETTINGS:
        hide = [f"{group}.{name}" for group in ("network", "generator", "method") for name in HIDDEN]
        parts.append(f"settings (defaults in brackets):\n{describe(SETTINGS[command], hide, first=FIRST)}")
    if command == "sample":
        parts.append(_describe_methods())
    methods = [argument.partition("=")[2] for argument in arguments if argument.startswith("method=")]
    if command == "sample" and methods:
        parts.append(_describe_method(methods[-1]))
    return "\n\n".join([*parts, TAILS.get(command, USUAL_TAIL)])


def config_folder() -> Path:
    """Where the configs are: in the package as installed, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def _describe_methods() -> str:
    """Each by the first line of its config: importing the methods themselves would import torch."""
    lines = [
        f"  method={path.stem}".ljust(COLUMN) + path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        for path in sorted((config_folder() / "method").glob("*.yaml"))
    ]
    return "\n".join(["methods:", *lines])


def _describe_method(name: str) -> str:
    from invset.assemble.methods import method_class

    settings = method_class(name).Settings
    if settings is None:
        return f"method={name} has no settings of its own."
    return f"settings of method={name}:\n{describe(settings, prefix='method.options.')}"
