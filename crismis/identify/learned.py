"""cosmicray_learned: find cosmic-ray hits with the learned judge, as one step of a reduction."""

import numpy as np

from .inputs import finish, prepare
from .masks import dilate
from .provenance import log_step
from .repair import frame_noise, repair_method
from .repair import repair as repair_hits

__all__ = ["cosmicray_learned"]

_CLOSE = 0.2


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
    gain_apply=False,
    n_threads=None,
    add_keyword=True,
):
    """Find cosmic-ray hits with a learned model, and repair them."""
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must be a probability above 0, got {threshold}")
    method = repair_method(repair, "interpolate")
    arguments = {k: v for k, v in locals().items() if k not in ("ccd", "add_keyword", "method")}
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
    from .judge import hit_probability

    probability = hit_probability(frame, model=model, psf_fwhm=psf_fwhm, n_threads=n_threads)
    hits = probability >= np.float32(threshold)
    if grow:
        hits = dilate(hits, grow)
        hits &= ~frame.bad
    cleaned = spread = None
    if method is not None:
        cleaned, spread = repair_hits(frame.electrons, hits, frame.bad, frame_noise(frame), method)
    out = finish(
        ccd,
        frame,
        hits,
        probability,
        cleaned=cleaned,
        variance=spread,
        low_confidence=_unsure(probability, threshold),
        gain_apply=gain_apply,
    )
    log_step(
        out,
        "cosmicray_learned",
        frame,
        hits,
        arguments,
        add_keyword,
        CRTHRESH=(threshold, "least probability of a hit"),
        CRMETHOD=("learned", "how hits were found"),
        CRREPAIR=(method or "none", "how hits were repaired"),
    )
    return out


def _unsure(probability, threshold):
    candidates = np.flatnonzero(probability > max(threshold - _CLOSE, 0.0))
    return candidates[probability.reshape(-1)[candidates] < threshold + _CLOSE]
