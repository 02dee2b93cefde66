import pytest

from invset.names import hint, near, plain


@pytest.mark.parametrize("spelling", ["school_bus", "School-Bus", " school  bus ", "SCHOOL BUS"])
def test_spellings_of_one_name_are_equal(spelling: str) -> None:
    assert plain(spelling) == "school bus"


def test_quotes_and_commas_need_not_be_typed() -> None:
    assert plain("jack-o'-lantern") == plain("Jack_o_lantern")
    assert plain("bakery, shop") == plain("bakery_shop")


def test_near_prefers_whole_words_then_likeness_then_parts() -> None:
    assert near("cat", ["caterpillar", "cart", "tiger cat", "dog"]) == ["tiger cat"]
    assert near("cat", ["caterpillar", "cart", "dog"]) == ["cart", "caterpillar"]
    assert near("volcanos", ["volcano", "dog"]) == ["volcano"]
    assert near("_", ["cat"]) == []


def test_hint_falls_back_to_all_there_is() -> None:
    assert hint("zzz", ["fc6", "fc7"]) == "there are fc6, fc7."
    assert hint("fc9", ["conv1", "fc7"]) == "did you mean fc7?"
    assert hint("zzz", []) == "there are none."
    assert hint("zzz", [f"layer{i}" for i in range(30)]).endswith(" ….")
