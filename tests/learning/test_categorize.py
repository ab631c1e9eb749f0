"""Training the classifier of events on labels, from the command line as well."""

import json

import numpy as np
import pytest
from astropy.nddata import CCDData
from astropy.table import Table
from sklearn.ensemble import HistGradientBoostingClassifier
from typer.testing import CliRunner

from crismis import categorize_cosmicrays
from crismis.events import FEATURES, EventClassifier
from crismis.learning import categorize
from crismis.learning.categorize import (
    CategorizeConfig,
    LabelledEvents,
    add_simulated,
    average_classifiers,
    describe_cutout,
    export_labelling_sheets,
    find_hits,
    fit_classifier,
    labels_from_cutouts,
    labels_from_table,
)
from crismis.learning.event_samples import EventSample


def cutout(curved, rng):
    """A digital image of a straight or bent line."""
    image = 12 + rng.normal(0, 1, (40, 40))
    angle = rng.uniform(0, 2 * np.pi)
    for step in np.linspace(0, 16, 60):
        angle += 0.03 if curved else 0.0
        y = 20 + (step - 8) * np.sin(angle)
        x = 20 + (step - 8) * np.cos(angle)
        image[round(y) - 1 : round(y) + 1, round(x) - 1 : round(x) + 1] += 12
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def cutouts(tmp_path_factory):
    rng = np.random.default_rng(8)
    names = np.array(["track", "worm"] * 12)
    path = tmp_path_factory.mktemp("labels") / "hits.npz"
    np.savez(path, images=[cutout(name == "worm", rng) for name in names], labels=names)
    return path


def run(*arguments):
    from crismis.cli import app, train_categorize  # noqa: F401

    return CliRunner().invoke(app, ["train", "categorize", *map(str, arguments)])


def test_hits_of_a_cutout_are_what_stands_out():
    image = np.full((20, 20), 10, np.uint8)
    image[5, 5:12] = 60
    image[15, 15] = 12
    np.testing.assert_array_equal(find_hits(image), image == 60)


def test_empty_cutout():
    with pytest.raises(ValueError, match="no hit"):
        describe_cutout(np.zeros((20, 20), np.uint8))


def test_command_learns_from_cutouts(cutouts, tmp_path):
    result = run("--labels", cutouts, "-o", tmp_path / "own.crm", "--json")
    assert result.exit_code == 0, result.output
    outcome = json.loads(result.output)
    assert outcome["events"] == {"track": 12, "worm": 12}
    assert outcome["held_out_accuracy"] > 0.8
    model = EventClassifier.load(tmp_path / "own.crm")
    assert model.classes_.tolist() == ["track", "worm"]
    image = cutout(True, np.random.default_rng(9))
    ccd = CCDData(image.astype(float), unit="adu")
    events = categorize_cosmicrays(
        ccd, crmask=find_hits(image), classifier=tmp_path / "own.crm"
    ).events
    assert set(events["category"]) <= {"track", "worm", "unknown"}


def test_simulated_events_stand_in_for_missing_categories(cutouts):
    labelled = labels_from_cutouts(cutouts)
    more = add_simulated(labelled, 4, seed=1)
    assert np.count_nonzero(more.category == "track") == 12
    assert "source" in more.category


def test_table_round_trip_from_exported_sheets(tmp_path):
    rng = np.random.default_rng(10)
    data = rng.normal(20, 2, (80, 90)).astype(np.float32)
    hits = np.zeros(data.shape, bool)
    hits[10, 5:20] = hits[30:45, 60] = hits[60, 10] = True
    data[hits] += 300
    out = categorize_cosmicrays(CCDData(data, unit="electron"), crmask=hits)
    out.write(tmp_path / "image.fits")
    table = export_labelling_sheets([tmp_path / "image.fits"], tmp_path / "sheets")
    assert table["n_pixels"].tolist() == [15, 15, 1]
    assert (tmp_path / "sheets" / "sheet-001.png").exists()
    filled = Table.read(tmp_path / "sheets" / "labels.ecsv")
    filled["true_category"] = ["track", "bad_column", ""]
    filled.write(tmp_path / "sheets" / "filled.ecsv")
    labelled = labels_from_table(tmp_path / "sheets" / "filled.ecsv")
    assert labelled.category.tolist() == ["track", "bad_column"]
    assert np.isfinite(labelled.features).all()
    with pytest.raises(FileExistsError, match="choose another folder"):
        export_labelling_sheets([tmp_path / "image.fits"], tmp_path / "sheets")


