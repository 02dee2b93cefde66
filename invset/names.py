"""Names as people type them: spelling that does not matter, and the names nearest to one there is not."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


def plain(name: str) -> str:
    """The name in lower case, without apostrophes, with `_`, `-`, commas and runs of spaces as one space.

    Equal for equal names, and to be typed without quotes.
    """
    return re.sub(r"[\s_,-]+", " ", re.sub("'", "", name)).strip().casefold()


def legible(text: str) -> str:
    """The text with a question mark for each letter that cannot be printed, as a control character."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


def near(name: str, names: Iterable[str], count: int = 5) -> list[str]:
    """At most `count` names: those with `name` as a word, or else spelled like it or with it inside one."""
    wanted = plain(name)
    if not wanted:
        return []
    spelled = {plain(candidate): candidate for candidate in names}
    words = [p for p in spelled if f" {wanted} " in f" {p} "]
    alike = difflib.get_close_matches(wanted, spelled, count)
    parts = [p for p in spelled if wanted in p and len(wanted) > 2]
    return [spelled[p] for p in dict.fromkeys(words or [*alike, *parts])][:count]


def hint(name: str, names: Iterable[str]) -> str:
    """The end of a message about a name that does not exist: the names near it, or else all there are."""
    names = sorted(names)
    found = near(name, names)
    if found:
        return f"did you mean {' or '.join(found)}?"
    known = f"{', '.join(names[:20])}{' …' if len(names) > 20 else ''}"
    return f"there {'is' if len(names) == 1 else 'are'} {known or 'none'}."
