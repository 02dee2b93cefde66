"""What Hydra and omegaconf say of wrong settings, in our words: what is wrong, and what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hydra.errors import OverrideParseException
from omegaconf.errors import InterpolationResolutionError, OmegaConfBaseException

from invset.cli.overrides import OPTIONS, quote
from invset.names import hint
from invset.settings import SETTINGS, describe_type, names, walk

LAUNCHERS = ("joblib", "ray", "submitit_local", "submitit_slurm")  # of packages that are extras


def advise(name: str, known: Sequence[str]) -> str:
    """What may have been meant by a setting that there is not."""
    last = name.rsplit(".", 1)[-1]
    close = [key for key in known if key.rsplit(".", 1)[-1] == last]
    return f"did you mean {' or '.join(close)}?" if close else hint(name, known)


def describe_error(error: Exception, command: str) -> str:
    """One line on an error of Hydra's or omegaconf's."""
    cause = error.__cause__
    text = " ".join(f"{error}".split())
    if isinstance(error, OverrideParseException) or "See https://hydra.cc/docs/1.2/advanced/override_grammar" in text:
        given = getattr(error, "override", None) or re.sub(r"^\w+Exception: | \^.*", "", text)
        return (
            f"{given}: cannot be read; write key=value, as n=100, neuron=fc8:981 or 'range=[50,60]' "
            "(in quotes, so that the shell leaves the brackets alone); a text with spaces or other signs needs quotes "
            f"of its own, as {_quoted(given) or _quoted('hydra.run.dir=my run')}."
        )
    if isinstance(error, InterpolationResolutionError):
        return f"{error.full_key}: {text.partition(' full_key:')[0]}: give a value in its place."
    if several := re.match(r"Ambiguous value for argument '([^=]+)=(.*?)'", text):
        key, values = several[1], several[2]
        as_one = f"; as one text, {_quoted(f'{key}={values}')}" if " " in values and "[" not in values else ""
        advice = f"write a list as '{key}=[{values}]' (in quotes), or add -m to sweep over the values"
        return f"{key}={values}: {advice}{as_one}."
    if unknown := re.match(r"(?:Could not override|Error merging override) '?\+*([^'=\s]+)", text):
        name, known = unknown[1], names(SETTINGS[command])
        if name not in known and not name.startswith(("hydra.", *OPTIONS)):
            return f"there is no setting '{name}': {advise(name, known)}"
    if group := re.match(
        r"(?:In '[^']*': )?Could not find '([^']+)/([^'/]+)'.*?Available options in '[^']*': (.*?)(?: Config|$)",
        text,
    ):
        if group[1] == "hydra/launcher" and group[2] in LAUNCHERS:
            return f"{group[1]}={group[2]}: not installed: pip install 'invset[{group[2].split('_')[0]}]'"
        return f"{group[1]}={group[2]}: {hint(group[2], group[3].split())}"
    detail = " ".join(f"{cause}".split("\n")[0].split()) if isinstance(cause, OmegaConfBaseException) else ""
    if merging := re.match(r"Error merging override (\S+)$", text):
        wanted = _wanted(merging[1].partition("=")[0].lstrip("+"), command)
        return f"{merging[1]}: {f'give {wanted}.' if wanted else detail}"
    return f"{text} {detail}".strip()


def _quoted(override: str) -> str | None:
    """An override in the two pairs of quotes that the shell and Hydra's grammar want; None if they do not mend it."""
    key, _, text = override.partition("=")
    return f'"{key}={quote(text)}"' if re.fullmatch(r"[^\"$`\\!={}\[\]]*[ ',()][^\"$`\\!={}\[\]]*", text) else None


def _wanted(name: str, command: str) -> str | None:
    """What a setting takes, in words; None if that is not known."""
    settings = dict(walk(SETTINGS[command]))
    if name not in settings:
        return None
    inner = [key for key in settings if key.startswith(f"{name}.")]
    annotation = str(settings[name].type)
    if inner or annotation.startswith("dict"):
        return f"its settings one by one, as {inner[0] if inner else f'{name}.NAME'}=…"
    return describe_type(annotation)
