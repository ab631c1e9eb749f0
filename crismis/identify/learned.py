"""cosmicray_learned: find cosmic-ray hits with the learned judge, as one step of a reduction."""

from dataclasses import replace

import numpy as np

from .fill import filled
from .inputs import EDGE_REACH, finish, prepare
from .masks import dilate
from .provenance import log_step
from .repair import frame_noise, repair_method
from .repair import repair as repair_hits
from .saturation import clipping_level, saturated_sources
from .threads import default_threads, run_tasks

__all__ = ["cosmicray_learned"]

_STRETCH = 2**20  # pixels that a thread looks at
_CLOSE = 0.2
"""Probabilities this close to the threshold are flagged as of low confidence."""


def cosmicray_learned(
    ccd,
    *,
    gain=None,
    readnoise=None,
    threshold=0.5,
    detector=None,
    model=None,
    repair=True,
    grow=0.0,
    mask=None,
    background=None,
    variance=None,
    saturation=None,
    exposure_time=None,
    psf_fwhm=None,
    fit_stars=True,
    hit_fraction=None,
    gain_apply=False,
    n_threads=None,
    add_keyword=True,
):
    """Find the cosmic-ray hits of an image with a learned model, and repair them.

    It takes the place of `ccdproc.cosmicray_lacosmic` in a reduction: unit and dtype of the
    input come back, the input is not modified, nothing but the hits changes.

    Parameters
    ----------
    ccd : `~astropy.nddata.CCDData` or ndarray
        A two-dimensional image in any unit. Masked, NaN and infinite pixels are left as they
        are, never flagged, and do not disturb their neighbours. The result of an earlier run is
        judged as it was before repair.
    gain : float, `~astropy.units.Quantity`, str or `ccdproc.Keyword`, optional
        Electrons per unit of the data if a plain number, or the header keyword that holds it.
        By default the header or the detector tells; data in electrons need none. The gain is
        never applied to the data unless ``gain_apply`` asks for it.
    readnoise : float, `~astropy.units.Quantity`, str or `ccdproc.Keyword`, optional
        Read noise, in electrons if a plain number. By default as for the gain. Where gain
        or read noise remain unknown, the noise is estimated from the image and a warning
        says so.
    threshold : float, optional
        A pixel is a hit if its probability is no less.
    detector : str or `crismis.Detector`, optional
        By default the image's header names it.
    model : str, path-like or `crismis.identify.judge.Judge`, optional
        The model; by default the image chooses among those shipped.
    repair : bool or {"interpolate", "median", "noise"}, optional
        How to replace hits, see `crismis.identify.repair.repair`; `True` means
        ``"interpolate"``, `False` or `None` leaves the data as they are.
    grow : float, optional
        Radius in pixels by which hits are grown.
    mask : ndarray of bool, optional
        Pixels to leave out besides those that the image masks; it does not get into the mask
        of the result.
    background : array, `~astropy.units.Quantity` or `~astropy.nddata.NDData`, optional
        Known background in the unit of the data, such as the sky lines of a spectrum.
    variance : array, `~astropy.units.Quantity` or `~astropy.nddata.NDData`, optional
        Known variance of the noise in the squared unit of the data.
    saturation : float or `~astropy.units.Quantity`, optional
        Level from which on pixels are saturated, in the unit of the data if a plain number.
        By default header, detector and clipped values in the image tell.
    exposure_time : float or `~astropy.units.Quantity`, optional
        Seconds if a plain number; needed for rates such as electron/s without it in the header.
    psf_fwhm : float, optional
        Width of stars in pixels; by default the image tells.
    fit_stars : bool, optional
        Measure the image's own point-spread function, fit its stars, and judge what lies on them by
        what they leave, which finds more hits on stars. It changes nothing where stars do not have
        about one shape all over the image, nor with a model that has not learned of stars; of those
        shipped that for space has.
    hit_fraction : float, optional
        Expected fraction of hit pixels, to which the probabilities are then re-weighted.
    gain_apply : bool, optional
        Return data and uncertainty in electrons.
    n_threads : int, optional
        The result does not depend on it.
    add_keyword : bool, str, `ccdproc.Keyword` or dict, optional
        What to log in the metadata, as for the steps of ccdproc.

    Returns
    -------
    `crismis.CosmicRayCCDData` or tuple of ndarray
        For a CCDData: the data with hits repaired; ``mask`` is the input's mask or hits,
        ``probability`` and ``flags`` are new, the uncertainty at repaired pixels is that of
        the repair. For an array: the repaired array and the mask of hits, which includes the
        input's mask for a `numpy.ma.MaskedArray`.

    Raises
    ------
    TypeError
        If ``ccd`` is neither a CCDData nor an array, or holds no real numbers.
    ValueError
        If the image is not two-dimensional, is empty or has no good pixel, if a shape or unit
        does not fit, if a header keyword is missing, if a rate comes without exposure time,
        or if a number is out of range.
    crismis.ModelError
        If the model cannot be used.

    Warns
    -----
    AstropyUserWarning
        If the noise has to be estimated from the image, or if a gain is given for data that
        are in electrons already.

    See Also
    --------
    crismis.cosmicray_lacosmic : the classical method.
    crismis.categorize_cosmicrays : join the hits to events.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.nddata import CCDData
    >>> from crismis import cosmicray_learned
    >>> image = np.random.default_rng(1).normal(100, 11, (64, 64))
    >>> image[30, 20:26] += 900
    >>> out = cosmicray_learned(CCDData(image, unit="adu"), gain=1.0, readnoise=5.0)
    >>> out.hits[30, 20:26]
    array([ True,  True,  True,  True,  True,  True])
    >>> bool(abs(out.data[30, 22] - 100) < 20), out.unit
    (True, Unit("adu"))
    """
    arguments = {k: v for k, v in locals().items() if k not in ("ccd", "add_keyword")}
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must be a probability above 0, got {threshold}")
    method = repair_method(repair, "interpolate")
    frame = prepare(
        ccd,
        gain=gain,
        readnoise=readnoise,
        detector=detector,
        mask=mask,
        background=background,
        variance=variance,
        saturation=saturation,
        exposure_time=exposure_time,
    )
    if saturation is None:  # a converter may clip below the full well
        clipped = clipping_level(frame.electrons, frame.bad, n_threads=n_threads)
        frame.saturation = min(frame.saturation, clipped)
    probability = _judge(frame, model, n_threads, psf_fwhm, fit_stars, hit_fraction)
    hits = probability >= np.float32(threshold)
    if grow:
        hits = dilate(hits, grow)
        hits &= ~frame.bad
    values = spread = None
    if method is not None:
        noise = frame_noise(frame)
        values, spread = repair_hits(
            frame.electrons, hits, frame.unusable(hits), noise, method, n_threads=n_threads
        )
    out = finish(
        ccd,
        frame,
        hits,
        probability,
        cleaned=values,
        variance=spread,
        low_confidence=_unsure(probability, threshold, n_threads),
        gain_apply=gain_apply,
    )
    card = frame.model or {}
    log_step(
        out,
        "cosmicray_learned",
        frame,
        hits,
        arguments,
        add_keyword,
        CRMETHOD=("learned", "how hits were found"),
        CRMODEL=(card.get("name"), "model that found them"),
        CRMODVER=(card.get("version") or card.get("checksum", "")[:12], "its version"),
        CRTHRESH=(float(threshold), "least probability of a hit"),
        CRREPAIR=(method or "none", "how hits were repaired"),
    )
    return out