def test_unknown_label_in_a_table_is_named(tmp_path):
    np.savez(tmp_path / "odd.npz", images=np.zeros((1, 9, 9)) + np.eye(9), labels=["ufo"])
    result = run("--labels", tmp_path / "odd.npz", "-o", tmp_path / "own.crm")
    assert result.exit_code == 1
    assert "'ufo' are not in the taxonomy" in result.output


def test_table_without_the_needed_columns(tmp_path):
    Table({"label": [1]}).write(tmp_path / "bare.ecsv")
    with pytest.raises(ValueError, match="no column file, true_category"):
        labels_from_table(tmp_path / "bare.ecsv")


def test_configuration_names_what_it_does_not_know(tmp_path):
    path = tmp_path / "odd.toml"
    path.write_text("[categorize]\nimages = 3\nrounds = 2\n", encoding="utf-8")
    result = run("--config", path, "-o", tmp_path / "own.crm")
    assert result.exit_code == 1
    assert "does not know rounds" in result.output
    path.write_text("[identify]\n", encoding="utf-8")
    with pytest.raises(ValueError, match="no table"):
        CategorizeConfig.load(path)


def test_too_few_simulated_events_are_refused_and_kept(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text("[categorize]\nseed = 3\nimages = 1\n", encoding="utf-8")
    result = run("--config", path, "-o", tmp_path / "own.crm", "--work", tmp_path / "work")
    assert result.exit_code == 1
    assert "at least 5 labelled events" in result.output
    with np.load(tmp_path / "work" / "events-3-0-000.npz") as kept:
        assert len(kept["features"]) == len(kept["category"]) > 10


def test_easy_events_are_left_out_and_the_others_weigh_for_them(monkeypatch):
    monkeypatch.setattr(categorize, "WORTH_THINNING", 100)
    rng = np.random.default_rng(3)
    features = rng.normal(size=(12000, 3)).astype(np.float32)
    kind = (features[:, 0] + 0.2 * features[:, 1] * rng.normal(size=12000)) > 0
    sample = EventSample(
        features,
        np.where(kind, "track", "worm"),
        *(np.ones(12000, dtype) for dtype in (int, float, bool, float)),
    )
    weights = categorize._thin(sample, np.ones(12000), rng)
    easy = np.abs(features[:, 0]) > 0.5
    assert (weights[easy] > 0).mean() < 0.4
    assert (weights[np.abs(features[:, 0]) < 0.05] > 0).mean() > 0.9
    assert weights.sum() == pytest.approx(12000, rel=0.1)


def test_command_without_anything_to_do():
    assert run().exit_code == 2


@pytest.fixture(scope="module")
def two_classifiers():
    rng = np.random.default_rng(4)
    features = rng.normal(size=(300, len(FEATURES))).astype(np.float32)
    kind = features[:, 0] + features[:, 1] + 0.5 * rng.normal(size=300)
    category = np.array(["spot", "track", "worm"])[np.digitize(kind, [-0.7, 0.7])]
    events = LabelledEvents(features, category)
    models = [
        fit_classifier(
            events, estimator=HistGradientBoostingClassifier(max_iter=n, learning_rate=rate)
        )
        for n, rate in ((9, 0.2), (14, 0.1))
    ]
    return *models, events


def test_averaged_classifiers_score_the_mean_of_both(two_classifiers):
    first, second, events = two_classifiers
    joined = average_classifiers(first, second, events)
    score = [
        m.card["temperature"] * np.log(m.predict_proba(events.features)) for m in (first, second)
    ]
    mean = np.exp((score[0] + score[1]) / 2 / joined.card["temperature"])
    expected = mean / mean.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(joined.predict_proba(events.features), expected, atol=1e-5)


def test_what_cannot_be_averaged_is_refused(two_classifiers):
    first, _, events = two_classifiers
    with pytest.raises(ValueError, match="boosted trees for the same categories"):
        average_classifiers(first, fit_classifier(events), events)


def test_the_other_of_two_lies_beside_the_configuration(tmp_path):
    path = tmp_path / "two.toml"
    path.write_text('[categorize]\naverage_with = "first.crm"\n', encoding="utf-8")
    assert CategorizeConfig.load(path).average_with == str(tmp_path / "first.crm")
    result = run("--config", path, "-o", tmp_path / "own.crm")
    assert result.exit_code == 1
    assert "first.crm" in result.output
