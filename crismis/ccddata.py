"""CosmicRayCCDData: a CCDData that carries what crismis found in the image."""

import warnings
from copy import deepcopy
from enum import IntFlag
from io import BytesIO

import numpy as np
from astropy import units as u
from astropy.io import fits, registry
from astropy.io.fits.verify import VerifyWarning
from astropy.nddata import CCDData
from astropy.nddata.ccddata import fits_ccddata_reader
from astropy.table import QTable, Table
from astropy.wcs import FITSFixedWarning

from .bands import bands

__all__ = ["CosmicRayCCDData", "Flag"]


class Flag(IntFlag):
    """Bits of `CosmicRayCCDData.flags`.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis import Flag
    >>> flags = np.array([0, Flag.HIT, Flag.HIT | Flag.REPAIRED], np.uint8)
    >>> (flags & Flag.REPAIRED) != 0
    array([False, False,  True])
    """

    HIT = 1
    """A cosmic-ray hit."""
    REPAIRED = 2
    """The value was replaced by an estimate of the undisturbed image."""
    SATURATED = 4
    """At or above the saturation level."""
    LOW_CONFIDENCE = 8
    """The probability is so close to the threshold that the verdict may be wrong."""
    EDGE = 16
    """Within 7 pixels of an edge or a masked pixel: part of the neighbourhood is missing."""