def _judge(frame, model, n_threads, psf_fwhm, fit_stars, hit_fraction):
    from .judge import hit_probability

    judged, inside = _widened(frame) if 1 in frame.bad.shape else (frame, ...)
    probability = hit_probability(
        judged,
        model=model,
        psf_fwhm=psf_fwhm,
        fit_stars=fit_stars,
        hit_fraction=hit_fraction,
        n_threads=n_threads,
    )[inside]
    frame.model = judged.model
    if np.isfinite(frame.saturation):
        sources = saturated_sources(frame.electrons, frame.saturation)
        if sources is not None:
            probability[sources] = 0.0
    return probability


def _widened(frame):
    """Put smooth, noisy ground on both sides of a strip one pixel wide, and say where it is."""
    from scipy.ndimage import median_filter

    across = frame.bad.shape.index(1)
    strip = filled(frame.electrons, frame.bad)
    ground = np.repeat(median_filter(strip, 15, mode="nearest"), 2 * EDGE_REACH + 1, across)
    noise = np.sqrt(frame_noise(frame)(ground))
    ground += noise * np.random.default_rng(0).normal(size=ground.shape).astype(np.float32)
    inside = tuple(
        slice(EDGE_REACH, EDGE_REACH + 1) if axis == across else slice(None) for axis in (0, 1)
    )
    ground[inside] = frame.electrons
    bad = np.zeros(ground.shape, bool)
    bad[inside] = frame.bad
    wide = replace(frame, electrons=ground.astype(np.float32), bad=bad)
    wide.background = wide.variance = None
    return wide, inside


def _unsure(probability, threshold, n_threads):
    """Flat indices of the pixels that are close to the threshold."""
    flat = probability.reshape(-1)
    low, high = max(threshold - _CLOSE, 0.0), threshold + _CLOSE

    def find(first):
        candidates = np.flatnonzero(flat[first : first + _STRETCH] > low) + first
        return candidates[flat[candidates] < high]

    found = run_tasks(find, range(0, flat.size, _STRETCH), n_threads or default_threads())
    return np.concatenate(found) if found else np.empty(0, int)
