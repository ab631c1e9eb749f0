# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""One face for every method compared: a function from a frame to a score per pixel.

A method whose package is not installed is left out. Peers get what they ask for: electrons, as
an ``flc`` image has them, sky included. deepCR's model for ACS/WFC was tried with 0, 50 and
150 e- added to the frames (its training images have a sky): the figures move by less than 0.02,
and are best with nothing added. Its other models, and those of Cosmic-CoNN for other
instruments, do worse on nearly all frames; ``everything=True`` has them all.
"""

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import product

import numpy as np
from astropy.nddata import CCDData

__all__ = ["Frame", "as_ccd", "lacosmic_masks", "learned", "noise", "scorers"]

SIGCLIPS = (3.0, 4.5, 6.0, 8.0, 12.0, 20.0, 50.0, 150.0)
OBJLIMS = (1.0, 2.0, 5.0, 10.0, 20.0)


@dataclass(frozen=True)
class Frame:
    """An image with truth: 0 clean, 1 hit, 2 does not count.

    Where gain and read noise are not ``known`` to a user, crismis is given neither, and its
    peers, which cannot do without, the nominal ones.
    """

    name: str
    group: str
    data: np.ndarray
    truth: np.ndarray
    gain: float = 1.0
    readnoise: float = 5.0
    unit: str = "electron"
    known: bool = True


def as_ccd(frame):
    """Return the frame as a user would hold it, without any hint at its instrument."""
    return CCDData(frame.data, unit=frame.unit)


def judged(frame, **options):
    """Return what crismis makes of the frame, with options of `cosmicray_learned`."""
    import crismis

    return crismis.cosmicray_learned(as_ccd(frame), repair=False, **noise(frame), **options)


def learned(frame, **options):
    """Return the probability per pixel from crismis, with options of `cosmicray_learned`."""
    return judged(frame, **options).probability


def noise(frame):
    """Return what a user can tell of the noise as keyword arguments."""
    return {"gain": frame.gain, "readnoise": frame.readnoise} if frame.known else {}


def lacosmic_masks(frame, quick=False):
    """Yield ``(sigclip, objlim), mask`` for the settings that L.A.Cosmic is swept over."""
    from astroscrappy import detect_cosmics

    clips, limits = (SIGCLIPS[1::3], OBJLIMS[1:4:2]) if quick else (SIGCLIPS, OBJLIMS)
    for sigclip, objlim in product(clips, limits):
        mask, _ = detect_cosmics(
            frame.data,
            sigclip=sigclip,
            objlim=objlim,
            gain=frame.gain,
            readnoise=frame.readnoise,
            satlevel=np.inf,
        )
        yield (sigclip, objlim), mask


def scorers(everything=False):
    """Return the installed learned peers: name -> function from a frame to a score."""
    found = {}
    if find_spec("deepCR"):
        for model in ("ACS-WFC", "WFC3-UVIS", "decam")[: 3 if everything else 1]:
            found[f"deepCR {model}"] = lambda frame, model=model: _deepcr(model, frame)
    if find_spec("cosmic_conn"):
        for model in ("ground_imaging", "HST_ACS_WFC")[: 2 if everything else 1]:
            found[f"Cosmic-CoNN {model}"] = lambda frame, model=model: _cosmic_conn(model, frame)
    return found


def _deepcr(model, frame):
    return _load_deepcr(model).clean(
        _electrons(frame), binary=False, segment=frame.data.size > 1100**2, patch=512
    )


def _cosmic_conn(model, frame):
    return _load_cosmic_conn(model).detect_cr(_electrons(frame))


def _electrons(frame):
    return np.asarray(frame.data, dtype=np.float32) * frame.gain


@cache
def _load_deepcr(model):
    from deepCR import deepCR

    return deepCR(mask=model)


@cache
def _load_cosmic_conn(model):
    from cosmic_conn import init_model

    return init_model(model)