class CosmicRayCCDData(CCDData):
    """A `~astropy.nddata.CCDData` with the planes and tables that crismis adds.

    Slicing and `ccdproc.trim_image` cut the planes, move the events, drop those that
    fall outside and flag those that are cut (``EDGE``); an index that is no plain slice
    drops the events. Arithmetic keeps the planes and events of the left operand.
    ``write`` and ``read`` keep everything in FITS files.

    Parameters
    ----------
    *args, **kwargs
        As for `~astropy.nddata.CCDData`.
    probability : ndarray of float32, optional
        Probability that a pixel was hit, same shape as the data.
    flags : ndarray of uint8, optional
        Bits of `Flag`, same shape as the data.
    segmentation : `~photutils.segmentation.SegmentationImage`, optional
        Label of the event that a pixel belongs to, 0 for none.
    events : `~astropy.table.QTable`, optional
        One row per event.
    replaced : ndarray, optional
        Values that repair replaced, one for each pixel flagged ``REPAIRED`` in row-major
        order, in the unit of the data: with them `original` gives the image before repair,
        which the charge of events is measured on.
    truth : dict, optional
        Simulated exposures only: ``deposit`` (electrons per pixel) and ``events``
        (one row per simulated event).

    Examples
    --------
    >>> import numpy as np
    >>> from crismis import CosmicRayCCDData, Flag
    >>> flags = np.zeros((4, 5), np.uint8)
    >>> flags[1, 2] = Flag.HIT
    >>> ccd = CosmicRayCCDData(np.ones((4, 5)), unit="adu", flags=flags)
    >>> int(ccd.hits.sum()), ccd[1:, 2:].hits.shape
    (1, (3, 3))
    """

    def __init__(
        self,
        *args,
        probability=None,
        flags=None,
        segmentation=None,
        events=None,
        replaced=None,
        truth=None,
        **kwargs,
    ):
        super().__init__(*args, **kwargs)
        source = args[0] if args else kwargs.get("data")
        if isinstance(source, CosmicRayCCDData):
            probability = source.probability if probability is None else probability
            flags = source.flags if flags is None else flags
            segmentation = source.segmentation if segmentation is None else segmentation
            events = source.events if events is None else events
            replaced = source.replaced if replaced is None else replaced
            truth = source.truth if truth is None else truth
        if kwargs.get("copy"):
            probability, flags, segmentation, events, replaced, truth = deepcopy(
                (probability, flags, segmentation, events, replaced, truth)
            )
        self.probability = probability
        self.flags = flags
        self.segmentation = segmentation
        self.events = events
        self.replaced = replaced
        self.truth = truth

    def _plane(self, name, value, dtype):
        if value is None:
            return None
        value = np.asarray(value, dtype=dtype)
        if value.shape != self.data.shape:
            raise ValueError(
                f"{name} has shape {value.shape}, but the data have shape {self.data.shape}"
            )
        return value

    @property
    def probability(self):
        """Probability that a pixel was hit (float32), or `None`."""
        return self._probability

    @probability.setter
    def probability(self, value):
        self._probability = self._plane("probability", value, np.float32)

    @property
    def flags(self):
        """Bits of `Flag` per pixel (uint8), or `None`."""
        return self._flags

    @flags.setter
    def flags(self, value):
        self._flags = self._plane("flags", value, np.uint8)

    @property
    def hits(self):
        """Boolean image of the hits alone, without other masked pixels."""
        if self.flags is None:
            raise ValueError("flags are not set: run cosmicray_learned or cosmicray_lacosmic first")
        return self._flagged(Flag.HIT)

    @property
    def replaced(self):
        """Values before repair of the pixels flagged ``REPAIRED``, row-major, or `None`."""
        return self._replaced

    @replaced.setter
    def replaced(self, values):
        if values is not None:
            values = np.asarray(values)
            count = sum(map(np.count_nonzero, map(self._repaired, self._bands())))
            if values.shape != (count,):
                raise ValueError(
                    f"replaced must hold one value for each of the {count} repaired pixels, "
                    f"got shape {values.shape}"
                )
        self._replaced = values

    @property
    def original(self):
        """The image before repair: a copy of the data with the replaced values put back.

        The data themselves where nothing was replaced.
        """
        if self.replaced is None:
            return self.data
        image = np.array(self.data)
        image[self._repaired()] = self.replaced
        return image

    def _bands(self):
        if np.ndim(self.data) == 0:  # a single pixel
            return [...]
        return [slice(*band) for band in bands(len(self.data))]

    def _repaired(self, rows=...):
        if self.flags is None:
            return np.zeros(self.data[rows].shape, bool)
        return self._flagged(Flag.REPAIRED, rows)

    def _at_repaired(self, image):
        return np.concatenate([image[rows][self._repaired(rows)] for rows in self._bands()])

    def _flagged(self, bit, rows=...):
        # One plane of memory, whatever the image's size.
        chosen = np.asarray(self.flags[rows] & np.uint8(bit))
        return np.not_equal(chosen, 0, out=chosen.view(bool))

    def _slice(self, item):
        kwargs = super()._slice(item)
        window = _window(item, self.data.shape)
        image = kwargs["data"].ndim == 2
        for name in ("probability", "flags"):
            plane = getattr(self, name)
            kwargs[name] = None if plane is None else plane[item]
        if self.replaced is not None:
            kwargs["replaced"] = self.original[item][self._repaired()[item]]
        if self.segmentation is not None and image:
            kwargs["segmentation"] = type(self.segmentation)(self.segmentation.data[item])
        if self.events is not None and window is not None:
            kwargs["events"] = _cut_events(self.events, window)
        if self.truth is not None:
            kwargs["truth"] = {k: self._cut_truth(v, item, window) for k, v in self.truth.items()}
        return kwargs

    def _cut_truth(self, value, item, window):
        if isinstance(value, Table):
            return None if window is None else _cut_events(value, window)
        if getattr(value, "shape", None) == self.data.shape:
            return value[item]
        return value

    def _arithmetic(self, operation, operand, *args, **kwargs):
        result, init = super()._arithmetic(operation, operand, *args, **kwargs)
        if operand is None or np.shape(result) != np.shape(self.data):
            return result, init
        init |= deepcopy(
            {name: getattr(self, name, None) for name in (*_PLANES, "events", "truth")}
        )
        if getattr(self, "replaced", None) is not None:
            init["replaced"] = self._operate_on_replaced(operation, operand)
        return result, init

    def _operate_on_replaced(self, operation, operand):
        other = np.broadcast_to(operand.data, self.data.shape)[self._repaired()]
        unit = operand.unit or u.dimensionless_unscaled
        return operation(self.replaced * self.unit, other * unit).value

    def to_hdu(self, *args, **kwargs):
        """Make an `~astropy.io.fits.HDUList` that holds everything.

        Parameters
        ----------
        *args, **kwargs
            As for `astropy.nddata.CCDData.to_hdu`.

        Returns
        -------
        `~astropy.io.fits.HDUList`
            To what `~astropy.nddata.CCDData` writes (``MASK``, ``UNCERT``) it adds, where
            present, images ``CRPROB``, ``CRFLAGS`` and ``CRSEG``, a list ``CRREPL`` of the
            values that repair replaced, a table ``CREVENTS``, and one ``CRTRUTH`` for each
            item of the truth.
        """
        with warnings.catch_warnings():
            # Keywords of plain dictionaries may be longer than eight characters.
            warnings.filterwarnings("ignore", "Keyword name", VerifyWarning)
            hdus = super().to_hdu(*args, **kwargs)
        for name, value in (
            ("CRPROB", self.probability),
            ("CRFLAGS", self.flags),
            ("CRSEG", None if self.segmentation is None else self.segmentation.data),
            ("CRREPL", self.replaced),
        ):
            if value is not None:
                hdus.append(fits.ImageHDU(value, name=name))
        if self.events is not None:
            hdus.append(_table_to_hdu(self.events, "CREVENTS"))
        for version, (key, value) in enumerate((self.truth or {}).items(), 1):
            hdus.append(_truth_to_hdu(key, value, version))
        return hdus


_PLANES = ("probability", "flags", "segmentation")


