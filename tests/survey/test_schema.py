"""The columns of the catalog: whole, documented, and only ever added to."""

import json
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u

from crismis.survey.schema import SCHEMA_VERSION, TABLES, arrow_schema

VERSIONS = json.loads(Path(__file__).with_name("schema_versions.json").read_text())
"""Version -> table -> columns as they were published: [name, type, unit]."""


def columns(table):
    return {name: (kind, unit) for name, kind, unit, _ in TABLES[table]}


def test_every_column_has_a_meaning_and_a_valid_unit():
    for table, rows in TABLES.items():
        names = [name for name, *_ in rows]
        assert len(set(names)) == len(names), table
        for _name, _, unit, meaning in rows:
            assert meaning
            u.Unit(unit.replace("DN", "adu"))


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("version", VERSIONS)
def test_no_published_column_was_dropped_or_changed(version, table):
    now = columns(table)
    for name, kind, unit in VERSIONS[version][table]:
        assert now[name] == (kind, unit)


@pytest.mark.parametrize("table", TABLES)
def test_every_addition_raised_the_version(table):
    newest = VERSIONS[str(SCHEMA_VERSION)][table]
    assert list(columns(table)) == [name for name, *_ in newest]


def test_every_column_of_measured_events_is_in_the_catalog():
    from crismis import CosmicRayCCDData, categorize_cosmicrays
    from crismis.physics import measure_tracks

    image = np.random.default_rng(1).normal(0, 5, (40, 40))
    image[20, 5:30] += 500
    ccd = CosmicRayCCDData(image, unit="electron", meta={"CRGAIN": 1.0, "CRRDNOIS": 5.0})
    events = measure_tracks(categorize_cosmicrays(ccd, crmask=image > 100)).events
    known = columns("events")
    assert set(events.colnames) <= set(known)
    for name in events.colnames:
        unit = getattr(events[name], "unit", None)
        assert unit is None or unit.is_equivalent(u.Unit(known[name][1])), name


def test_every_column_is_in_the_user_guide():
    guide = Path(__file__).parents[2] / "docs" / "user" / "survey.rst"
    if not guide.exists():
        pytest.skip("the documentation is not here")
    text = guide.read_text()
    assert f"schema is version {SCHEMA_VERSION}" in text
    for table, rows in TABLES.items():
        part = text.partition(f"\n{table}\n---")[2]
        for name, _, unit, _ in rows:
            head = f"``{name}`` ({unit})" if unit else f"``{name}``"
            assert f"\n{head}\n" in part, name


def test_arrow_schema_carries_version_and_units():
    schema = arrow_schema("events")
    assert schema.metadata[b"crismis_schema"] == str(SCHEMA_VERSION).encode()
    assert schema.field("energy").metadata[b"unit"] == b"keV"
