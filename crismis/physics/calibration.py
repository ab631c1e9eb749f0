"""Self-calibration of gain or thickness on particles that went through the detector."""

from dataclasses import dataclass

import numpy as np
from astropy import units as u

from ..detectors import get_detector
from ..taxonomy import Category

__all__ = ["MipCalibration", "calibrate_mip"]


@dataclass(frozen=True)
class MipCalibration:
    """Measured over expected charge per path of through-going particles.

    Parameters
    ----------
    scale : float
        Peak of the measured charge per path over the peak that the detector's facts predict: 1
        if gain and thickness are right.
    scale_error : float
        Standard error by bootstrap.
    peak : float
        Most probable charge per path, electrons per micrometre.
    n_tracks : int
        Tracks used.
    gain : float
        Gain (electrons per data unit) that would make the scale 1.

    Examples
    --------
    >>> from crismis.physics import MipCalibration
    >>> MipCalibration(scale=0.83, scale_error=0.01, peak=71.0, n_tracks=420, gain=1.2).gain
    1.2
    """

    scale: float
    scale_error: float
    peak: float
    n_tracks: int
    gain: float


def calibrate_mip(ccd, *, detector=None, particles="muon", shortest=None, n_simulated=4000, seed=0):
    """Compare the Landau peak of through-going particles with what the detector predicts.

    Tracks (and spots) that are whole and longer than ``shortest`` pixels are taken; the same
    selection and the same measurement on simulated particles through the same detector give
    the expectation. The two distributions of log charge per path are aligned by maximum
    likelihood, the simulated one smoothed by a Gaussian kernel, so that all of the Landau-like
    shape counts and not only the few events at its peak.

    Parameters
    ----------
    ccd : `~crismis.CosmicRayCCDData` or sequence of them
        With ``.segmentation`` and ``.events`` (`crismis.categorize_cosmicrays`).
    detector : `~crismis.Detector`, optional
        Pitch, thickness, diffusion, gain, read noise; otherwise found from the header.
    particles : str, kind, mapping or sequence, optional
        What flies, see `crismis.simulate.mixture`.
    shortest : float, optional
        Shortest projected length in pixels; by default that of a track inclined by 45 degrees,
        but at most 3, so that thin silicon, where long tracks are rare, gives enough of them.
    n_simulated : int, optional
        Simulated events behind the expectation.
    seed : int, optional
        Of the simulation and of the bootstrap.

    Returns
    -------
    MipCalibration

    Raises
    ------
    ValueError
        If pitch or thickness is not known, or fewer than 20 tracks are left.

    References
    ----------
    Meroli, Passeri & Servoli 2011, JINST 6, P06013 (most probable charge per micrometre in thin
    silicon).

    Examples
    --------
    >>> import crismis
    >>> from crismis.physics import calibrate_mip
    >>> detector = crismis.Detector("slab", pitch=10.0, thickness=100.0, gain=1.0, readnoise=4.0,
    ...                             diffusion=6.0)
    >>> ccd = crismis.simulate_exposure(detector, 100, particles="muon", n_events=100,
    ...                                 shape=(400, 400), seed=12)
    >>> hits = ccd.truth["deposit"] > 12
    >>> found = crismis.categorize_cosmicrays(ccd, crmask=hits)
    >>> result = calibrate_mip(found, detector=detector, n_simulated=500)
    >>> bool(abs(result.scale - 1) < 4 * result.scale_error)
    True
    """
    images = [ccd] if hasattr(ccd, "events") else list(ccd)
    detector = detector or get_detector(images[0])
    if detector is None or not np.isfinite([detector.pitch, detector.thickness]).all():
        raise ValueError("pitch and thickness of the detector are not known: give detector=")
    if shortest is None:
        shortest = min(detector.thickness / (detector.pitch * max(detector.binning)), 3.0)
    measured = np.concatenate([_charge_per_path(image, detector, shortest) for image in images])
    if len(measured) < 20:
        raise ValueError(f"{len(measured)} straight whole tracks are too few; 20 are needed")
    expected = _expected(detector, particles, shortest, n_simulated, seed)
    density = _Density(np.log(expected))
    shift = density.align(np.log(measured))
    rng = np.random.default_rng(seed)
    shifts = [
        density.align(np.log(rng.choice(measured, len(measured))), start=shift) for _ in range(30)
    ]
    scale = float(np.exp(shift))
    gain = detector.gain / scale
    return MipCalibration(
        scale=scale,
        scale_error=float(np.std(shifts) * scale),
        peak=float(np.exp(density.mode) * scale),
        n_tracks=len(measured),
        gain=float(gain),
    )


def _charge_per_path(ccd, detector, shortest):
    from ..events import EventFlag
    from .tracks import measure_tracks

    events = measure_tracks(ccd, detector=detector).events
    spoiled = EventFlag.EDGE | EventFlag.SATURATED | EventFlag.BESIDE_MASKED | EventFlag.ON_SOURCE
    straight = np.isin(np.asarray(events["category"], str), [Category.TRACK, Category.SPOT])
    ratio = (events["deposited_charge"] / events["path_length"]).to_value(u.electron / u.um)
    use = straight & (events["track_length"].to_value(u.pix) >= shortest) & (ratio > 0)
    use &= (np.asarray(events["flags"], int) & int(spoiled)) == 0
    return ratio[use]


def _expected(detector, particles, shortest, n_simulated, seed):
    from ..events import categorize_cosmicrays
    from ..simulate import simulate_exposure

    readnoise = detector.readnoise if np.isfinite(detector.readnoise) else 5.0
    side = int(np.sqrt(n_simulated) * 40)
    image = simulate_exposure(
        detector,
        1.0,
        particles=particles,
        n_events=n_simulated,
        shape=(side, side),
        readnoise=readnoise,
        gain=1.0,
        unit="electron",
        seed=seed,
    )
    hits = image.truth["deposit"] > max(3 * readnoise, 10.0)
    return _charge_per_path(categorize_cosmicrays(image, crmask=hits), detector, shortest)


class _Density:
    """Smoothed density of log charge per path, on a grid."""

    def __init__(self, logs):
        from scipy import ndimage

        self.step = 0.005
        self.low = logs.min() - 3.0
        counts = np.bincount(((logs - self.low) / self.step).astype(int))
        counts = np.append(counts, np.zeros(int(6.0 / self.step)))
        width = 0.6 * min(logs.std(), 0.4) * len(logs) ** -0.2
        smooth = ndimage.gaussian_filter1d(counts.astype(float), width / self.step)
        self.mode = self.low + (np.argmax(smooth) + 0.5) * self.step
        floor = 0.02 / len(smooth)
        self.log_density = np.log(0.98 * smooth / smooth.sum() + floor)

    def likelihood(self, logs, shift):
        place = (logs - shift - self.low) / self.step - 0.5
        grid = np.arange(len(self.log_density))
        return np.interp(place, grid, self.log_density).sum()

    def align(self, logs, start=None):
        """Return the shift that makes ``logs`` most likely."""
        if start is None:
            coarse = np.arange(-1.5, 1.5, 0.05)
            start = coarse[np.argmax([self.likelihood(logs, s) for s in coarse])]
        fine = start + np.arange(-0.1, 0.1001, 0.004)
        values = [self.likelihood(logs, s) for s in fine]
        curve = np.polynomial.Polynomial.fit(fine - start, values, 4)
        grid = np.linspace(-0.1, 0.1, 401)
        return float(start + grid[np.argmax(curve(grid))])
