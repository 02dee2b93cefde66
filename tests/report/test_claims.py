"""Claims: verdicts against every pair of numbers, words to the letter, and Markdown as another program reads it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations_with_replacement, product

import pytest
from markdown_it import MarkdownIt

from invset.metrics.estimate import Estimate
from invset.report.claims import Claim, claim_of
from invset.report.judgements import judge
from invset.report.prose import in_markdown, listed
from invset.report.verdicts import FAILS, HOLDS, UNKNOWN

KEY = "mean_pairwise_distance"
ABOVE = Claim("ours is more varied", KEY, "ours", "above", "ppgn")
OURS, PPGN = Estimate(11.374, 11.08, 11.62), Estimate(6.1571, 5.98, 6.34)


def _group(ours: object, ppgn: object) -> dict[str, dict]:
    return {"ours": {KEY: ours}, "ppgn": {KEY: ppgn}}


def _words(claim: Claim, groups: Mapping) -> str:
    return judge(claim, groups).words()


def _number(value: float) -> Estimate:
    return Estimate(value, math.nan, math.nan)


@pytest.mark.parametrize("relation", ["above", "at least", "below", "at most"])
@pytest.mark.parametrize("times", [1.0, 2.0])
def test_every_pair_of_numbers_is_asked(relation: str, times: float):
    """All intervals with ends in 0 … 4: it holds if true of every pair of their points, fails if true of none."""
    ask = {
        "above": lambda a, b: a > b,
        "at least": lambda a, b: not a < b,
        "below": lambda a, b: a < b,
        "at most": lambda a, b: not a > b,
    }[relation]
    spans = list(combinations_with_replacement(range(5), 2))
    for (low, high), (other_low, other_high) in product(spans, spans):
        # Points a quarter apart: ends and insides, on both scales.
        ours = [low + step / 4 for step in range(4 * (high - low) + 1)]
        theirs = [other_low + step / 4 for step in range(4 * (other_high - other_low) + 1)]
        answers = {ask(a, times * b) for a, b in product(ours, theirs)}
        expected = {(True,): HOLDS, (False,): FAILS}.get(tuple(answers), UNKNOWN)
        group = _group(Estimate(0.5, low, high), Estimate(99.0, other_low, other_high))
        claim = Claim("c", KEY, "ours", relation, "ppgn", times=times)
        assert judge(claim, {"g": group}).verdicts[0].outcome == expected
        if other_low == other_high and times == 1:
            claim = Claim("c", KEY, "ours", relation, value=other_low)
            assert judge(claim, {"g": group}).verdicts[0].outcome == expected
            # A number without an interval decides as the same number with one of no width.
            for number in (float(other_low), _number(other_low)):
                claim = Claim("c", KEY, "ours", relation, "ppgn")
                alone = _group(Estimate(0.5, low, high), number)
                assert judge(claim, {"g": alone}).verdicts[0].outcome == expected


def test_words_of_one_group():
    one = {"volcano": _group(OURS, PPGN)}
    assert _words(ABOVE, one) == "Holds: mean pairwise distance 11.37 [11.1, 11.6] against 6.157 [5.98, 6.34]."
    below = Claim("c", KEY, "ours", "below", "ppgn")
    assert _words(below, one) == "Does not hold: mean pairwise distance 11.37 [11.1, 11.6] against 6.157 [5.98, 6.34]."
    wide = {"volcano": _group(OURS, Estimate(10, 9, 12))}
    assert _words(ABOVE, wide) == (
        "Cannot be told: mean pairwise distance 11.37 [11.1, 11.6] against 10 [9, 12]; the intervals overlap."
    )
    double = Claim("c", KEY, "ours", "at most", "ppgn", times=2)
    assert _words(double, one) == (
        "Holds: mean pairwise distance 11.37 [11.1, 11.6] against 12.31 [12, 12.7], 2 times 6.157 [5.98, 6.34]."
    )
    assert _words(Claim("c", KEY, "ours", "above", value=12), one) == (
        "Does not hold: mean pairwise distance 11.37 [11.1, 11.6] against 12."
    )
    assert _words(Claim("c", KEY, "ours", "above", value=11.5), one) == (
        "Cannot be told: mean pairwise distance 11.37 [11.1, 11.6] against 11.5; the interval holds the other number."
    )


def test_words_where_there_is_no_interval():
    assert _words(ABOVE, {"g": _group(412.0, 103.0)}) == (
        "Holds: mean pairwise distance 412 against 103 (one number each, no interval)."
    )
    assert _words(ABOVE, {"g": _group(OURS, _number(3))}) == (
        "Holds: mean pairwise distance 11.37 [11.1, 11.6] against 3 (ppgn is one number, no interval)."
    )
    assert _words(Claim("c", KEY, "ours", "below", value=0), {"g": _group(1.0, None)}) == (
        "Does not hold: mean pairwise distance 1 against 0 (one number, no interval)."
    )


@pytest.mark.parametrize(
    ("group", "reason"),
    [
        ({"ours": {KEY: OURS}}, "ppgn is missing"),
        ({}, "ours is missing and ppgn is missing"),
        ({"ours": {KEY: OURS}, "ppgn": {}}, "ppgn has no mean pairwise distance"),
        (_group(None, PPGN), "ours has no mean pairwise distance"),
        (_group(math.nan, PPGN), "ours has no mean pairwise distance"),
        (_group(_number(math.nan), PPGN), "ours has no mean pairwise distance"),
        (_group(OURS, "ppgn"), "mean pairwise distance of ppgn is a text"),
    ],
)
def test_words_of_what_is_missing(group: dict, reason: str):
    assert _words(ABOVE, {"g": group}) == f"Cannot be told: {reason}."
    assert _words(ABOVE, {"a": group, "b": group}) == f"Cannot be told for any of 2 (a, b: {reason})."


def test_words_of_several_groups():
    groups = {f"unit {number}": _group(OURS, PPGN) for number in range(22)}
    groups["toilet tissue"] = _group(PPGN, OURS)
    groups["cardoon"] = _group(OURS, OURS)
    assert _words(ABOVE, groups) == (
        "Holds for 22 of 24, does not hold for 1 (toilet tissue), cannot be told for 1 (cardoon: the intervals "
        "overlap). Lowest, median and highest mean pairwise distance: ours 6.157, 11.37, 11.37; "
        "ppgn 6.157, 6.157, 11.37; ours over ppgn 0.5413, 1.847, 1.847."
    )
    groups["lion"], groups["pizza"] = groups["cardoon"], {"ours": {KEY: OURS}}
    counts = _words(ABOVE, groups).split(". ")[0]
    assert counts.endswith("cannot be told for 3 (cardoon, lion: the intervals overlap; pizza: ppgn is missing)")
    assert " (of 25): ours" in _words(ABOVE, groups)


def test_words_where_all_groups_agree():
    assert _words(ABOVE, {name: _group(OURS, PPGN) for name in "ab"}).startswith("Holds for all 2. Lowest, ")
    assert _words(ABOVE, {name: _group(PPGN, OURS) for name in "ab"}).startswith("Does not hold for any of 2. Lowest, ")
    assert _words(ABOVE, {"a": _group(PPGN, OURS), "b": {}}).startswith("Holds for none of 2, does not hold for 1 (a),")
    assert _words(ABOVE, {}) == "Cannot be told: nothing was measured."


def test_lowest_median_and_highest_by_hand():
    """Of 4, 1, 9, 2 the median is 3; a ratio is only of numbers that are not negative."""
    numbers = dict(zip("abcd", [4.0, 1.0, 9.0, 2.0], strict=True))
    groups = {name: _group(number, 2.0) for name, number in numbers.items()}
    assert _words(ABOVE, groups) == (
        "Holds for 2 of 4, does not hold for 2 (b, d). Lowest, median and highest mean pairwise distance: "
        "ours 1, 3, 9; ppgn 2, 2, 2; ours over ppgn 0.5, 1.5, 4.5. These are one number each, with no interval."
    )
    below = Claim("c", KEY, "ours", "below", value=5)
    assert _words(below, groups) == (
        "Holds for 3 of 4, does not hold for 1 (c). Lowest, median and highest mean pairwise distance: ours 1, 3, 9. "
        "These are one number each, with no interval."
    )
    groups["a"] = _group(OURS, -1.0)
    assert " over " not in _words(ABOVE, groups)
    assert _words(ABOVE, groups).endswith("One number each, with no interval: ppgn (a); ours and ppgn (b, c, d).")
    groups["a"] = _group(-1.0, 1.0)
    assert " over " not in _words(ABOVE, groups)
    groups["a"] = _group(OURS, PPGN)
    assert _words(ABOVE, groups).endswith("One number each, with no interval: ours and ppgn (b, c, d).")
    groups["a"] = _group(math.inf, 1.0)
    assert "ours 1, 5.5, inf; ppgn" in _words(ABOVE, groups)


def test_titles_for_people():
    groups = {"g": _group(OURS, PPGN)}
    assert judge(ABOVE, groups, {KEY: "distance"}).words().startswith("Holds: distance 11.37 ")
    assert judge(ABOVE, groups, {"other": "x"}).title == "mean pairwise distance"


HOSTILE = [
    "a|b\\|c",
    "two\nlines\r\n\n# heading",
    "[link](x) ![image](y) <b>bold</b> &amp; *stars* _under_ snake_case `code` ~~gone~~ $x$",
    "\\",
    "__init__",
    "<!-- hidden",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_reads_as_it_is(text: str):
    plain = " ".join(text.split())
    reader = MarkdownIt("commonmark").enable("table").enable("strikethrough")
    for document in (f"Read {in_markdown(text)}.", f"| x |\n| --- |\n| Read {in_markdown(text)}. |"):
        inline = [token for token in reader.parse(document) if token.type == "inline"][-1]
        assert {token.type for token in inline.children or ()} <= {"text", "text_special"}
        assert "".join(token.content for token in inline.children or ()) == f"Read {plain}."


def test_hostile_names_in_words():
    names = Claim("c", KEY, "a|b\n", "above", "[x](y)")
    groups = {"g|\n#": {"a|b\n": {KEY: 1.0}}, "*h*": {"a|b\n": {KEY: 1.0}, "[x](y)": {KEY: OURS}}}
    words = _words(names, groups)
    assert "\n" not in words
    inline = MarkdownIt("commonmark").parse(words)[1]
    assert {token.type for token in inline.children or ()} <= {"text", "text_special"}
    assert in_markdown("$x$") == "\\$x\\$"
    assert in_markdown("\x1b[31m\udcff\u202e") == "?\\[31m??"


def test_lists():
    assert [listed(list(names)) for names in ("a", "ab", "abc")] == ["a", "a and b", "a, b and c"]


GOOD = {"says": "c", "measure": KEY, "of": "ours", "relation": "above", "than": "ppgn"}


def test_a_claim_from_a_config():
    assert claim_of(GOOD) == Claim("c", KEY, "ours", "above", "ppgn")
    assert claim_of(GOOD | {"than": None, "value": 1, "paper": "1.2"}).value == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"relation": "over"}, "claim \"c\": relation is above, at least, below or at most, not 'over'"),
        ({"relation": ["above"]}, "relation is above"),
        ({"than": None}, "than (another row) or value (a number), and has neither"),
        ({"value": 0}, "and has both"),
        ({"than": None, "value": "1"}, "value is a finite number, not '1'"),
        ({"than": None, "value": math.nan}, "value is a finite number, not nan"),
        ({"than": None, "value": True}, "value is a finite number, not True"),
        ({"than": None, "value": 10**400}, "value is a finite number"),
        ({"than": None, "value": 1, "times": 2}, "times is for than"),
        ({"times": 0}, "times is a finite number above 0, not 0"),
        ({"times": math.inf}, "times is a finite number above 0, not inf"),
        ({"than": "ours"}, "of and than are both 'ours'"),
        ({"than": 3}, "than is a text, not 3"),
        ({"paper": 1.5}, "paper is a text, not 1.5"),
        ({"of": " "}, "of is a name, not ' '"),
        ({"measure": None}, "measure is a name, not None"),
        ({"says": ""}, "a claim's says is the claim in words, not ''"),
        (
            {"thann": "x"},
            "a claim has no 'thann'; it has says, measure, of, relation, than, value, times, paper and ours",
        ),
    ],
)
def test_a_bad_claim_is_refused_with_words(changes: dict, message: str):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        claim_of(GOOD | changes)
    assert message in str(caught.value)


def test_a_claim_without_its_parts():
    with pytest.raises(ValueError, match="a claim needs measure, of and relation"):
        claim_of({"says": "c"})


def test_of_many_groups_only_some_are_named():
    claim = Claim("x", "m", "a", "above", value=1)
    groups = {f"g{index}": {"a": {"m": 0.0 if index < 9 else 2.0}} for index in range(10)}
    words = judge(claim, groups).words()
    assert "Holds for 1 of 10, does not hold for 9 (g0, g1, g2, g3, g4, g5 and 3 more)." in words


def test_questions_are_answered_by_yes_and_no():
    claim = Claim("Is it?", "m", "a", "above", value=1, ours=True)

    def words(*numbers: float) -> str:
        return judge(claim, {f"g{index}": {"a": {"m": number}} for index, number in enumerate(numbers)}).words()

    assert words(2.0).startswith("Yes: m 2 against 1")
    assert words(0.0).startswith("No: m 0 against 1")
    assert words(2.0, 3.0).startswith("Yes for all 2.")
    assert words(0.0, 0.5).startswith("No for all 2.")
    assert words(2.0, 0.0, float("nan")).startswith("Yes for 1 of 3, no for 1 (g1), cannot be told for 1 (g2: ")
