"""cosmicray_lacosmic: the L.A.Cosmic of ccdproc, right also at edges and beside bad pixels."""

import numpy as np

from .fill import filled
from .inputs import finish, judged_data, prepare
from .masks import dilate
from .provenance import log_step
from .repair import frame_noise, repair_method
from .repair import repair as repair_hits

__all__ = ["cosmicray_lacosmic"]

_RIM = 16
"""Within this distance of an edge astroscrappy's answer is not complete and is made anew."""

_CONTEXT = 48
_TILE = 4096
_LARGEST = 8192**2


def cosmicray_lacosmic(
    ccd,
    sigclip=4.5,
    sigfrac=0.3,
    objlim=5.0,
    gain=1.0,
    readnoise=6.5,
    satlevel=65535.0,
    pssl=0.0,
    niter=4,
    sepmed=True,
    cleantype="meanmask",
    fsmode="median",
    psfmodel="gauss",
    psffwhm=2.5,
    psfsize=7,
    psfk=None,
    psfbeta=4.765,
    verbose=False,
    gain_apply=False,
    inbkg=None,
    invar=None,
    *,
    detector=None,
    mask=None,
    exposure_time=None,
    repair=True,
    grow=0.0,
    add_keyword=True,
):
    """Find the cosmic-ray hits of an image with L.A.Cosmic, and repair them.

    The keywords and defaults are those of `ccdproc.cosmicray_lacosmic` 2.5, except that the gain
    is not applied to the data. On finite, unmasked images the mask more than 16 pixels from
    an edge is that of ccdproc, bit for bit (up to 67 million pixels; larger images are judged
    in tiles). Nearer to an edge the image is mirrored; bad pixels are filled from their
    neighbours, so that hits beside them are found.

    Parameters
    ----------
    ccd : `~astropy.nddata.CCDData` or ndarray
        A two-dimensional image in any unit. Masked, NaN and infinite pixels are left as they
        are and never flagged. The result of an earlier run is judged as it was before repair.
    sigclip : float, optional
        Limit of Laplacian to noise.
    sigfrac : float, optional
        Fraction of ``sigclip`` that is enough for neighbours of hits.
    objlim : float, optional
        Least contrast between Laplacian and fine structure.
    gain : float, `~astropy.units.Quantity`, str or `ccdproc.Keyword`, optional
        Electrons per data unit if a plain number, or the header keyword that holds it; `None`
        lets header or detector tell.
    readnoise : float, `~astropy.units.Quantity`, str or `ccdproc.Keyword`, optional
        Read noise, in electrons if a plain number; `None` as for the gain.
    satlevel : float, optional
        Saturation level in electrons.
    pssl : float, optional
        Sky level that was subtracted, in data units (deprecated in ccdproc).
    niter : int, optional
        Number of iterations.
    sepmed : bool, optional
        Use the separable median.
    cleantype : {"meanmask", "medmask", "median", "idw"}, optional
        How astroscrappy repairs hits.
    fsmode : {"median", "convolve"}, optional
        How the fine structure image is made.
    psfmodel : {"gauss", "gaussx", "gaussy", "moffat"}, optional
        Model of the point-spread function for ``fsmode="convolve"``.
    psffwhm : float, optional
        Its width in pixels.
    psfsize : int, optional
        Width of its kernel in pixels, odd.
    psfk : ndarray, optional
        The kernel itself.
    psfbeta : float, optional
        Exponent of the Moffat model.
    verbose : bool, optional
        Print astroscrappy's progress.
    gain_apply : bool, optional
        Return data and uncertainty in electrons.
    inbkg, invar : array, `~astropy.units.Quantity` or `~astropy.nddata.NDData`, optional
        Known background and variance, in the unit of the data and its square.
    detector : str or `crismis.Detector`, optional
        By default the image's header names it.
    mask : ndarray of bool, optional
        Pixels to leave out besides those that the image masks.
    exposure_time : float or `~astropy.units.Quantity`, optional
        Seconds if a plain number; needed for rates without it in the header.
    repair : bool or {"interpolate", "median", "noise"}, optional
        `True` repairs by ``cleantype`` (pixels that only ``grow`` adds are interpolated), a
        name as `crismis.cosmicray_learned` does, `False` or `None` not at all.
    grow : float, optional
        Radius in pixels by which hits are grown.
    add_keyword : bool, str, `ccdproc.Keyword` or dict, optional
        What to log in the metadata, as for the steps of ccdproc.

    Returns
    -------
    `crismis.CosmicRayCCDData` or tuple of ndarray
        As `crismis.cosmicray_learned`, without a probability.

    Raises
    ------
    TypeError
        If ``ccd`` is neither a CCDData nor an array, or holds no real numbers.
    ValueError
        As for `crismis.cosmicray_learned`, and if gain or read noise remain unknown.

    References
    ----------
    van Dokkum 2001, PASP 113, 1420; McCully et al. 2018, astroscrappy,
    https://doi.org/10.5281/zenodo.1482019

    Examples
    --------
    >>> import numpy as np
    >>> from crismis import cosmicray_lacosmic
    >>> image = np.random.default_rng(1).normal(100, 11, (64, 64))
    >>> image[0, 20] += 3000
    >>> cleaned, mask = cosmicray_lacosmic(image, readnoise=5.0)
    >>> bool(mask[0, 20]), bool(cleaned[0, 20] < 130)
    (True, True)
    """
    arguments = {k: v for k, v in locals().items() if k not in ("ccd", "add_keyword")}
    method = repair_method(repair, "cleantype")
    frame = prepare(
        ccd,
        gain=gain,
        readnoise=readnoise,
        detector=detector,
        mask=mask,
        background=inbkg,
        variance=invar,
        exposure_time=exposure_time,
        warn=False,
    )
    if np.isnan(frame.gain) or np.isnan(frame.readnoise):
        raise ValueError(
            "L.A.Cosmic needs gain and readnoise: give numbers, header keywords or detector="
        )
    frame.saturation = float(satlevel)
    options = {
        "sigclip": sigclip,
        "sigfrac": sigfrac,
        "objlim": objlim,
        "readnoise": frame.readnoise,
        "satlevel": satlevel,
        "niter": niter,
        "sepmed": sepmed,
        "cleantype": cleantype,
        "fsmode": fsmode,
        "psfmodel": psfmodel,
        "psffwhm": psffwhm,
        "psfsize": psfsize,
        "psfk": psfk,
        "psfbeta": psfbeta,
        "verbose": verbose,
        "gain": frame.gain,
        "gain_apply": True,
    }
    if pssl != 0.0:
        options["pssl"] = pssl
    planes = {"inbkg": _plane(inbkg, frame.background, frame, 1)}
    planes["invar"] = _plane(invar, frame.variance, frame, 2)
    hits, cleaned = _everywhere(filled(judged_data(ccd), frame.bad), planes, options)
    hits &= ~frame.bad
    found = hits
    if grow:
        hits = dilate(found, grow) & ~frame.bad
    values = variance = None
    if method is not None:
        way = "interpolate" if method == "cleantype" else method
        unusable = frame.unusable(hits)
        values, variance = repair_hits(frame.electrons, hits, unusable, frame_noise(frame), way)
        if method == "cleantype":
            values, variance = _by_cleantype(cleaned, values, variance, found[hits], hits)
    del cleaned
    how = cleantype if method == "cleantype" else method or "none"
    out = finish(ccd, frame, hits, cleaned=values, variance=variance, gain_apply=gain_apply)
    log_step(
        out,
        "cosmicray_lacosmic",
        frame,
        hits,
        arguments,
        add_keyword,
        CRMETHOD=("lacosmic", "how hits were found"),
        CRREPAIR=(
            cleantype if method == "cleantype" else method or "none",
            "how hits were repaired",
        ),
    )
    return out


