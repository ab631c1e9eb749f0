"""Categories and their names elsewhere."""

import pytest

from crismis.taxonomy import ARTEFACTS, ELSEWHERE, PARTICLES, Category, from_elsewhere


def test_every_category_is_a_particle_an_artefact_or_unknown():
    assert {Category.UNKNOWN} | PARTICLES | ARTEFACTS == set(Category)
    assert not PARTICLES & ARTEFACTS


def test_mapping_goes_both_ways():
    for vocabulary, table in ELSEWHERE.items():
        for name, categories in table.items():
            assert from_elsewhere(vocabulary.lower(), name.upper()) == categories
            for category in categories:
                assert name in category.elsewhere[vocabulary]


@pytest.mark.parametrize(("vocabulary", "name"), [("Groom", "ufo"), ("Nobody", "spot")])
def test_unknown_names(vocabulary, name):
    with pytest.raises(KeyError, match=r"ufo|Nobody"):
        from_elsewhere(vocabulary, name)
