# Licensed under a 3-clause BSD style license - see LICENSE.rst
from dataclasses import replace

import numpy as np
import pytest

from crismis.identify.judge import Judge, load_judge
from crismis.learning import dataset
from crismis.learning.identification import IdentifyConfig, train_identify
from crismis.network import load_model

SMALL = IdentifyConfig(
    name="small",
    kinds={"dark": 1.0, "stars": 1.0},
    warm_fields=4,
    fields=6,
    rounds=2,
    refine_fields=4,
    held_out_fields=4,
    shape=(96, 96),
    hidden=48,
    warm_epochs=1,
    epochs=2,
    first_epochs=1,
    refine_epochs=1,
    batch=256,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    pytest.importorskip("torch", reason="training needs PyTorch")
    path = tmp_path_factory.mktemp("train") / "small.crm"
    return path, train_identify(SMALL, path, n_threads=1)


def test_training_makes_a_model_with_its_card_and_log(trained):
    path, card = trained
    judge = load_judge(path)
    assert isinstance(judge, Judge)
    assert judge.card["name"] == "small"
    assert judge.card["config"]["fields"] == 6
    assert 0 < card["hit_fraction"] < 1
    assert "configuration" in path.with_suffix(".log").read_text()


def test_training_again_gives_the_same_networks(trained, tmp_path):
    train_identify(SMALL, tmp_path / "again.crm", n_threads=1)
    first, again = (load_model(p)[0] for p in (trained[0], tmp_path / "again.crm"))
    for name, array in first.items():
        np.testing.assert_allclose(again[name], array, rtol=1e-3, atol=1e-4)


def test_a_stopped_training_goes_on_where_it_was(trained, tmp_path):
    steps = []

    def stop(step, done, total):
        steps.append(step)
        if step == "full0: epochs" and done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_identify(SMALL, tmp_path / "x.crm", n_threads=1, report=stop)
    again = []
    train_identify(
        SMALL, tmp_path / "x.crm", n_threads=1, report=lambda step, done, _: again.append(step)
    )
    assert "begin: epochs" in steps
    assert "begin: epochs" not in again
    assert again.count("full0: epochs") == 1
    first, other = (load_model(p)[0] for p in (trained[0], tmp_path / "x.crm"))
    np.testing.assert_allclose(other["weights1"], first["weights1"], rtol=1e-3, atol=1e-4)


def test_a_trained_model_does_not_see_how_a_window_is_turned(trained):
    arrays, _ = load_model(trained[0])
    turns = dataset.orientations()
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(50, turns.shape[1])).astype(np.float32)
    conditions = np.zeros(len(arrays["weights1"]) - turns.shape[1], np.float32)

    def logits(inputs):
        x = np.concatenate([inputs, np.tile(conditions, (len(inputs), 1))], axis=1)
        x = np.maximum(x @ arrays["weights1"] + arrays["bias1"], 0)
        x = np.maximum(x @ arrays["weights2"] + arrays["bias2"], 0)
        return x @ arrays["weights3"] + arrays["bias3"]

    for turn in turns[1:]:
        np.testing.assert_allclose(logits(inputs[:, turn]), logits(inputs), atol=1e-4)


def test_a_model_can_start_from_another(trained, tmp_path):
    more = replace(SMALL, start=str(trained[0]), seed=2, rate=1e-6)
    train_identify(more, tmp_path / "more.crm", n_threads=1)
    first, second = (load_model(p)[0] for p in (trained[0], tmp_path / "more.crm"))
    np.testing.assert_allclose(second["weights1"], first["weights1"], atol=0.02)


def test_unknown_keys_of_a_configuration_are_named(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text("[identify]\nfeilds = 3\n")
    with pytest.raises(ValueError, match="feilds"):
        IdentifyConfig.load(path)


def test_unknown_kinds_of_fields_are_named(tmp_path):
    pytest.importorskip("torch", reason="training needs PyTorch")
    with pytest.raises(ValueError, match="quasars"):
        train_identify(replace(SMALL, kinds={"quasars": 1.0}), tmp_path / "x.crm", n_threads=1)
