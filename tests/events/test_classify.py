"""Classifiers: trees as arrays, abstention, files, and what users may bring."""

import pickle

import numpy as np
import pytest

from crismis.errors import ModelError
from crismis.events import FEATURES, EventClassifier, decide, get_classifier
from crismis.learning.categorize import LabelledEvents, coverage_curve, fit_classifier
from crismis.learning.trees import flatten_trees


@pytest.fixture(scope="module")
def labelled():
    rng = np.random.default_rng(3)
    features = rng.normal(size=(240, len(FEATURES))).astype(np.float32)
    score = features[:, 0] + 0.3 * rng.normal(size=240)
    names = np.select([score > 0.4, score < -0.4], ["track", "worm"], "spot")
    return LabelledEvents(features, names)


def forests():
    from sklearn.ensemble import (
        ExtraTreesClassifier,
        HistGradientBoostingClassifier,
        RandomForestClassifier,
    )

    return [
        ExtraTreesClassifier(20, random_state=0),
        RandomForestClassifier(20, random_state=0),
        *(
            HistGradientBoostingClassifier(
                max_iter=12, max_leaf_nodes=leaves, min_samples_leaf=1, random_state=0
            )
            for leaves in (2, 31, 64, 90)  # with more than 64, trees are walked through
        ),
    ]


@pytest.mark.parametrize("forest", forests(), ids=lambda f: type(f).__name__)
@pytest.mark.parametrize("classes", [2, 3])
def test_arrays_give_the_probabilities_of_scikit_learn(forest, classes, labelled):
    keep = slice(None) if classes == 3 else labelled.category != "spot"
    features, names = labelled.features[keep], labelled.category[keep]
    forest.fit(features, names)
    arrays, link = flatten_trees(forest)
    card = {
        "classes": forest.classes_.tolist(),
        "features": list(FEATURES),
        "link": link,
        "temperature": 1.0,
        "unknown_below": 0.0,
    }
    ours = EventClassifier(arrays, card).predict_proba(features)
    # Means of leaves have 1e-4 added, so that no category is impossible.
    np.testing.assert_allclose(ours, forest.predict_proba(features), atol=4e-4)


@pytest.mark.parametrize("forest", forests()[2:])
def test_each_event_gets_its_own_probabilities_however_many_there_are(forest, labelled):
    model = fit_classifier(labelled, estimator=forest)
    together = model.predict_proba(labelled.features)
    for n in (0, 1, 31, 32, 33, 64, 100):
        np.testing.assert_array_equal(model.predict_proba(labelled.features[:n]), together[:n])
    alone = [model.predict_proba(row[None])[0] for row in labelled.features[:40]]
    np.testing.assert_array_equal(alone, together[:40])


def test_other_estimators_cannot_be_flattened():
    from sklearn.linear_model import LogisticRegression

    with pytest.raises(TypeError, match="LogisticRegression"):
        flatten_trees(LogisticRegression())


@pytest.fixture(scope="module")
def model(labelled):
    return fit_classifier(labelled, name="mine", estimator=forests()[0], unknown_below=0.3)


def test_round_trip_through_a_file(labelled, model, tmp_path):
    model.save(tmp_path / "mine.crm")
    again = get_classifier(tmp_path / "mine.crm")
    assert again.unknown_below == 0.3
    np.testing.assert_array_equal(
        again.predict_proba(labelled.features), model.predict_proba(labelled.features)
    )


def test_model_for_other_features_is_refused(model):
    with pytest.raises(ModelError, match="train it anew"):
        EventClassifier(model.arrays, model.card | {"features": ["length"]})


def test_abstention():
    probability = np.array([[0.5, 0.3, 0.2], [0.34, 0.33, 0.33], [np.nan] * 3])
    names, most = decide(probability, ["track", "worm", "spot"], 0.4)
    assert names.tolist() == ["track", "unknown", "unknown"]
    assert most[1] == pytest.approx(0.34)


def test_own_classifier_needs_probabilities_and_known_names():
    class Odd:
        classes_ = np.array(["track", "ufo"])

        def predict_proba(self, features):
            return np.full((len(features), 2), 0.5)

    with pytest.raises(ModelError, match="ufo"):
        get_classifier(Odd())
    with pytest.raises(TypeError, match="predict_proba"):
        get_classifier(object())


def test_coverage_falls_and_accuracy_rises_with_the_threshold():
    probability = np.array([[0.9, 0.1], [0.8, 0.2], [0.45, 0.55], [0.6, 0.4]])
    truth = ["track", "track", "track", "worm"]
    _, coverage, accuracy = coverage_curve(probability, ["track", "worm"], truth, [0, 0.7, 0.95])
    np.testing.assert_allclose(coverage, [1, 0.5, 0])
    np.testing.assert_allclose(accuracy[:2], [0.5, 1])
    assert np.isnan(accuracy[2])


def test_too_few_labels():
    features = np.zeros((8, len(FEATURES)), np.float32)
    with pytest.raises(ValueError, match="6 track, 2 worm"):
        fit_classifier(LabelledEvents(features, np.array(["track"] * 6 + ["worm"] * 2)))


def test_labels_outside_the_taxonomy():
    with pytest.raises(ValueError, match="'muon' are not in the taxonomy"):
        LabelledEvents(np.zeros((1, 3), np.float32), np.array(["muon"]))


def test_a_classifier_that_has_been_used_can_be_pickled(model, labelled):
    before = model.predict_proba(labelled.features)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(labelled.features), before)
