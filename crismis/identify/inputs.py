"""The one door into identification: any image in, electrons and facts out, and back again."""

import warnings
from dataclasses import dataclass, replace
from numbers import Real

import numpy as np
from astropy import units as u
from astropy.nddata import NDData
from astropy.utils.exceptions import AstropyUserWarning

from ..bands import bands
from ..ccddata import CosmicRayCCDData, Flag
from ..detectors import Detector, get_detector
from ..headers import Facts
from .blank import blank_parts
from .masks import dilate

__all__ = ["Frame", "finish", "prepare"]

EDGE_REACH = 7
"""Half-width in pixels of the neighbourhood that a judge looks at; nearer to an edge it is cut."""


@dataclass
class Frame:
    """One image made ready for a judge, with what is known of its noise.

    Parameters
    ----------
    electrons : ndarray of float32
        The image in electrons, 2-D, C-contiguous, native byte order, read-only (it may be
        the caller's own array); in data units where ``gain`` is NaN. Values at bad pixels
        are left as they came.
    bad : ndarray of bool
        Masked, NaN and infinite pixels, but for the hits of earlier runs; and parts of the
        image that hold no data, see `~crismis.identify.blank.blank_parts`.
    gain : float
        Electrons per data unit (exposure time included for rates); NaN when unknown.
    readnoise : float
        Read noise in electrons; NaN when unknown.
    saturation : float
        Saturation level on the scale of ``electrons``; infinity when unknown.
    background, variance : ndarray of float32 or None
        Known background and noise variance on the scale of ``electrons``.
    detector : `crismis.Detector` or None
    facts : `crismis.headers.Facts` or None
    exposure_time : float
        Seconds; NaN when unknown.
    unit : `~astropy.units.UnitBase` or None
        Unit of the input.
    model : dict or None
        Card of the model that judged the frame.
    earlier : ndarray of bool or None
        Hits of earlier runs; ``electrons`` has them as they were before repair.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.inputs import prepare
    >>> image = np.full((32, 32), 50.0)
    >>> image[3, 4] = np.nan
    >>> frame = prepare(image, gain=2.0, readnoise=4.0)
    >>> bool(frame.bad[3, 4]), int(frame.bad.sum())
    (True, 1)
    """

    electrons: np.ndarray
    bad: np.ndarray
    gain: float = np.nan
    readnoise: float = np.nan
    saturation: float = np.inf
    background: np.ndarray | None = None
    variance: np.ndarray | None = None
    detector: Detector | None = None
    facts: Facts | None = None
    exposure_time: float = np.nan
    unit: u.UnitBase | None = None
    model: dict | None = None
    earlier: np.ndarray | None = None

    @property
    def scale(self):
        """Factor from data units to the scale of ``electrons``."""
        return 1.0 if np.isnan(self.gain) else self.gain

    def unusable(self, hits):
        """Return which pixels must not lend their values to repair, besides the hits."""
        return self.bad if self.earlier is None else self.bad | (self.earlier & ~hits)


