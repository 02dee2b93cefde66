"""What starts=auto is, for a method and a generator."""

from __future__ import annotations

from invset.cli.schema import ProbeConfig, SampleConfig
from invset.errors import ConfigError
from invset.models.network import Generator

FROM_IMAGES = ("codes", "mixed")  # kinds that can be codes of a folder's images


def usual_starts(config: SampleConfig | ProbeConfig, generator: Generator) -> str:
    """As the paper has it where nothing is known of real codes; mixed for `multistart`, which wants many.

    Raises:
        ConfigError: there is a folder of images to start from, and no use for it.
    """
    samples = isinstance(config, SampleConfig) and config.method.name == "multistart"
    statistics, starts = generator.statistics, "normal"
    if statistics is None:
        starts = "random_images"
    elif isinstance(config, SampleConfig) and samples:
        chains = config.schedule.K * config.schedule.groups
        starts = "mixed" if config.folder is not None or len(statistics.bank) >= chains else starts
    if samples and config.folder is not None and starts not in FROM_IMAGES:
        raise ConfigError(
            f"folder={config.folder} is not used with starts=auto, which is {starts} here, as generator "
            f"{generator.name} knows no real codes: add starts=codes, or leave folder out."
        )
    return starts