def _by_cleantype(cleaned, values, variance, found, hits):
    """Take astroscrappy's values where it has any; how far they are off adds to the variance."""
    theirs = np.where(found, cleaned[hits], values)
    return theirs, variance + (theirs - values) ** 2


def _plane(given, scaled, frame, power):
    if scaled is None:
        return None
    if type(given) is np.ndarray and not frame.bad.any():
        return given.astype(np.float32, copy=False)
    return filled(scaled / np.float32(frame.gain**power), frame.bad)


def _everywhere(data, planes, options):
    if min(data.shape) <= 2 * _RIM:
        return _detect(data, planes, options, ((_RIM, _RIM), (_RIM, _RIM)))
    if data.size <= _LARGEST:
        hits, cleaned = _detect(data, planes, options)
    else:
        hits, cleaned = _tiled(data, planes, options)
    for part, pads, target, source in _rims(*data.shape):
        cut = {name: None if p is None else p[part] for name, p in planes.items()}
        rim_hits, rim_cleaned = _detect(data[part], cut, options, pads)
        hits[target] = rim_hits[source]
        cleaned[target] = rim_cleaned[source]
    return hits, cleaned


def _rims(rows, columns):
    """Yield strip, its padding, the rim it decides, and where in the strip that lies."""
    all_, first, last = slice(None), slice(None, _RIM), slice(-_RIM, None)
    both, low, high = (_RIM, _RIM), (_RIM, 0), (0, _RIM)
    for rim, part, pad in (
        (first, slice(None, _CONTEXT), low),
        (last, slice(-min(_CONTEXT, rows), None), high),
    ):
        yield (part, all_), (pad, both), (rim, all_), (rim, all_)
    inner = slice(_RIM, rows - _RIM)
    for rim, part, pad in (
        (first, slice(None, _CONTEXT), low),
        (last, slice(-min(_CONTEXT, columns), None), high),
    ):
        yield (all_, part), (both, pad), (inner, rim), (inner, rim)


def _tiled(data, planes, options):
    hits = np.zeros(data.shape, bool)
    cleaned = np.empty(data.shape, np.float32)
    for top in range(0, data.shape[0], _TILE):
        for left in range(0, data.shape[1], _TILE):
            y0, x0 = max(top - _CONTEXT, 0), max(left - _CONTEXT, 0)
            part = np.s_[y0 : top + _TILE + _CONTEXT, x0 : left + _TILE + _CONTEXT]
            cut = {name: None if p is None else p[part] for name, p in planes.items()}
            tile_hits, tile_cleaned = _detect(data[part], cut, options)
            target = np.s_[top : top + _TILE, left : left + _TILE]
            source = np.s_[top - y0 : top - y0 + _TILE, left - x0 : left - x0 + _TILE]
            hits[target] = tile_hits[source]
            cleaned[target] = tile_cleaned[source]
    return hits, cleaned


def _detect(data, planes, options, pads=None):
    """Run ccdproc's function, mirroring the image at the edges that ``pads`` names."""
    from ccdproc import cosmicray_lacosmic as ccdproc_lacosmic

    if pads is not None:
        data = np.pad(data, pads, mode="symmetric")
        planes = {
            name: None if plane is None else np.pad(plane, pads, mode="symmetric")
            for name, plane in planes.items()
        }
    cleaned, hits = ccdproc_lacosmic(np.ascontiguousarray(data), **planes, **options)
    hits = hits.astype(bool, copy=False)
    if pads is not None:
        inside = tuple(slice(a, n - b) for (a, b), n in zip(pads, data.shape, strict=True))
        hits, cleaned = hits[inside], cleaned[inside]
    return hits, cleaned