def prepare(
    image,
    *,
    gain=None,
    readnoise=None,
    detector=None,
    mask=None,
    background=None,
    variance=None,
    saturation=None,
    exposure_time=None,
    warn=True,
):
    """Turn any image into a `Frame`.

    Parameters
    ----------
    image : `~astropy.nddata.NDData`, `~astropy.units.Quantity` or ndarray
        A two-dimensional image of real numbers; never modified. Of a `crismis.CosmicRayCCDData`
        the hits of earlier runs are taken as they were before repair, so that a step that is run
        again finds what it found.
    gain : float, `~astropy.units.Quantity`, str or `~ccdproc.Keyword`, optional
        Electrons per data unit if a plain number, or the header keyword that holds it.
        By default the header or the detector tells, and data in electrons need none.
    readnoise : float, `~astropy.units.Quantity`, str or `~ccdproc.Keyword`, optional
        Electrons if a plain number.
    detector : str or `crismis.Detector`, optional
        By default the image's header names it.
    mask : array of bool, optional
        Pixels to leave out besides those that the image masks.
    background, variance : array, `~astropy.units.Quantity` or NDData, optional
        Known background and variance of the noise, in the unit of the data and its square.
    saturation : float or `~astropy.units.Quantity`, optional
        Level at which pixels saturate, in the unit of the data if a plain number.
    exposure_time : float or `~astropy.units.Quantity`, optional
        Seconds if a plain number; needed for rates (such as electron/s) if the header is silent.
    warn : bool, optional
        Whether to warn where gain or read noise are unknown.

    Returns
    -------
    Frame

    Raises
    ------
    TypeError
        If the image is none of the accepted types or holds no real numbers.
    ValueError
        If the image is not two-dimensional, is empty or wholly masked, or if a unit,
        keyword or shape does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.inputs import prepare
    >>> frame = prepare(np.full((32, 32), 50.0), gain=2.0, readnoise=4.0)
    >>> float(frame.electrons[0, 0]), frame.readnoise
    (100.0, 4.0)
    """
    data = judged_data(image)
    unit, meta = _unit(image), getattr(image, "meta", None)
    facts = None if meta is None else Facts.from_header(meta)
    if facts is not None and not facts.counts:
        facts = replace(facts, gain=None, readnoise=None)  # both are those of counts
    detector = _find_detector(image, detector)
    seconds = _exposure_time(exposure_time, facts)
    gain = _gain(gain, unit, meta, facts, detector, seconds)
    readnoise = _readnoise(readnoise, unit, gain, meta, facts, detector)
    if warn and variance is None and (np.isnan(gain) or np.isnan(readnoise)):
        unknown = [n for n, v in (("gain", gain), ("readnoise", readnoise)) if np.isnan(v)]
        warnings.warn(
            f"{' and '.join(unknown)} of the image: unknown, so its noise is estimated from the "
            f"image itself; give {', '.join(n + '=' for n in unknown)} or detector=",
            AstropyUserWarning,
            stacklevel=3,
        )
    frame = Frame(
        electrons=None,
        bad=None,
        gain=gain,
        readnoise=readnoise,
        detector=detector,
        facts=facts,
        exposure_time=seconds,
        unit=unit,
    )
    frame.electrons = _scaled(data, frame.scale)
    frame.earlier = _earlier_hits(image)
    frame.bad = _bad(frame, image, mask)
    frame.saturation = _saturation(saturation, frame)
    frame.background = _plane("background", background, frame, 1)
    frame.variance = _plane("variance", variance, frame, 2)
    _hide_unknown(frame)
    return frame


def finish(
    image,
    frame,
    hits,
    probability=None,
    *,
    cleaned=None,
    variance=None,
    low_confidence=None,
    gain_apply=False,
):
    """Build what the public functions return, in the unit and dtype of the input.

    Parameters
    ----------
    image : `~astropy.nddata.NDData`, `~astropy.units.Quantity` or ndarray
        The input as it came.
    frame : Frame
        What `prepare` made of it.
    hits : ndarray of bool
        The hit pixels.
    probability : ndarray of float32, optional
        Probability that a pixel was hit.
    cleaned : ndarray, optional
        Replacement values at the hits, in row-major order, on the scale of
        ``frame.electrons``; `None` leaves the data as they are.
    variance : ndarray, optional
        Variance of the replacement values.
    low_confidence : ndarray of int, optional
        Flat indices of the pixels to flag so.
    gain_apply : bool, optional
        Return data and uncertainty in electrons.

    Returns
    -------
    CosmicRayCCDData or tuple of ndarray
        For an array the cleaned array and the mask of hits (for a masked array, joined
        with its mask).

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.inputs import finish, prepare
    >>> image = np.full((32, 32), 50.0)
    >>> hits = np.zeros(image.shape, bool)
    >>> hits[3, 4] = True
    >>> frame = prepare(image, gain=2.0, readnoise=4.0)
    >>> cleaned, mask = finish(image, frame, hits, cleaned=np.array([98.0]))
    >>> float(cleaned[3, 4]), bool(mask[3, 4])
    (49.0, True)
    """
    data = _with_repairs(image, frame, hits, cleaned, gain_apply)
    if not isinstance(image, NDData):
        return _as_array(image, frame, data, hits, gain_apply)
    out = CosmicRayCCDData(
        data,
        unit=u.electron if gain_apply else image.unit,
        mask=_joined_mask(image, hits),
        uncertainty=_uncertainty(image, frame, hits, variance, gain_apply),
        wcs=None if image.wcs is None else image.wcs.deepcopy(),
        meta=image.meta.copy(),
        psf=getattr(image, "psf", None),
        probability=probability,
        flags=_flags(frame, hits, cleaned is not None, low_confidence),
    )
    if isinstance(image, CosmicRayCCDData):
        _keep_earlier(image, out)
    if cleaned is not None or getattr(image, "replaced", None) is not None:
        out.replaced = _replaced(image, out, frame.scale if gain_apply else 1.0)
    return out


