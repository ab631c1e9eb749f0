"""Injection and recovery measure efficiency and purity, and corrected rates cover the truth."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from crismis import (
    CosmicRayCCDData,
    Detector,
    Flag,
    categorize_cosmicrays,
    cosmicray_learned,
)
from crismis.physics import completeness, exposure_rate
from crismis.simulate import simulate_exposure

DETECTOR = Detector(
    "thin", pitch=15.0, thickness=15.0, gain=1.0, readnoise=5.0, readout_wait=0.0, diffusion=4.0
)
SHAPE = (256, 256)


def exposure(seed, rate=1.0, seconds=900.0):
    scene = np.full(SHAPE, 60.0)
    return simulate_exposure(
        DETECTOR, seconds, scene=scene, rate=rate, shape=SHAPE, seed=seed, unit="electron"
    )


def above(level):
    """Identification that flags what exceeds a level; its efficiency can be told beforehand."""

    def identify(ccd):
        hits = np.asarray(ccd.data) > level
        data = np.where(hits, 60, ccd.data).astype(np.float32)
        flags = np.where(hits, Flag.HIT | Flag.REPAIRED, 0).astype(np.uint8)
        return CosmicRayCCDData(
            data, unit=ccd.unit, meta=ccd.meta, flags=flags, replaced=np.asarray(ccd.data)[hits]
        )

    return identify


def test_learned_identification_finds_most_of_an_even_field():
    result = completeness(exposure(2), detector=DETECTOR, n_events=300, seed=1)
    # Events that the classifier calls artefacts or leaves unknown are no particles found.
    assert result.efficiency > 0.8
    assert result.purity > 0.95
    assert result.by_charge["n_injected"].sum() == 300


def test_a_high_threshold_costs_faint_events_first():
    result = completeness(
        exposure(3), detector=DETECTOR, n_events=400, identify=above(1200), seed=1
    )
    assert result.efficiency < 0.7
    table = result.by_charge
    faint = table["charge_high"].value <= 1000
    # One may fall onto a hit that is too faint to be flagged itself.
    assert table["n_recovered"][faint].sum() <= 0.05 * table["n_injected"][faint].sum()


def test_false_events_lower_purity():
    noisy = completeness(exposure(4), detector=DETECTOR, identify=above(80), n_events=50, seed=1)
    assert noisy.purity < 0.9


def test_same_seed_same_answer():
    frame = exposure(5)
    first, second = (
        completeness(frame, detector=DETECTOR, n_events=60, identify=above(150), seed=7)
        for _ in range(2)
    )
    assert first.corrections() == second.corrections()


def test_unknown_detector_is_refused():
    with pytest.raises(ValueError, match="detector"):
        completeness(CosmicRayCCDData(np.zeros((9, 9)), unit="adu"), n_events=5)
    with pytest.raises(ValueError, match="at least 1"):
        completeness(exposure(1), detector=DETECTOR, n_events=0)


@pytest.mark.slow
def test_corrected_rates_hold_the_truth_two_times_in_three():
    correction = completeness(exposure(1000), detector=DETECTOR, n_events=2000, seed=1)
    inside = 0
    for seed in range(200):
        found = categorize_cosmicrays(cosmicray_learned(exposure(seed)))
        result = exposure_rate(found, detector=DETECTOR, completeness=correction)
        inside += result.rate_lower <= 1.0 <= result.rate_upper
    assert_allclose(inside / 200, 0.69, atol=0.09)
