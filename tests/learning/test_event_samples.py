"""True names of simulated events: what can be seen decides, not which particle it was."""

import numpy as np
import pytest

from crismis import Detector
from crismis.learning.event_samples import Camera, Deposit, observed_category, simulate_events

CAMERA = Camera(
    detector=Detector("ten", pitch=10.0, thickness=100.0, readnoise=5.0, diffusion=3.0),
    sky=25.0,
    seed_level=5.0,
    grow_level=3.0,
    blur=0.0,
    bits=0,
    known=True,
)


def line(start, end, electrons=1000.0, kind="muon", dense=False):
    """What a particle left that flew from one place to another, or a few in one go."""
    places = np.atleast_2d(start) if end is None else None
    if places is None:
        steps = np.linspace(0, 1, 8 * int(np.ptp([start, end], axis=0).max()) + 1)[:, None]
        places = np.asarray(start) + steps * np.subtract(end, start)
    y, x = np.unique(np.rint(places).astype(int), axis=0).T
    charge = np.full(len(y), float(electrons))
    path = 1.0 if dense else 1e4
    return Deposit(y, x, charge, kind, tuple(places[0]), 1e6 if dense else charge.sum(), path)


def joined(*deposits):
    """One particle that left all of this."""
    charge = {}
    for deposit in deposits:
        for y, x, q in zip(deposit.y, deposit.x, deposit.electrons, strict=True):
            charge[y, x] = max(q, charge.get((y, x), 0))
    y, x = np.array(list(charge)).T
    first = deposits[0]
    electrons = np.array(list(charge.values()))
    return Deposit(y, x, electrons, first.kind, first.entry, first.charge, first.path)


def disc(middle, radius, electrons):
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    inside = np.hypot(y, x) <= radius
    charge = electrons * np.exp(-0.5 * (y**2 + x**2)[inside] / (radius / 2) ** 2)
    y, x = y[inside] + middle[0], x[inside] + middle[1]
    return Deposit(y, x, charge, "alpha", middle, charge.sum(), 20.0)


MUON = line((10, 0), (10, 30))


def test_straight_line_is_a_track_and_a_bow_a_worm():
    assert observed_category([MUON], CAMERA) == "track"
    bow = joined(line((0, 0), (0, 12)), line((0, 12), (12, 12)))
    assert observed_category([bow], CAMERA) == "worm"


@pytest.mark.parametrize(
    ("spur", "name"), [(1, "track"), (2, "track"), (4, "delta_ray_track"), (8, "delta_ray_track")]
)
def test_spur_counts_from_three_pixels_outside_the_edge(spur, name):
    track = joined(MUON, line((10, 15), (10 + spur, 15)))
    assert observed_category([track], CAMERA) == name


def test_spur_too_faint_to_be_seen_does_not_count():
    track = joined(MUON, line((10, 15), (18, 15), electrons=8.0))
    assert observed_category([track], CAMERA) == "track"


def test_spur_at_the_end_makes_a_bend():
    assert observed_category([joined(MUON, line((10, 30), (20, 30)))], CAMERA) == "worm"


def test_kind_of_particle_does_not_make_the_name():
    spur = line((10, 15), (18, 15), kind="electron")
    own = observed_category([joined(MUON, spur)], CAMERA)
    assert observed_category([MUON, spur], CAMERA) == own == "delta_ray_track"


def test_two_tracks_that_cross_are_a_blend():
    other = line((0, 12), (22, 18), electrons=900.0)
    assert observed_category([MUON, other], CAMERA) == "blend"


def test_crossing_counts_among_any_particles_of_an_event():
    aside = line((0, 31), (20, 31), electrons=5000.0)
    other = line((0, 12), (22, 18), electrons=900.0)
    assert observed_category([aside, MUON], CAMERA) != "blend"
    assert observed_category([aside, MUON, other], CAMERA) == "blend"


def test_particles_that_cross_beside_a_star_make_a_blend():
    prongs = (line((20, 20), end, kind="spallation") for end in ((20, 35), (8, 10), (33, 12)))
    star = joined(*prongs)
    along, across = line((20, 36), (20, 46), 900.0), line((15, 41), (25, 41), 1500.0)
    assert observed_category([star, along], CAMERA) == "spallation_star"
    assert observed_category([star, across, along], CAMERA) == "blend"


def test_two_tracks_in_one_line_look_like_one():
    assert observed_category([MUON, line((10, 28), (10, 45))], CAMERA) == "track"


def test_faint_track_through_a_bright_blob_is_a_blend():
    blob = disc((10, 15), 4, 1e5)
    assert observed_category([blob, MUON], CAMERA) == "blend"
    assert observed_category([blob], CAMERA) == "blob"


def test_thread_at_one_side_of_a_blob_could_be_its_own():
    thread = line((10, 15), (10, 26))
    assert observed_category([disc((10, 15), 4, 1e5), thread], CAMERA) == "blob"


def test_star_needs_three_visible_prongs():
    prongs = [line((20, 20), end, kind="spallation") for end in ((20, 35), (8, 10), (33, 12))]
    assert observed_category([joined(*prongs)], CAMERA) == "spallation_star"
    assert observed_category([joined(*prongs[:2])], CAMERA) == "unknown"


def test_long_dense_line_is_a_heavy_track():
    body = joined(*(line((y, 0), (y, 30), 5e4, "iron-minimum", dense=True) for y in range(4)))
    assert observed_category([body], CAMERA) == "heavy_track"


def test_nothing_visible():
    assert observed_category([line((0, 0), (0, 9), electrons=1.0)], CAMERA) == "unknown"


def test_simulated_events_are_described_and_named():
    sample = simulate_events(3, seed=4)
    assert len(sample) == len(sample.features) == len(sample.snr) > 50
    assert {"track", "source"} <= set(sample.category)
    assert np.isfinite(sample.features).all()
    again = simulate_events(3, seed=4)
    np.testing.assert_array_equal(sample.features, again.features)


def test_pair_images_add_pairs_that_weigh_less():
    plain, more = simulate_events(1, seed=4), simulate_events(1, seed=4, pair_images=3)
    assert (plain.weight == 1).all()
    assert np.count_nonzero(more.category == "blend") > np.count_nonzero(plain.category == "blend")
    assert (more.weight < 1).mean() > 0.5
    # Together the pairs stand for those of the ordinary image.
    assert more.weight.sum() == pytest.approx(len(plain), rel=0.25)


def test_image_without_pairs_gets_no_pair_images(monkeypatch):
    monkeypatch.setattr("crismis.learning.event_samples.BLEND_SHARE", 0.0)
    sample = simulate_events(1, seed=4, pair_images=2)
    assert (sample.weight == 1).all()
