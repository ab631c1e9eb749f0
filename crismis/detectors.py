"""Facts about detectors, every value with its source, and how an image names its detector."""

import math
import re
import tomllib
from dataclasses import dataclass, field, fields, replace
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np

__all__ = ["Detector", "electrons_per_unit", "get_detector", "list_detectors", "load_detectors"]

_USER = {}
_KINDS = ("CCD", "CMOS", "vidicon")
_SECTION = re.compile(r"\[(\d+):(\d+),(\d+):(\d+)\]")


@dataclass(frozen=True)
class Detector:
    """What is known of a detector; unknown numbers are NaN, never guesses.

    Parameters
    ----------
    name : str
        Name under which `get_detector` finds it; goes into header keyword ``CRDETEC``.
    pitch : float
        Unbinned pixel pitch in micrometres.
    thickness : float
        Thickness of the charge-collecting silicon in micrometres.
    shape : tuple of int
        Unbinned light-sensitive format, (rows, columns).
    gain : float
        Electrons per data number.
    readnoise : float
        Read noise in electrons.
    full_well : float
        Full well in electrons.
    temperature : float
        Operating temperature in kelvin.
    diffusion : float
        Lateral charge diffusion (rms, micrometres) of charge made at the far side.
    readout_wait : float
        Mean time in seconds that a pixel keeps gathering hits beyond the exposure
        (readout, storage, flush).
    hit_rate : float
        Typical cosmic-ray rate in hits per cm2 per second.
    binning : tuple of int
        Binning of this image, (rows, columns).
    raw_shape : tuple of int
        Format of a raw image, overscan included, (rows, columns).
    overscan : tuple of str
        FITS-convention sections of a raw image without light-sensitive pixels.
    kind : str
        ``"CCD"``, ``"CMOS"`` or ``"vidicon"`` (which has no silicon to gather hits).
    location : str
        Where it flies or stands.
    launch : str
        ISO date of launch or first light.
    match : tuple of dict
        Ways to recognize this detector: header keywords and their values, or lists of
        alternative values. The most specific way that applies counts.
    sources : dict
        Field name -> handbook or paper of its value.

    Examples
    --------
    >>> from crismis import Detector
    >>> camera = Detector("Mine", pitch=15.0, thickness=12.0, gain=1.5, readnoise=4.0)
    >>> binned = camera.evolve(binning=(2, 2))
    >>> binned.binning, binned.gain
    ((2, 2), 1.5)
    """

    name: str
    pitch: float = math.nan
    thickness: float = math.nan
    shape: tuple = ()
    gain: float = math.nan
    readnoise: float = math.nan
    full_well: float = math.nan
    temperature: float = math.nan
    diffusion: float = math.nan
    readout_wait: float = math.nan
    hit_rate: float = math.nan
    binning: tuple = (1, 1)
    location: str = ""
    launch: str = ""
    raw_shape: tuple = ()
    overscan: tuple = ()
    kind: str = "CCD"
    match: tuple = field(default=(), hash=False)
    sources: dict = field(default_factory=dict, hash=False)

    def __post_init__(self):
        for name in ("pitch", "thickness", "gain", "full_well", "temperature"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("readnoise", "diffusion", "readout_wait", "hit_rate"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.kind not in _KINDS:
            raise ValueError(f"kind must be one of {', '.join(_KINDS)}, got {self.kind!r}")

    def evolve(self, **changes):
        """Return a copy with some facts replaced."""
        return replace(self, **changes)

    @property
    def pixel_area(self):
        """Area of one binned pixel in cm2."""
        return self.pitch**2 * self.binning[0] * self.binning[1] * 1e-8

    def live(self, shape):
        """Return the pixels that are sensitive to light in an image of this shape.

        Parameters
        ----------
        shape : tuple of int
            Shape of the image, (rows, columns).

        Returns
        -------
        ndarray of bool
            False in the overscan if the image is a raw one; all true for other shapes,
            whose overscan is gone.
        """
        live = np.ones(shape, bool)
        binned = tuple(-(-n // b) for n, b in zip(self.raw_shape, self.binning, strict=False))
        if tuple(shape) != binned:
            return live
        rows, columns = self.binning
        for section in self.overscan:
            left, right, bottom, top = map(int, _SECTION.fullmatch(section).groups())
            live[
                (bottom - 1) // rows : -(-top // rows), (left - 1) // columns : -(-right // columns)
            ] = False
        return live


def load_detectors(path):
    r"""Read detectors from a TOML file and make them known to `get_detector`.

    Parameters
    ----------
    path : path-like
        One table per detector, keys as the parameters of `Detector`.

    Returns
    -------
    list of Detector

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from crismis import get_detector
    >>> from crismis.detectors import load_detectors
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "mine.toml"
    >>> _ = path.write_text("[Backyard]\npitch = 9.0\ngain = 1.2\n")
    >>> [camera] = load_detectors(path)
    >>> get_detector("Backyard") == camera
    True
    """
    detectors = _parse(Path(path).read_text(encoding="utf-8"), str(path))
    _USER.update(detectors)
    return list(detectors.values())


def list_detectors():
    """Return every known detector, the user's own included.

    Examples
    --------
    >>> from crismis.detectors import list_detectors
    >>> [d.name for d in list_detectors() if d.name.startswith("SOHO")]
    ['SOHO/LASCO/C2', 'SOHO/LASCO/C3', 'SOHO/EIT']
    """
    return list((_shipped() | _USER).values())


def get_detector(name_or_ccd):
    """Find a detector by name, or the detector of an image by its header.

    Parameters
    ----------
    name_or_ccd : str, `Detector` or `~astropy.nddata.CCDData`
        A name (case does not matter), or an image: its ``CRDETEC`` keyword counts
        first, then the keywords by which the table recognizes an instrument. What the
        header says of gain, read noise, temperature and binning replaces the table's values;
        where it says that values are no counts, gain and read noise are unknown.

    Returns
    -------
    Detector or None
        `None` for an image whose detector is not known.

    Raises
    ------
    KeyError
        If no detector has the given name.

    Examples
    --------
    >>> import crismis
    >>> crismis.get_detector("hst/acs/wfc").pitch
    15.0
    """
    if isinstance(name_or_ccd, Detector):
        return name_or_ccd
    known = _shipped() | _USER
    if isinstance(name_or_ccd, str):
        for name, detector in known.items():
            if name.lower() == name_or_ccd.lower():
                return detector
        raise KeyError(
            f"no detector is named {name_or_ccd!r}; known are {', '.join(sorted(known))}; "
            "add your own with crismis.detectors.load_detectors(TOML file)"
        )
    from .headers import Facts

    facts = Facts.from_header(name_or_ccd.meta)
    named = {name.lower(): detector for name, detector in known.items()}
    detector = named.get((facts.detector or "").lower()) or _recognize(
        name_or_ccd.meta, known.values()
    )
    if detector is None:
        return None
    changes = {
        name: getattr(facts, name)
        for name in ("gain", "readnoise", "temperature", "binning")
        if getattr(facts, name) is not None
    }
    if not facts.counts:
        changes |= {"gain": math.nan, "readnoise": math.nan}
    return detector.evolve(**changes)


def electrons_per_unit(ccd, detector=None):
    """Find what turns the data of an image into electrons.

    Parameters
    ----------
    ccd : `~astropy.nddata.CCDData`
        The image; its unit, exposure time and gain count.
    detector : `Detector`, optional
        Gives the gain where the header does not; otherwise found from the header.

    Returns
    -------
    scale : float
        Electrons per unit of the data, 1 where the gain is not known or the header says that
        the values are not proportional to charge (``CRCOUNTS``).
    unit : `~astropy.units.Unit`
        Electron, or in those cases the data's own unit (dimensionless if that were electron).

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.nddata import CCDData
    >>> from crismis.detectors import electrons_per_unit
    >>> ccd = CCDData(np.ones((4, 4)), unit="adu", meta={"CRGAIN": 2.0})
    >>> electrons_per_unit(ccd)
    (2.0, Unit("electron"))
    """
    from astropy import units as u

    from .headers import Facts

    facts = Facts.from_header(ccd.meta)
    unit, scale = ccd.unit, 1.0
    if not facts.counts:
        return 1.0, u.dimensionless_unscaled if unit == u.electron else unit
    if u.s in unit.bases and facts.exposure_time:
        unit, scale = unit * u.s, facts.exposure_time
    if unit == u.electron:
        return scale, u.electron
    gain = facts.gain
    if gain is None and (detector := detector or get_detector(ccd)) is not None:
        gain = detector.gain
    if unit in (u.adu, u.DN, u.ct) and gain and math.isfinite(gain):
        return scale * gain, u.electron
    return 1.0, ccd.unit


def _recognize(header, detectors):
    ways = ((detector, way) for detector in detectors for way in detector.match)
    fitting = [(d, w) for d, w in ways if all(_says(header, k, v) for k, v in w.items())]
    return max(fitting, key=lambda pair: len(pair[1]), default=(None, None))[0]


def _says(header, keyword, wanted):
    said = str(header.get(keyword, "")).strip().upper()
    return said in {str(w).upper() for w in (wanted if isinstance(wanted, list) else [wanted])}


@cache
def _shipped():
    text = files("crismis").joinpath("data/detectors.toml").read_text(encoding="utf-8")
    return _parse(text, "crismis/data/detectors.toml")


def _parse(text, origin):
    allowed = {f.name for f in fields(Detector)} - {"name"}
    detectors = {}
    for name, table in tomllib.loads(text).items():
        unknown = set(table) - allowed
        if unknown:
            raise ValueError(
                f"{origin}: detector {name!r} has unknown keys {sorted(unknown)}; "
                f"allowed are {sorted(allowed)}"
            )
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
        if isinstance(values.get("match"), dict):
            values["match"] = (values["match"],)
        try:
            detectors[name] = Detector(name=name, **values)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{origin}: detector {name!r}: {error}") from None
    return detectors