def _read_fits(filename, **kwargs):
    """Read what `CosmicRayCCDData.write` wrote; any FITS image that CCDData reads will do."""
    opened = hasattr(filename, "read")
    if opened and isinstance(getattr(filename, "name", None), str):
        filename, opened = filename.name, False
    content = filename.read() if opened else None
    with warnings.catch_warnings():
        # The WCS derives MJD-OBS from DATE-OBS for itself and says so.
        warnings.filterwarnings("ignore", "'datfix'", FITSFixedWarning)
        found = fits_ccddata_reader(BytesIO(content) if opened else filename, **kwargs)
    ccd = CosmicRayCCDData(found)
    with fits.open(BytesIO(content) if opened else filename) as hdus:
        truth = {}
        for hdu in hdus:
            if hdu.name == "CRPROB":
                ccd.probability = hdu.data
            elif hdu.name == "CRFLAGS":
                ccd.flags = hdu.data
            elif hdu.name == "CRSEG":
                ccd.segmentation = _segmentation(hdu.data)
            elif hdu.name == "CREVENTS":
                ccd.events = _table_from_hdu(hdu)
            elif hdu.name == "CRTRUTH":
                truth[hdu.header["CRKEY"]] = _truth_from_hdu(hdu)
        if "CRREPL" in hdus:
            ccd.replaced = _native(hdus["CRREPL"].data)
    ccd.truth = truth or None
    return ccd


def _native(array):
    return np.array(array, dtype=array.dtype.newbyteorder("="))


def _segmentation(labels):
    from photutils.segmentation import SegmentationImage

    return SegmentationImage(_native(labels))


def _truth_to_hdu(key, value, version):
    if isinstance(value, Table):
        hdu = _table_to_hdu(value, "CRTRUTH")
    else:
        value = np.asarray(value)
        hdu = fits.ImageHDU(np.atleast_1d(value), name="CRTRUTH")
        hdu.header["CRSCALAR"] = value.ndim == 0
    hdu.ver = version
    hdu.header["CRKEY"] = key
    return hdu


def _truth_from_hdu(hdu):
    if isinstance(hdu, fits.BinTableHDU):
        return _table_from_hdu(hdu)
    value = _native(hdu.data)
    return value[0].item() if hdu.header["CRSCALAR"] else value


def _table_to_hdu(table, name):
    """Write units as plain text: ``electron`` and ``DN`` are no FITS units, yet must survive."""
    bare = Table(table, copy=True)
    bare.meta.clear()
    units = [bare[column].unit for column in bare.colnames]
    for column in bare.itercols():
        column.unit = None
    hdu = fits.table_to_hdu(bare)
    hdu.name = name
    for number, unit in enumerate(units, 1):
        if unit is not None:
            hdu.header[f"TUNIT{number}"] = unit.to_string()
    return hdu


def _table_from_hdu(hdu):
    header = hdu.header.copy()
    units = {header[f"TTYPE{n}"]: header.get(f"TUNIT{n}") for n in range(1, header["TFIELDS"] + 1)}
    for number in range(1, len(units) + 1):
        hdu.header.remove(f"TUNIT{number}", ignore_missing=True)
        hdu.columns[number - 1].unit = None
    table = Table.read(hdu, mask_invalid=False, character_as_bytes=False)
    for column in table.colnames:
        kind = table[column].dtype
        if kind.byteorder not in "=|":
            table[column] = table[column].astype(kind.newbyteorder("="))
        if units[column] is not None:
            table[column].unit = u.Unit(units[column])
    table.meta.clear()
    return QTable(table)


def _window(item, shape):
    """Return (top, left, rows, columns) of a plain 2-D slice, `None` for other indices."""
    item = item if isinstance(item, tuple) else (item,)
    if len(shape) != 2 or len(item) > 2 or not all(isinstance(i, slice) for i in item):
        return None
    bounds = [i.indices(n) for i, n in zip((*item, slice(None)), shape, strict=False)]
    if any(step != 1 for _, _, step in bounds):
        return None
    (top, bottom, _), (left, right, _) = bounds
    return top, left, max(bottom - top, 0), max(right - left, 0)


def _cut_events(events, window):
    """Move events into a window, drop those outside, flag those that it cuts."""
    top, left, rows, columns = window
    out = events.copy()
    for name in out.colnames:
        if out[name].dtype.kind not in "iuf":
            continue
        shift = left if _is_position(name, "x") else top if _is_position(name, "y") else 0
        if shift:
            out[name] = out[name] - shift * (getattr(out[name], "unit", None) or 1)
    low, high = _extent(out, "x"), _extent(out, "y")
    if low is None or high is None:
        return out
    (xmin, xmax), (ymin, ymax) = low, high
    keep = (xmax >= 0) & (xmin < columns) & (ymax >= 0) & (ymin < rows)
    cut = (xmin < 0) | (xmax >= columns) | (ymin < 0) | (ymax >= rows)
    if "flags" in out.colnames and out["flags"].dtype.kind in "iu":
        out["flags"][cut] |= out["flags"].dtype.type(Flag.EDGE)
    return out[keep]


def _is_position(name, axis):
    return name == axis or name.startswith((f"{axis}_", f"bbox_{axis}"))


def _extent(events, axis):
    for pair in ((f"bbox_{axis}min", f"bbox_{axis}max"), (f"{axis}_centroid",) * 2, (axis,) * 2):
        if pair[0] in events.colnames:
            return [np.round(u.Quantity(events[name]).value) for name in pair]
    return None


registry.register_reader("fits", CosmicRayCCDData, _read_fits)
registry.register_identifier("fits", CosmicRayCCDData, fits.connect.is_fits)