def image_data(image):
    """Return the array of an image, or say why it cannot be judged."""
    if isinstance(image, NDData):
        data = image.data
    elif isinstance(image, np.ndarray):
        data = image
    else:
        raise TypeError(
            f"expected a CCDData or a numpy array, got {type(image).__name__}; "
            "open files with crismis.read first"
        )
    data = np.asarray(data)
    if data.dtype.kind not in "fiub":
        raise TypeError(f"the image holds {data.dtype} values; real numbers are needed")
    if data.ndim != 2:
        raise ValueError(
            f"the image has {data.ndim} dimensions (shape {data.shape}); pass one 2-D plane of it"
        )
    if data.size == 0:
        raise ValueError(f"the image is empty (shape {data.shape})")
    return data


def judged_data(image):
    """Return the array of an image, hits being as they were before an earlier run repaired them."""
    data = image_data(image)
    return image.original if isinstance(image, CosmicRayCCDData) else data


def _earlier_hits(image):
    known = isinstance(image, CosmicRayCCDData) and image.flags is not None
    return image.hits if known else None


def _unit(image):
    unit = getattr(image, "unit", None)
    return None if unit is None else u.Unit(unit)


def _find_detector(image, detector):
    if detector is not None:
        return get_detector(detector)
    return get_detector(image) if getattr(image, "meta", None) is not None else None


def _exposure_time(given, facts):
    if given is not None:
        seconds = u.Quantity(given, u.s).value
        if not seconds > 0:
            raise ValueError(f"exposure_time must be positive, got {given}")
        return float(seconds)
    known = None if facts is None else facts.exposure_time
    return float(known) if known and known > 0 else np.nan


def _number_or_keyword(name, value, meta):
    """Follow a header keyword to its value; pass numbers and quantities through."""
    if hasattr(value, "value_from"):
        value = value.name if value.value is None else value.value
    if not isinstance(value, str):
        if isinstance(value, u.Quantity) and value.isscalar:
            return value
        if isinstance(value, Real) or (np.ndim(value) == 0 and np.isrealobj(value)):
            return float(value)
        raise TypeError(f"{name} must be a number, a Quantity or a header keyword, got {value!r}")
    if meta is None or value not in meta:
        raise ValueError(f"{name}={value!r}: the image's header has no such keyword")
    found = meta[value]
    try:
        return float(found)
    except (TypeError, ValueError):
        raise ValueError(f"{name}={value!r}: the header says {found!r}, not a number") from None


_DATA_NUMBERS = (u.adu, u.DN, u.ct, u.dimensionless_unscaled)


def _rate(unit):
    """Take "per second" off a unit of counts; say whether it was there."""
    if unit is None:
        return None, False
    for counted in (u.electron, *_DATA_NUMBERS):
        if unit.is_equivalent(counted / u.s):
            return u.Unit(counted * unit.to(counted / u.s)), True
    return unit, False


def _gain(given, unit, meta, facts, detector, seconds):
    counted, rate = _rate(unit)
    if rate and np.isnan(seconds):
        raise ValueError(
            f"the unit {unit} is a rate, but the exposure time is unknown: pass exposure_time= "
            "or put EXPTIME into the header"
        )
    per_count = seconds if rate else 1.0
    if counted is not None and counted.is_equivalent(u.electron):
        return per_count * counted.to(u.electron) * _gain_of_electrons(given, unit, meta)
    if given is None:
        for source in (facts, detector):
            value = getattr(source, "gain", None)
            if value is not None and value > 0:
                return float(value) * per_count
        return np.nan
    gain = _number_or_keyword("gain", given, meta)
    if isinstance(gain, u.Quantity):
        gain = _gain_value(gain, counted)
    if not (np.isfinite(gain) and gain > 0):
        raise ValueError(f"gain must be positive, got {given!r}")
    return float(gain) * per_count


def gain_of_data_number(frame):
    """Return the electrons per data number of a frame, NaN where it has no data numbers."""
    counted, rate = _rate(frame.unit)
    if counted is not None and counted.is_equivalent(u.electron):
        return np.nan
    return frame.gain / frame.exposure_time if rate else frame.gain


