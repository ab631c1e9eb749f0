"""Labelled events for the classifier: simulated particles and artefacts on images of many cameras."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..detectors import Detector
from ..events import Footprints, segment
from ..events.features import describe
from ..events.measure import measure_image
from ..taxonomy import ARTEFACTS, Category

__all__ = ["Camera", "EventSample", "draw_camera", "simulate_events"]

FIELD = 384
SPACING = 32
PARTICLES = {
    "muon": 2.0,
    "muon-upright": 2.0,
    "proton-minimum": 1.0,
    "electron": 3.0,
    "gamma": 2.5,
    "xray": 0.5,
    "alpha": 1.2,
    "stopping-ion": 1.2,
    "iron-minimum": 0.6,
    "helium-minimum": 0.5,
    "spallation": 2.0,
}
"""Shares of kinds of particles: rare ones are drawn far more often than nature does."""

ARTEFACT_SHARE = 0.35
BLEND_SHARE = 0.12


@dataclass(frozen=True)
class Camera:
    """One camera and its exposure, as drawn by `draw_camera`.

    Parameters
    ----------
    detector : Detector
        Pitch, thickness, diffusion, gain, read noise and binning.
    sky : float
        Electrons per pixel.
    seed_level, grow_level : float
        Signal-to-noise ratios of the hysteresis that makes the hits.
    blur : float
        Gaussian blur of the digital image in pixels (demosaicking, compression).
    bits : int
        Bits of the digital numbers, 0 for electrons as floating-point numbers.
    known : bool
        Whether gain, pitch and thickness are told to the classifier.
    """

    detector: Detector
    sky: float
    seed_level: float
    grow_level: float
    blur: float
    bits: int
    known: bool

    @property
    def noise(self):
        """Noise of an empty pixel in electrons."""
        return float(np.hypot(self.detector.readnoise, np.sqrt(self.sky)))


@dataclass(frozen=True)
class EventSample:
    """Descriptions and true categories of events.

    Parameters
    ----------
    features : ndarray of float32, shape (n_events, n_features)
    category : ndarray of str, shape (n_events,)
    n_pixels : ndarray of int, shape (n_events,)
    snr : ndarray of float, shape (n_events,)
        Mean signal-to-noise ratio of the pixels.
    """

    features: np.ndarray
    category: np.ndarray
    n_pixels: np.ndarray
    snr: np.ndarray

    def __len__(self):
        return len(self.category)

    @classmethod
    def join(cls, samples):
        """Put samples one after another."""
        names = ("features", "category", "n_pixels", "snr")
        return cls(*(np.concatenate([getattr(s, name) for s in samples]) for name in names))


def draw_camera(rng):
    """Draw a camera: pitch 7 to 40 um (now and then a phone's), thickness 10 to 300 um."""
    if phone := rng.random() < 0.25:
        pitch, thickness = _log_uniform(rng, 1.0, 3.0), _log_uniform(rng, 2.0, 12.0)
        binning = (1, 1)
    else:
        pitch, thickness = _log_uniform(rng, 7.0, 40.0), _log_uniform(rng, 10.0, 300.0)
        binning = ((1, 1), (1, 1), (2, 2))[rng.integers(3)]
    detector = Detector(
        "drawn",
        pitch=pitch,
        thickness=thickness,
        gain=1.0,
        readnoise=_log_uniform(rng, 2.0, 30.0),
        diffusion=rng.uniform(0.1, 0.7) * pitch,
        binning=binning,
    )
    digital = phone or rng.random() < 0.15
    grow = rng.uniform(2.0, 5.0)
    return Camera(
        detector=detector,
        sky=_log_uniform(rng, 1.0, 2000.0),
        seed_level=grow + rng.uniform(0.5, 5.0),
        grow_level=grow,
        blur=rng.uniform(0.3, 0.8) if digital and rng.random() < 0.7 else 0.0,
        bits=8 if digital else (0, 16)[rng.integers(2)],
        known=not digital and rng.random() < 0.6,
    )


def simulate_events(n_images, *, seed=None, camera=None, particles=None):
    """Simulate labelled events on images of randomly drawn cameras.

    Each image holds particles, pairs of overlapping particles and artefacts on a grid of
    jittered places; hits are found by hysteresis, joined to events and described exactly as
    `~crismis.categorize_cosmicrays` does. An event is labelled by the object that owns most
    of its charge, ``blend`` where a second particle owns a fifth of it.

    Parameters
    ----------
    n_images : int
        Images of 384 x 384 pixels, about 120 events each.
    seed : int or `~numpy.random.Generator`, optional
        Source of all randomness.
    camera : Camera or callable, optional
        One camera for all images, or a function of a generator that draws one.
    particles : mapping, optional
        Shares of the kinds of particles, see `~crismis.simulate.mixture`.

    Returns
    -------
    EventSample
    """
    rng = np.random.default_rng(seed)
    samples = []
    for _ in range(n_images):
        drawn = camera if isinstance(camera, Camera) else (camera or draw_camera)(rng)
        samples.append(_simulate_image(drawn, particles or PARTICLES, rng))
    return EventSample.join(samples)


def _log_uniform(rng, low, high):
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _simulate_image(camera, particles, rng):
    image, owner, names, detected = _paint(camera, particles, rng)
    labels = segment(detected, seed=1.0, grow=1.0)
    found = measure_image(labels, image, image_detector=camera.detector if camera.known else None)
    truth = _true_labels(found.pixels, found.excess, owner, names)
    keep = truth != ""
    columns = found.columns
    return EventSample(
        features=describe(found.pixels, found.excess, columns)[keep],
        category=truth[keep],
        n_pixels=columns["n_pixels"][keep],
        snr=(columns["charge"] / columns["n_pixels"] / np.maximum(columns["noise"], 1e-6))[keep],
    )
