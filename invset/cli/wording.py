"""What Hydra and omegaconf say of wrong settings, in our words: what is wrong, and what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import yaml  # type: ignore[import-untyped]
from hydra.errors import OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from invset.cli import check, schema

OPTIONS = ("network.options.", "generator.options.", "encoder.options.", "method.options.")  # of builders
WANTED = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "a text"}  # by type


def config_folder() -> Path:
    """Where the configs are: in the package as installed, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def advice(name: str, known: Sequence[str], arguments: Sequence[str] = ()) -> str:
    """What may have been meant by a setting that there is not."""
    if name.startswith("method.options."):
        return _advice_on_method(name.removeprefix("method.options."), arguments)
    if name.startswith(OPTIONS):
        return f"an option of a model is added with a plus: +{name}=…"
    last = name.rsplit(".", 1)[-1]
    close = [key for key in known if key.rsplit(".", 1)[-1] == last]
    return f"did you mean {' or '.join(close)}?" if close else check.near_names(name, known)


def _advice_on_method(option: str, arguments: Sequence[str]) -> str:
    given = [argument.removeprefix("method=") for argument in arguments if argument.startswith("method=")]
    method = given[-1] if given else _usual_method()
    file = config_folder() / "method" / f"{method}.yaml"
    if not re.fullmatch(r"\w+", method) or not file.is_file():  # of several, or the user's own
        return "invset sample method=NAME --cfg job shows what settings a method has."
    options = yaml.safe_load(file.read_text("utf-8")).get("options") or {}
    if not options:
        return f"method {method} has no settings of its own; leave it out."
    return f"for method {method} {check.near_names(option, options)}"


def _usual_method() -> str:
    defaults = yaml.safe_load((config_folder() / "sample.yaml").read_text("utf-8"))["defaults"]
    return str(next(entry["method"] for entry in defaults if isinstance(entry, dict) and "method" in entry))


def _wanted(name: str, settings: type, group: str = "") -> str | None:
    """What a setting takes, in words; None if that is not known."""
    first, _, rest = name.lstrip("+").partition(".")
    one = next((one for one in fields(settings) if one.name == first), None)
    if one is None:
        return None
    factory = one.default_factory
    if isinstance(factory, type) and hasattr(factory, "__dataclass_fields__"):
        if rest:
            return _wanted(rest, factory, f"{first}.")
        return f"its settings one by one, as {group}{name}.{fields(factory)[0].name}=…"
    if str(one.type).startswith("dict"):
        return f"its entries one by one, as +{group}{name}.NAME=…" if not rest else None
    kind, _, null = str(one.type).partition(" | ")
    wanted = WANTED.get(kind)
    return f"{wanted}, or null" if wanted and null else wanted


def in_words(error: Exception, command: str, arguments: Sequence[str]) -> str:
    """One line on an error of Hydra's or omegaconf's; `arguments` are what they were given."""
    cause = error.__cause__
    text = " ".join(f"{error}".split())
    if isinstance(error, OverrideParseException) or "See https://hydra.cc/docs/1.2/advanced/override_grammar" in text:
        given = error.override if isinstance(error, OverrideParseException) else _lexed(text)
        return (
            f"{given}: cannot be read; write key=value, as n=100, neuron=fc8:981 or 'range=[50,60]' "
            "(in quotes, so that the shell leaves the brackets alone); a text with spaces or other signs needs quotes "
            "of its own, as \"hydra.run.dir='my run'\"."
        )
    if several := re.match(r"Ambiguous value for argument '([^=]+)=(.*?)'", text):
        key, values = several[1], several[2]
        return f"{key}={values}: write a list as '{key}=[{values}]' (in quotes), or add -m to sweep over the values."
    if unknown := re.match(r"(?:Could not override|Error merging override) '?([^'=\s]+)", text):
        name = unknown[1]
        known = schema.keys(schema.SCHEMAS[command])
        if name not in known and not name.startswith("hydra."):
            return f"there is no setting '{name}': {advice(name, known, arguments)}"
    if figure := re.match(r"In 'experiment/paper/([^']*)'", text):
        return f"experiment=paper/{figure[1]}: this is a figure of several runs: invset reproduce {figure[1]}"
    if group := re.match(
        r"(?:In '[^']*': )?Could not find '([^']+)/([^'/]+)'.*?Available options in '[^']*': (.*?)(?: Config|$)",
        text,
    ):
        return f"{group[1]}={group[2]}: {check.near_names(group[2], group[3].split())}"
    detail = " ".join(f"{cause}".split("\n")[0].split()) if isinstance(cause, OmegaConfBaseException) else ""
    if merging := re.match(r"Error merging override (\S+)$", text):
        wanted = _wanted(merging[1].partition("=")[0], schema.SCHEMAS[command])
        return f"{merging[1]}: {f'give {wanted}.' if wanted else detail}"
    return f"{text} {detail}".strip()


def _lexed(text: str) -> str:
    found = re.match(r"LexerNoViableAltException: (.*?) \^", text)
    return found[1] if found else text