def _gain_value(gain, counted):
    same = _DATA_NUMBERS if counted is None or counted in _DATA_NUMBERS else (counted,)
    for per in (*(u.electron / x for x in same), u.dimensionless_unscaled):
        if gain.unit.is_equivalent(per):
            return gain.to_value(per)
    raise ValueError(
        f"gain is in {gain.unit}, which does not turn {counted or 'plain numbers'} into electrons; "
        "a plain number means electrons per data unit"
    )


def _gain_of_electrons(given, unit, meta):
    if given is None:
        return 1.0
    gain = _number_or_keyword("gain", given, meta)
    if isinstance(gain, u.Quantity):
        if not gain.unit.is_equivalent(u.one) and gain.value != 1.0:
            raise ValueError(f"gain is {gain}, but the image is in {unit} already; leave gain out")
        gain = gain.value
    if not (np.isfinite(gain) and gain > 0):
        raise ValueError(f"gain must be positive, got {given!r}")
    if gain != 1.0:
        warnings.warn(
            f"the image is in {unit} already, yet gain={given!r} is given: it is taken as "
            "electrons per data unit; leave gain out to judge the image as it is",
            AstropyUserWarning,
            stacklevel=5,
        )
    return gain


def _readnoise(given, unit, gain, meta, facts, detector):
    if given is None:
        for source in (facts, detector):
            value = getattr(source, "readnoise", None)
            if value is not None and value >= 0:
                return float(value)
        return np.nan
    noise = _number_or_keyword("readnoise", given, meta)
    if isinstance(noise, u.Quantity):
        if noise.unit.is_equivalent(u.electron):
            noise = noise.to_value(u.electron)
        elif unit is not None and noise.unit.is_equivalent(unit) and not np.isnan(gain):
            noise = noise.to_value(unit) * gain
        else:
            raise ValueError(
                f"readnoise is in {noise.unit}; electrons or, with a known gain, "
                f"{unit or 'plain numbers'} are wanted"
            )
    if not (np.isfinite(noise) and noise >= 0):
        raise ValueError(f"readnoise must not be negative, got {given!r}")
    return float(noise)


def _scaled(data, scale):
    with np.errstate(over="ignore", invalid="ignore"):
        if scale == 1.0:
            electrons = np.ascontiguousarray(data, dtype=np.float32)
        else:
            electrons = np.empty(data.shape, np.float32)
            np.multiply(data, np.float32(scale), out=electrons, casting="unsafe")
    electrons = electrons.view()
    electrons.flags.writeable = False
    return electrons


def _bad(frame, image, mask):
    bad = np.isfinite(frame.electrons)
    np.logical_not(bad, out=bad)
    if frame.detector is not None and frame.detector.overscan:
        bad |= ~frame.detector.live(bad.shape)
    masks = ("the image's mask", _own_mask(image), frame.earlier), ("mask", mask, None)
    for name, extra, excepted in masks:
        if extra is None:
            continue
        extra = np.asarray(extra, dtype=bool)
        if extra.shape not in ((), bad.shape):
            raise ValueError(f"{name} has shape {extra.shape}, but the image has shape {bad.shape}")
        bad |= extra if excepted is None else extra & ~excepted
    blank = blank_parts(frame.electrons)
    if blank is not None:
        bad |= blank
    if bad.all():
        raise ValueError("every pixel is masked or not finite: nothing is left to judge")
    return bad


def _own_mask(image):
    mask = getattr(image, "mask", None)
    return None if mask is np.ma.nomask else mask


def _saturation(given, frame):
    if given is not None:
        if isinstance(given, u.Quantity):
            if given.unit.is_equivalent(u.electron) and not np.isnan(frame.gain):
                return float(given.to_value(u.electron))
            given = given.to_value(frame.unit or u.dimensionless_unscaled)
        if not given > 0:
            raise ValueError(f"saturation must be positive, got {given}")
        return float(given) * frame.scale
    if frame.facts is not None and frame.facts.saturation is not None:
        return float(frame.facts.saturation) * frame.scale
    well = np.nan if frame.detector is None else frame.detector.full_well
    return float(well) if well > 0 and not np.isnan(frame.gain) else np.inf


