# Licensed under a 3-clause BSD style license - see LICENSE.rst
import sys
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
from astropy.io import fits
from typer.testing import CliRunner

from crismis.cli.app import app, load_commands
from crismis.identify import _kernels
from crismis.identify.inputs import prepare
from crismis.identify.judge import Judge, hit_probability, judge_scene, load_judge
from crismis.identify.sampling import CONDITIONS, measure_scene
from crismis.learning import dataset, identification
from crismis.learning.boosting import fit_trees, tree_logits
from crismis.learning.calibration import fit_table
from crismis.learning.evaluation import read_truth_frame
from crismis.learning.fields import random_field
from crismis.learning.identification import IdentifyConfig, train_identify
from crismis.network import load_model

load_commands()

_SPACE = files("crismis").joinpath("models", "identify-space.crm")

SMALL = IdentifyConfig(
    name="small",
    kinds={"dark": 1.0, "stars": 1.0},
    warm_fields=4,
    fields=6,
    rounds=2,
    refine_fields=4,
    held_out_fields=4,
    shape=(96, 96),
    hidden=(48, 48),
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


def test_judgements_follow_one_another(trained):
    assert load_judge(trained[0]).refinements == SMALL.refinements == 2


def test_refinements_are_not_told_what_the_image_is_like(trained):
    arrays = load_judge(trained[0]).arrays
    assert arrays["weights1"][-CONDITIONS:].any()
    assert not any(arrays[f"refine{k}_weights1"][-CONDITIONS:].any() for k in range(2))


def test_a_model_starts_only_from_one_of_its_widths(trained, tmp_path):
    wider = replace(SMALL, start=str(trained[0]), hidden=(48, 96))
    with pytest.raises(ValueError, match="other widths"):
        train_identify(wider, tmp_path / "wider.crm", n_threads=1)


def test_symmetric_units_are_found_by_their_weights(trained):
    large = load_judge(trained[0]).large
    assert (large.filters.size, len(large.even)) == SMALL.hidden


def test_the_last_rounds_are_averaged(tmp_path):
    pytest.importorskip("torch", reason="training needs PyTorch")
    path = tmp_path / "mean.crm"
    train_identify(replace(SMALL, average=2), path, n_threads=1)
    rounds = [np.load(next(tmp_path.rglob(f"full{k}.npz")))["weights1"] for k in range(2)]
    assert not np.allclose(*rounds)
    np.testing.assert_allclose(load_model(path)[0]["weights1"], np.mean(rounds, axis=0), atol=1e-6)


def test_a_start_may_have_a_share_in_the_result(trained, tmp_path):
    path = tmp_path / "mean.crm"
    more = replace(SMALL, start=str(trained[0]), start_share=0.75, seed=2)
    train_identify(more, path, n_threads=1)
    last = np.load(next(tmp_path.rglob("full1.npz")))["weights1"]
    start, mean = (load_model(p)[0]["weights1"] for p in (trained[0], path))
    assert not np.allclose(last, start)
    np.testing.assert_allclose(mean, 0.75 * start + 0.25 * last, atol=1e-6)


def test_a_share_of_no_start_is_an_error_that_says_so(tmp_path):
    with pytest.raises(ValueError, match="start"):
        train_identify(replace(SMALL, start_share=0.5), tmp_path / "mean.crm", n_threads=1)


def test_fields_without_candidates_are_an_error_that_says_so(tmp_path):
    pytest.importorskip("torch", reason="training needs PyTorch")
    strict = replace(SMALL, first_cut=100.0)
    with pytest.raises(ValueError, match="no pixel"):
        train_identify(strict, tmp_path / "strict.crm", n_threads=1)


def test_trees_for_stars_come_from_larger_fields_with_stars_of_one_shape(tmp_path):
    pytest.importorskip("torch", reason="training needs PyTorch")
    known = {"start": str(_SPACE), "hidden": (96, 384), "rate": 1e-6}  # what stars are
    known |= {"rounds": 1, "average": 2}
    starry = replace(
        SMALL, kinds={"stars": 1.0}, shape=(256, 256), fields=4, refinements=1, **known
    )
    path = tmp_path / "starry.crm"
    card = train_identify(replace(starry, star_trees=3, star_fields=16), path, n_threads=1)
    assert card["config"]["star_trees"] == 3
    assert len(load_model(path)[0]["stars_roots"]) == 3
    assert load_judge(path).star_trees is not None


def test_a_model_can_start_from_another(trained, tmp_path):
    more = replace(SMALL, start=str(trained[0]), seed=2, rate=1e-6)
    train_identify(more, tmp_path / "more.crm", n_threads=1)
    first, second = (load_model(p)[0] for p in (trained[0], tmp_path / "more.crm"))
    np.testing.assert_allclose(second["weights1"], first["weights1"], atol=0.02)


def test_the_finished_model_judges_all_that_the_screen_finds(trained):
    judge = load_judge(trained[0])
    data = np.random.default_rng(1).normal(100, 10, (64, 64)).astype("f4")
    scene = measure_scene(data, np.zeros(data.shape, bool), 1.0, 0.0)
    judged = judge_scene(scene, judge, 0)
    screened = dataset.candidates(scene.image.planes(0, 0, *data.shape), np.zeros(data.shape, bool))
    assert np.count_nonzero(judged > _kernels.SCREENED_OUT) == len(screened) > 0


def test_the_card_says_how_much_surer_the_model_is_that_is_told_the_hits(trained):
    slope = load_judge(trained[0]).card["told_slope"]
    assert slope > 0
    assert slope != 1
    assert load_judge(trained[0]).told_slope == slope


def test_how_much_surer_is_told_by_the_kinds_that_the_model_is_for(tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="training needs PyTorch")
    drawn = []

    def spy(config, seed):
        drawn.append((seed // 5_000_000, set(config.kinds)))
        return draw(config, seed)

    draw = identification._draw_field
    monkeypatch.setattr(identification, "_draw_field", spy)
    train_identify(replace(SMALL, told_kinds=("stars",)), tmp_path / "told.crm")
    told = identification._TOLD_SEEDS // 5_000_000
    assert {told, 0} <= {part for part, _ in drawn}
    assert all(kinds == ({"stars"} if part == told else set(SMALL.kinds)) for part, kinds in drawn)


def test_told_kinds_must_be_among_the_kinds(tmp_path):
    with pytest.raises(ValueError, match=r"told_kinds.*moon"):
        train_identify(replace(SMALL, told_kinds=("moon",)), tmp_path / "x.crm")


def test_unknown_keys_of_a_configuration_are_named(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text("[identify]\nfeilds = 3\n")
    with pytest.raises(ValueError, match="feilds"):
        IdentifyConfig.load(path)


def test_the_command_names_what_is_wrong_and_writes_nothing(tmp_path, monkeypatch):
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[identify]\nfeilds = 3\n")
    command = ["train", "identify", "-o", str(tmp_path / "new.crm")]
    result = CliRunner().invoke(app, [*command, "--config", str(wrong)])
    assert result.exit_code == 1
    assert "feilds" in result.output
    monkeypatch.setitem(sys.modules, "torch", None)
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    assert "pip install crismis[train]" in result.output
    assert sorted(tmp_path.iterdir()) == [wrong]


def truth_file(path, seed):
    field = random_field(seed, "dark", shape=SMALL.shape, density=(-2.5, -2.4))
    primary = fits.PrimaryHDU(header=fits.Header({"RDNOISE": 5.0}))
    planes = {"SCI": field.electrons, "TRUTH": field.labels}
    hdus = [fits.ImageHDU(np.array(plane), name=name) for name, plane in planes.items()]
    fits.HDUList([primary, *hdus]).writeto(path)


def test_labelled_frames_serve_the_networks_and_the_calibration_by_turns(tmp_path):
    pytest.importorskip("torch", reason="training needs PyTorch")
    paths = [str(tmp_path / name) for name in ("fit.fits", "judge_again.fits")]
    for seed, path in enumerate(paths):
        truth_file(path, seed)
    config = replace(SMALL, kinds={"labelled": 1.0}, labelled=paths, first_cut=-16.0)
    identification._start_worker(config)
    hits = [np.count_nonzero(fits.getdata(path, "TRUTH") == 1) for path in paths]
    assert hits[0] != hits[1]
    for seeds, frame in (((0, 1, identification._WARM_SEEDS), 0), ((10_000_000, 20_000_000), 1)):
        for seed in seeds:
            drawn, _ = identification._draw_field(config, seed)
            assert np.count_nonzero(drawn.labels == 1) == hits[frame]
    card = train_identify(config, tmp_path / "labelled.crm", n_threads=1)
    assert card["labelled"] == ["fit.fits", "judge_again.fits"]


@pytest.fixture
def with_trees(tmp_path):
    pytest.importorskip("torch", reason="training needs PyTorch")
    path = tmp_path / "truth.fits"
    truth_file(path, 0)
    return replace(
        SMALL,
        kinds={"dark": 1.0, "labelled": 1.0},
        labelled=[str(path)],
        first_cut=-16.0,
        trees=6,
        tree_fields=4,
        tree_leaves=8,
    )


def test_trees_judge_last(with_trees, tmp_path):
    card = train_identify(with_trees, tmp_path / "trees.crm", n_threads=1)
    judge = load_judge(tmp_path / "trees.crm")
    assert judge.refinements == SMALL.refinements + 1
    assert len(judge.arrays["trees_roots"]) == card["config"]["trees"] == 6
    image, _, readnoise = read_truth_frame(with_trees.labelled[0])
    frame = prepare(image, gain=1.0, readnoise=readnoise, detector=None)
    probability = hit_probability(frame, model=judge)
    assert 0 <= probability.min() < probability.max() <= 1


def test_labelled_pixels_are_calibrated_by_trees_that_have_not_seen_them(
    with_trees, tmp_path, monkeypatch
):
    fits = []

    def fit(simulated, labelled, **settings):
        fits.append(labelled)
        return fit_trees(simulated, labelled, **settings)

    monkeypatch.setattr(identification, "fit_trees", fit)
    calibrated = []

    def table(logits, samples):
        calibrated.append((logits, samples))
        return fit_table(logits, samples)

    monkeypatch.setattr(identification, "fit_table", table)
    train_identify(with_trees, tmp_path / "trees.crm", n_threads=1)
    everything, *parts = (len(f.labels) for f in fits)
    assert len(parts) == 2
    assert sum(parts) < everything
    ((logits, samples),) = calibrated
    assert len(logits) == len(samples.labels)
    own = samples.reorder(slice(-everything, None))
    arrays = {
        k[6:]: v for k, v in load_model(tmp_path / "trees.crm")[0].items() if k.startswith("trees_")
    }
    arrays["output"] = np.ones(len(arrays["roots"]), np.int8)
    assert not np.allclose(tree_logits(arrays, own), logits[-everything:])
    share = samples.weights[-everything:].sum() / everything
    area = SMALL.held_out_fields * 96 * 96
    assert share == pytest.approx(area / (96 * 96), rel=1e-3)


def test_a_stopped_fit_of_trees_goes_on_where_it_was(with_trees, tmp_path, monkeypatch):
    def stop(*args, **settings):
        raise KeyboardInterrupt

    path = tmp_path / "trees.crm"
    with monkeypatch.context() as patch:
        patch.setattr(identification, "tree_logits", stop)
        with pytest.raises(KeyboardInterrupt):
            train_identify(with_trees, path, n_threads=1)
    (kept,) = tmp_path.rglob("trees.npz")
    before = kept.stat().st_mtime_ns
    train_identify(with_trees, path, n_threads=1)
    assert kept.stat().st_mtime_ns == before
    with np.load(kept) as archive:
        assert np.array_equal(load_model(path)[0]["trees_left"], archive["left"])


def test_trees_need_no_labelled_frames(tmp_path):
    pytest.importorskip("torch", reason="training needs PyTorch")
    alone = replace(SMALL, trees=3, tree_fields=4, first_cut=-16.0)
    train_identify(alone, tmp_path / "alone.crm", n_threads=1)
    assert len(load_model(tmp_path / "alone.crm")[0]["trees_roots"]) == 3


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"trees": -1}, "trees >= 0"),
        ({"tree_leaves": 1}, "tree_leaves"),
        ({"tree_leaves": 33}, "tree_leaves"),
        ({"tree_rate": 0.0}, "tree_rate"),
        ({"tree_fields": 0}, "tree_fields"),
        ({"kinds": {"labelled": 1.0}}, "kinds"),
    ],
)
def test_wrong_settings_of_trees_are_named(tmp_path, wrong, message):
    config = replace(SMALL, **{"trees": 5} | wrong)
    with pytest.raises(ValueError, match=message):
        train_identify(config, tmp_path / "x.crm", n_threads=1)


