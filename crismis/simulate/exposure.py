"""Exposures: a scene, the particles that hit it, the detector that reads it, and the truth."""

import math

import numpy as np
from astropy import units as u
from astropy.nddata import CCDData

from ..ccddata import CosmicRayCCDData
from ..detectors import get_detector
from ..silicon import pair_energy, repulsion_length
from .charge import Diffusion, bloom, trail_charge
from .events import draw_events
from .transport import Volume

__all__ = ["detector_volume", "inject", "simulate_exposure"]

_MOST_EVENTS = 5_000_000
_LARGEST_IMAGE = 2**31
# Without a published width. Thin devices have a field-free layer about as thick as the depleted
# one, in which charge wanders as far as the layer is thick (Janesick 2001, section 4.4); thick
# ones are depleted through, to about 4 um in 100 um (Holland et al. 2003, figure 12).
_THIN = 30.0
_THIN_SPREAD, _THIN_DEPLETED = 0.7, 0.5
_THICK_SPREAD = 0.0425
_USUAL_TEMPERATURE = 180.0


def detector_volume(detector, *, shape=None, diffusion=None, repulsion=False):
    """Describe a detector's silicon for the transport.

    Parameters
    ----------
    detector : str or `~crismis.Detector`
        Needs pitch and thickness.
    shape : tuple of int, optional
        Pixels (rows, columns) of the image, binned; the detector's by default.
    diffusion : float or Diffusion, optional
        Width of charge clouds from the far side in micrometres, or their law by depth; by
        default the detector's, else 4.25 percent of the thickness, or for devices thinner
        than 30 micrometres 70 percent, half of them field-free.

    repulsion : bool
        Whether dense charge drives itself apart while it drifts. It makes the discs of alphas
        and softens the ends of electron tracks; a device's ``diffusion`` was usually measured
        without telling the two apart.

    Returns
    -------
    Volume

    Raises
    ------
    ValueError
        If the detector's pitch, thickness or format is not known.

    Examples
    --------
    >>> from crismis.simulate import detector_volume
    >>> volume = detector_volume("HST/WFPC2/PC")
    >>> volume.shape, volume.pitch, volume.thickness
    ((800, 800), (15.0, 15.0), 10.0)
    """
    if isinstance(detector, str):
        detector = get_detector(detector)
    for name in ("pitch", "thickness"):
        if math.isnan(getattr(detector, name)):
            raise ValueError(
                f"detector {detector.name!r} has no {name}: give one with "
                f"detector.evolve({name}=...), in micrometres"
            )
    if shape is None:
        shape = tuple(n // b for n, b in zip(detector.shape, detector.binning, strict=False))
    if len(shape) != 2 or min(shape) < 1:
        raise ValueError(
            f"detector {detector.name!r} has no shape: give shape=(rows, columns) in pixels"
        )
    if shape[0] * shape[1] > _LARGEST_IMAGE:
        raise ValueError(f"shape {shape} has more than {_LARGEST_IMAGE} pixels: simulate parts")
    thickness = detector.thickness
    if not isinstance(diffusion, Diffusion):
        far = detector.diffusion if diffusion is None else float(diffusion)
        thin = thickness < _THIN
        if math.isnan(far):
            far = (_THIN_SPREAD if thin else _THICK_SPREAD) * thickness
        depleted = _THIN_DEPLETED * thickness if thin else thickness
        diffusion = Diffusion(far, thickness, depleted)
    pitch = tuple(detector.pitch * b for b in detector.binning)
    temperature = _first(detector.temperature, _USUAL_TEMPERATURE)
    return Volume(
        tuple(shape),
        pitch,
        thickness,
        diffusion,
        pair_energy(detector.temperature),
        repulsion_length(temperature) if repulsion else 0.0,
    )


def simulate_exposure(
    detector,
    exposure,
    *,
    scene=None,
    particles="space-minimum",
    rate=None,
    n_events=None,
    seed=None,
    shape=None,
    diffusion=None,
    repulsion=False,
    gain=None,
    readnoise=None,
    dark_current=0.0,
    bias=0.0,
    trail=None,
    unit="adu",
    visible=None,
):
    """Simulate an exposure whose truth is known.

    Parameters
    ----------
    detector : str or `~crismis.Detector`
        Pitch, thickness, diffusion, gain, read noise, full well and temperature of it.
    exposure : float or `~astropy.units.Quantity`
        Exposure time, in seconds if a plain number.
    scene : ndarray or callable, optional
        Expected electrons per pixel without noise, or a function of ``(shape, rng)`` that
        gives them (`crismis.simulate.scenes`); dark by default.
    particles : str, kind, mapping or sequence
        What flies, see `mixture`.
    rate : float or `~astropy.units.Quantity`, optional
        Events per cm2 and second; the detector's hit rate by default, else 1.
    n_events : int, optional
        Exact number of events instead of a rate.
    seed : int or `~numpy.random.Generator`, optional
        Source of all randomness.
    shape : tuple of int, optional
        Pixels, (rows, columns); the detector's by default.
    diffusion : float or Diffusion, optional
        See `detector_volume`.
    repulsion : bool
        See `detector_volume`.
    gain : float, optional
        Electrons per adu; the detector's by default, else 1.
    readnoise : float, optional
        Electrons; the detector's by default, else 5.
    dark_current : float
        Electrons per pixel and second.
    bias : float or ndarray
        Pedestal or bias pattern in electrons.
    trail : tuple of float, optional
        Charge-transfer loss per transfer and release length in pixels (`trail_charge`).
    unit : {"adu", "electron"}
        Unit of the data.
    visible : float, optional
        Electrons above which a pixel counts as visible for the true category; three times
        the read noise, but at least 10, by default.

    Returns
    -------
    `~crismis.CosmicRayCCDData`
        Data, header keywords of the facts, and ``truth``: ``deposit`` (electrons from
        particles per pixel), ``events`` (one row per event, see `draw_events`, and
        ``blended``: whether its visible pixels touch another event's) and ``pixels`` (each
        event's own electrons: ``label``, ``x``, ``y``, ``charge``, see
        `Footprints.from_table`).

    Raises
    ------
    ValueError
        If a parameter makes no sense, or the events would not fit in memory.

    Examples
    --------
    >>> from crismis import Detector, simulate_exposure
    >>> ccd = Detector("small", pitch=15.0, thickness=14.0, diffusion=4.0, gain=2.0,
    ...                readnoise=5.0, full_well=8e4)
    >>> image = simulate_exposure(ccd, 500.0, shape=(256, 256), seed=3)
    >>> image.unit, image.shape, len(image.truth["events"]) > 20
    (Unit("adu"), (256, 256), True)
    """
    if isinstance(detector, str):
        detector = get_detector(detector)
    time = _plain(exposure, u.s, "exposure")
    if not (time > 0 and math.isfinite(time)):
        raise ValueError(f"exposure must be positive (seconds), got {exposure}")
    if unit not in ("adu", "electron"):
        raise ValueError(f"unit must be 'adu' or 'electron', got {unit!r}")
    rng = np.random.default_rng(seed)
    volume = detector_volume(detector, shape=shape, diffusion=diffusion, repulsion=repulsion)
    shape = volume.shape
    gain = _first(gain, detector.gain, 1.0)
    readnoise = _first(readnoise, detector.readnoise, 5.0)
    if not (gain > 0 and readnoise >= 0 and dark_current >= 0):
        raise ValueError(
            "gain must be positive, readnoise and dark_current not negative; "
            f"got {gain}, {readnoise} and {dark_current}"
        )
    visible = max(3 * readnoise, 10.0) if visible is None else visible
    n = _number_of_events(detector, rate, n_events, time, volume, rng)
    prints, events = draw_events(particles, n, volume, rng, visible=visible)
    events["blended"] = _touching(prints.above(visible), shape)
    deposit = prints.image(shape)
    electrons = _expose(scene, shape, dark_current * time, rng)
    electrons += deposit
    if not math.isnan(detector.full_well):
        electrons = bloom(electrons, detector.full_well)
    if trail is not None:
        electrons = trail_charge(electrons, *trail)
    electrons += np.asarray(bias, dtype=np.float32)
    electrons += rng.standard_normal(shape, dtype=np.float32) * np.float32(readnoise)
    scale = gain if unit == "adu" else 1.0
    image = CosmicRayCCDData(
        electrons / np.float32(scale),
        unit=unit,
        meta=_header(detector, time, gain, readnoise, scale),
    )
    image.truth = {"deposit": deposit, "events": events, "pixels": prints.to_table()}
    return image


def _plain(value, unit, name):
    try:
        return float(u.Quantity(value, unit).value)
    except (TypeError, ValueError, u.UnitConversionError):
        raise ValueError(f"{name} must be a number in {unit}, got {value!r}") from None


def _first(*values):
    return next(v for v in values if v is not None and not math.isnan(v))


def _number_of_events(detector, rate, n_events, time, volume, rng):
    if n_events is not None:
        if rate is not None:
            raise ValueError("give rate or n_events, not both")
        if n_events < 0:
            raise ValueError(f"n_events must not be negative, got {n_events}")
        expected = float(n_events)
    else:
        given = None if rate is None else _plain(rate, u.cm**-2 / u.s, "rate")
        rate = _first(given, detector.hit_rate, 1.0)
        if not (rate >= 0 and math.isfinite(rate)):
            raise ValueError(f"rate must not be negative (per cm2 and second), got {rate}")
        expected = rate * volume.area * time
    if expected > _MOST_EVENTS:
        raise ValueError(
            f"{expected:.3g} events would not fit in memory (at most {_MOST_EVENTS:.0e}): "
            "lower the rate, the exposure or the shape"
        )
    return int(n_events) if n_events is not None else int(rng.poisson(expected))


def _expose(scene, shape, dark, rng):
    """Electrons of the scene and the dark current with their shot noise."""
    expected = scene(shape, rng) if callable(scene) else scene
    expected = 0.0 if expected is None else np.asarray(expected)
    if np.ndim(expected) and expected.shape != shape:
        raise ValueError(f"scene has shape {expected.shape}, but the exposure has {shape}")
    expected = expected + dark
    if not np.all(np.isfinite(expected)) or np.any(expected < 0):
        raise ValueError("scene must be finite and not negative (expected electrons)")
    if not np.any(expected):
        return np.zeros(shape, dtype=np.float32)
    return _poisson(np.broadcast_to(expected, shape), rng)


def _poisson(expected, rng):
    """Poisson noise; where thousands are expected a Gaussian cannot be told from it."""
    noise = rng.standard_normal(expected.shape, dtype=np.float32)
    noisy = (expected + np.sqrt(expected) * noise).astype(np.float32)
    few = expected < 1000
    noisy[few] = rng.poisson(expected[few])
    return np.rint(noisy)


def _header(detector, time, gain, readnoise, scale):
    header = {
        "CRDETEC": detector.name,
        "CRGAIN": gain,
        "CRRDNOIS": readnoise,
        "CREXPTIM": time,
        "EXPTIME": time,
        "CRBIN1": detector.binning[1],
        "CRBIN2": detector.binning[0],
    }
    if not math.isnan(detector.full_well):
        header["CRSATUR"] = detector.full_well / scale
    if not math.isnan(detector.temperature):
        header["CRTEMP"] = detector.temperature
    return header


def _touching(seen, shape):
    """Whether each event's visible pixels share or border (8 neighbours) another event's."""
    from scipy import ndimage

    inside = seen.inside(shape)
    image = np.zeros(shape, dtype=bool)
    image[inside.rows, inside.columns] = True
    labels, n = ndimage.label(image, np.ones((3, 3)))
    island = labels[inside.rows, inside.columns]
    pairs = np.unique(inside.label * (n + 1) + island)
    crowded = np.bincount(pairs % (n + 1), minlength=n + 1) > 1
    touching = np.zeros(len(seen), dtype=bool)
    touching[pairs // (n + 1)] |= crowded[pairs % (n + 1)]
    return touching


def inject(ccd, events, *, positions=None, gain=None, seed=None, oriented=False):
    """Put particle hits into an image.

    Parameters
    ----------
    ccd : `~astropy.nddata.CCDData`
        The image; it is not changed.
    events : Footprints or sequence of ndarray
        Hits in electrons: simulated, or cut from real frames.
    positions : ndarray, optional
        Row and column of each event's bounding box's first pixel, shape (events, 2); by
        default simulated `Footprints` keep their own places and small images are put at
        random places, turned and flipped at random.
    gain : float, optional
        Electrons per data unit; by default the header or detector tells, and 1 for data in
        electrons.
    seed : int or `~numpy.random.Generator`, optional
        Source of the random places and orientations.
    oriented : bool
        Keep the orientation of small images.

    Returns
    -------
    `~crismis.CosmicRayCCDData`
        The image with the hits, at most up to the saturation level of its header, in its
        unit and dtype, and ``truth`` as of `simulate_exposure`.

    Raises
    ------
    ValueError
        If the gain is not known or the positions do not fit the events.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.nddata import CCDData
    >>> from crismis.simulate import inject
    >>> ccd = CCDData(np.zeros((20, 20), dtype=np.float32), unit="electron")
    >>> hit = np.array([[500.0, 400.0, 300.0]])
    >>> image = inject(ccd, [hit], seed=1)
    >>> float(image.data.sum()), len(image.truth["events"])
    (1200.0, 1)
    """
    from astropy.table import QTable

    from .footprints import Footprints

    rng = np.random.default_rng(seed)
    small = not isinstance(events, Footprints)
    if small:
        events = [np.asarray(image) for image in events]
        if not oriented:
            events = [np.rot90(i if rng.random() < 0.5 else i.T, rng.integers(4)) for i in events]
        if positions is None:
            room = [np.maximum(np.subtract(ccd.shape, i.shape), 0) + 1 for i in events]
            positions = rng.integers(0, room) if events else np.empty((0, 2), int)
        events = Footprints.from_images(events)
    if positions is not None:
        positions = np.asarray(positions)
        if positions.shape != (len(events), 2):
            raise ValueError(f"positions must have shape ({len(events)}, 2), got {positions.shape}")
        events = events.shifted(*positions.T)
    inside = events.inside(ccd.shape)
    deposit = inside.image(ccd.shape)
    scale = _gain_of(ccd, gain)
    data = ccd.data + (deposit / scale)
    level = ccd.meta.get("CRSATUR", math.inf)
    data = np.where(deposit > 0, np.minimum(data, np.maximum(level, ccd.data)), ccd.data)
    if np.issubdtype(ccd.data.dtype, np.integer):
        limits = np.iinfo(ccd.data.dtype)
        data = np.clip(np.rint(data), limits.min, limits.max)
    image = CosmicRayCCDData(ccd, copy=True)
    image.data = data.astype(ccd.data.dtype)
    image.truth = {
        "deposit": deposit,
        "events": QTable(
            {
                "label": np.arange(1, len(inside) + 1),
                "charge": inside.total * u.electron,
                "n_pixels": inside.n_pixels,
            }
        ),
        "pixels": inside.to_table(),
    }
    return image


def _gain_of(ccd, gain):
    if gain is not None:
        if not gain > 0:
            raise ValueError(f"gain must be positive (electrons per data unit), got {gain}")
        return float(gain)
    if isinstance(ccd, CCDData) and ccd.unit == u.electron:
        return 1.0
    detector = get_detector(ccd)
    value = ccd.meta.get("CRGAIN", math.nan if detector is None else detector.gain)
    if math.isnan(value):
        raise ValueError("the image's gain is not known: give gain= in electrons per data unit")
    return float(value)
