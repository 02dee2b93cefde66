"""Train the built-in model: `python scripts/train_mini.py stage=all data=FOLDER`, or a stage at a time.

The stages are label, network, generator, distil, export, evaluate and judge; their settings are in training/configs. A
run that is stopped, even by kill -9, goes on when started again: exactly, on a CPU with as many threads.
"""

import logging
import sys

import hydra
import torch
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from invset.errors import ConfigError, InvsetError
from training.pipeline import run_all
from training.stages import STAGES

log = logging.getLogger("train_mini")


@hydra.main(version_base="1.3", config_path="training/configs", config_name="mini")
def main(config: DictConfig) -> None:
    """One stage, or all; a user's mistake ends with one message."""
    if config.threads:
        torch.set_num_threads(config.threads)
    try:
        run_all(config) if config.name == "all" else STAGES[config.name](config)
    except InvsetError as error:
        log.error("%s", error)
        sys.exit(error.exit_code)
    except (OmegaConfBaseException, HydraException) as error:  # such as no data=
        log.error("%s", str(error).partition("\n")[0])
        sys.exit(ConfigError.exit_code)


if __name__ == "__main__":
    main()