def test_hits_of_exposure_pairs_serve_as_tracks(tmp_path):
    rng = np.random.default_rng(1)
    pair = [rng.normal(50, 3, (64, 64)).astype("f4") for _ in range(2)]
    pair[0][20, 10:15] += 300
    paths = [tmp_path / "first.fits", tmp_path / "second.fits"]
    for path, data in zip(paths, pair, strict=True):
        fits.PrimaryHDU(data).writeto(path)
    text = (
        "[[identify.pairs]]\n"
        'paths = ["first.fits", "second.fits"]\n'
        "gain = 2.0\nreadnoise = 6.0\nscales = [10.0, 10.0]\n"
    )
    (tmp_path / "x.toml").write_text(text)
    config = IdentifyConfig.load(tmp_path / "x.toml")
    (tracks,) = identification.Material.load(config).footprints
    assert [track.shape for track in tracks] == [(1, 5)]
    assert tracks[0].sum() == pytest.approx(2 * 5 * 300, rel=0.05)


def test_a_kind_without_its_frames_is_named(tmp_path):
    pytest.importorskip("torch", reason="training needs PyTorch")
    for kind, key in (("labelled", "labelled"), ("real", "backgrounds")):
        with pytest.raises(ValueError, match=key):
            train_identify(replace(SMALL, kinds={kind: 1.0}), tmp_path / "x.crm", n_threads=1)


def test_unknown_kinds_of_fields_are_named(tmp_path):
    pytest.importorskip("torch", reason="training needs PyTorch")
    with pytest.raises(ValueError, match="quasars"):
        train_identify(replace(SMALL, kinds={"quasars": 1.0}), tmp_path / "x.crm", n_threads=1)