def _plane(name, value, frame, power):
    if value is None:
        return None
    unit = _unit(value)
    wanted = None if frame.unit is None else frame.unit**power
    array = np.asarray(getattr(value, "data", value) if isinstance(value, NDData) else value)
    if isinstance(value, u.Quantity):
        array = value.value
    if array.shape != frame.electrons.shape:
        raise ValueError(
            f"{name} has shape {array.shape}, but the image has shape {frame.electrons.shape}"
        )
    factor = frame.scale**power
    if unit is not None and wanted is not None and unit != wanted:
        if unit.is_equivalent(u.electron**power) and not np.isnan(frame.gain):
            factor = unit.to(u.electron**power)
        elif unit.is_equivalent(wanted):
            factor *= unit.to(wanted)
        else:
            raise ValueError(f"{name} is in {unit}; {wanted} is wanted")
    return np.multiply(array, np.float32(factor), dtype=np.float32, casting="unsafe")


def _hide_unknown(frame):
    """Count pixels whose background or variance is not a finite number among the bad ones."""
    for plane in (frame.background, frame.variance):
        if plane is not None:
            unknown = ~np.isfinite(plane)
            frame.bad |= unknown
            plane[unknown] = np.median(plane[~unknown])


def _with_repairs(image, frame, hits, cleaned, gain_apply):
    original = image_data(image)
    if gain_apply:
        scaled = frame.electrons if frame.earlier is None else _scaled(original, frame.scale)
        data = scaled.astype(original.dtype if original.dtype.kind == "f" else np.float32)
    else:
        data = original.astype(original.dtype.newbyteorder("="), order="C")
    if cleaned is not None:
        values = cleaned if gain_apply else cleaned / frame.scale
        if data.dtype.kind in "iub":
            limits = (False, True) if data.dtype.kind == "b" else _limits(data.dtype)
            values = np.clip(np.rint(values), *limits)
        data[hits] = values
    return data


def _limits(dtype):
    return np.iinfo(dtype).min, np.iinfo(dtype).max


def _as_array(image, frame, data, hits, gain_apply):
    if isinstance(image, np.ma.MaskedArray):
        data = np.ma.MaskedArray(data, mask=np.ma.getmaskarray(image).copy())
        return data, hits | np.ma.getmaskarray(image)
    if isinstance(image, u.Quantity):
        return u.Quantity(data, u.electron if gain_apply else image.unit, copy=False), hits
    return data, hits


def _joined_mask(image, hits):
    own = _own_mask(image)
    return hits if own is None else hits | np.asarray(own, dtype=bool)


def _uncertainty(image, frame, hits, variance, gain_apply):
    if image.uncertainty is None:
        return None
    kind = type(image.uncertainty)
    array = np.array(image.uncertainty.array)
    factor = frame.scale if gain_apply else 1.0
    powers = {"std": 1, "var": 2, "ivar": -2}
    power = powers.get(image.uncertainty.uncertainty_type)
    if power is None:
        return kind(array)
    if factor != 1.0:
        array *= factor**power
    if variance is not None:
        array[hits] = (variance * (1.0 if gain_apply else frame.scale**-2)) ** (power / 2)
    return kind(array)


def _flags(frame, hits, repaired, low_confidence):
    flag = np.uint8(Flag.HIT | Flag.REPAIRED if repaired else Flag.HIT)
    flags = hits.view(np.uint8) * flag  # faster than indices are
    _flag_edges(flags, frame.bad)
    if np.isfinite(frame.saturation):
        for first, last in bands(len(flags)):
            full = frame.electrons[first:last] >= np.float32(frame.saturation)
            flags[first:last][full] |= np.uint8(Flag.SATURATED)
    if low_confidence is not None:
        flags.reshape(-1)[low_confidence] |= np.uint8(Flag.LOW_CONFIDENCE)
    return flags


def _flag_edges(flags, bad):
    reach, edge = EDGE_REACH, np.uint8(Flag.EDGE)
    if bad.any():
        flags[dilate(bad, reach, square=True)] |= edge
    for lines in (flags, flags.T):
        lines[:reach] |= edge
        lines[-reach:] |= edge


def _replaced(image, out, factor):
    original = image.original if isinstance(image, CosmicRayCCDData) else image.data
    values = out._at_repaired(original)
    return values.astype(out.data.dtype) if factor == 1.0 else values * out.data.dtype.type(factor)


def _keep_earlier(image, out):
    if image.flags is not None:
        out.flags |= image.flags
    if image.probability is not None and out.probability is not None:
        np.fmax(out.probability, image.probability, out=out.probability)
    out.truth = image.truth
