# Licensed under a 3-clause BSD style license - see LICENSE.rst
import csv
from types import SimpleNamespace

import numpy as np
import pytest


@pytest.fixture
def accuracy():
    import accuracy

    return accuracy


@pytest.fixture
def frame():
    import peers

    rng = np.random.default_rng(8)
    data = rng.normal(60, 9, (128, 128))
    truth = np.zeros(data.shape, np.uint8)
    truth[5::16, 7::16] = 1
    return peers.Frame("noise", "made up", (data + 5000.0 * truth).astype(np.float32), truth)


def test_table_holds_each_method_and_the_mean_of_each_group(accuracy, frame, monkeypatch, tmp_path):
    monkeypatch.setattr(accuracy.peers, "scorers", lambda _: {"signal": lambda f: f.data})
    options = SimpleNamespace(
        no_crismis=True,
        no_peers=False,
        all_peers=False,
        no_lacosmic=False,
        frames="*",
        draws=10,
        quick=True,
    )
    rows, draws = accuracy.measure([frame, frame], options)
    means = accuracy.summarize(rows, draws)
    assert [m["method"] for m in means] == ["signal", "L.A.Cosmic, best setting"]
    assert means[0]["tpr_0.0001"] == means[0]["average_precision"] == 1
    assert means[1]["tpr_0.005"] > 0.9
    monkeypatch.setattr(accuracy, "GROUPS", ("made up",))
    accuracy.write_docs(means, tmp_path)
    with (tmp_path / "accuracy.csv").open() as file:
        table = list(csv.reader(file))
    assert table[1][:4] == ["made up (2)", "signal", "1.000", "1.000-1.000"]
    assert "crismis" in (tmp_path / "accuracy.txt").read_text()


def test_lacosmic_setting_over_the_rate_does_not_count(accuracy, frame, monkeypatch):
    everything, nothing = np.ones(frame.data.shape, bool), np.zeros(frame.data.shape, bool)
    masks = [((1, 1), everything), ((2, 2), nothing)]
    monkeypatch.setattr(accuracy.peers, "lacosmic_masks", lambda *_: masks)
    assert accuracy.lacosmic_row(frame, False)["tpr_0.005"] == 0


def test_truth_frames_are_read(accuracy, real_data, monkeypatch):
    monkeypatch.setenv("CRISMIS_DATA", str(real_data))
    frame = next(f for f in accuracy.truth_frames() if f.group == "STIS spectra")
    assert frame.readnoise == 4.2
    assert np.mean(frame.truth == 1) == pytest.approx(0.0577, abs=1e-4)


def test_the_visit_that_models_have_learned_from_is_not_scored(accuracy, real_data, monkeypatch):
    monkeypatch.setenv("CRISMIS_DATA", str(real_data))
    names = [frame.name for frame in accuracy.truth_frames()]
    assert len(names) == 7
    assert not [name for name in names if accuracy.scenes.TRAINED_ON in name]
