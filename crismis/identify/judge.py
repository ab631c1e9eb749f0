# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Judge every pixel of an image: screen, small network, large network, calibrated probability."""

import functools
import os
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from ..errors import ModelError
from ..network import load_model
from . import _kernels
from .sampling import CONDITIONS, measure_scene, tiles
from .threads import default_threads, run_tasks

__all__ = ["Judge", "choose_model", "hit_probability", "load_judge", "reweight"]

TASK = "identify"
_NEARLY_ONE = np.float32(1 - 2**-23)
_ABOVE_SEA = re.compile(r"\d+ m$")  # "La Silla, 2400 m"


@dataclass(frozen=True)
class Judge:
    """A model that identifies hits.

    Parameters
    ----------
    arrays : dict of str to ndarray
        ``first_*`` and ``*`` weights and biases, and ``table``.
    card : dict
        The model card.

    Examples
    --------
    >>> from crismis.identify.judge import load_judge
    >>> load_judge("space").card["task"]
    'identify'
    """

    arrays: dict
    card: dict

    def network(self, conditions):
        """Return the kernels' form of this model for one image.

        Parameters
        ----------
        conditions : ndarray
            The image-wide inputs; they are folded into the biases.
        """
        a = self.arrays

        def split(weights, bias, inputs):
            folded = bias + conditions @ weights[inputs:]
            return np.ascontiguousarray(weights[:inputs]), folded.astype(np.float32)

        first, first_bias = split(a["first_weights1"], a["first_bias1"], _kernels.INPUTS_FIRST)
        weights, bias = split(a["weights1"], a["bias1"], _kernels.INPUTS)
        refine, refine_bias = split(a["refine_weights1"], a["refine_bias1"], _kernels.INPUTS_REFINE)
        screen = self.card["screen"]
        return _kernels.Network(
            screen["floor_snr"],
            screen["floor_peak"],
            first,
            first_bias,
            np.append(a["first_weights2"][:, 0], a["first_bias2"]).astype(np.float32),
            screen["first_cut"],
            weights,
            bias,
            a["weights2"],
            a["bias2"],
            np.append(a["weights3"][:, 0], a["bias3"]).astype(np.float32),
            refine,
            refine_bias,
            np.append(a["refine_weights2"][:, 0], a["refine_bias2"]).astype(np.float32),
            a["table"],
        )


@functools.lru_cache(maxsize=16)
def _load(path, modified):
    arrays, card = load_model(path, task=TASK)
    wanted = (_kernels.INPUTS + CONDITIONS, _kernels.INPUTS_FIRST + CONDITIONS)
    got = (len(arrays["weights1"]), len(arrays["first_weights1"]))
    if got != wanted:
        raise ModelError(
            f"{path}: the networks take {got} inputs, this crismis offers {wanted}; "
            "train the model anew"
        )
    return Judge(arrays, card)


def load_judge(model):
    """Load an identification model.

    Parameters
    ----------
    model : str or path-like
        Name of a shipped model (``"space"``, ``"spectroscopy"``, ``"ground"``) or path of a
        model file.

    Returns
    -------
    Judge

    Raises
    ------
    ModelError
        If there is no such model, or the file is none.

    Examples
    --------
    >>> from crismis.identify.judge import load_judge
    >>> load_judge("ground").card["name"]
    'ground'
    """
    path = Path(model)
    if path.suffix != ".crm":
        folder = files("crismis").joinpath("models")
        path = Path(str(folder.joinpath(f"identify-{model}.crm")))
        if not path.is_file():
            known = sorted(p.name[9:-4] for p in Path(str(folder)).glob("identify-*.crm"))
            raise ModelError(
                f"no identification model is named {model!r}; shipped are {', '.join(known)}; "
                "give the path of a .crm file for your own"
            )
    elif not path.is_file():
        raise ModelError(f"{path}: there is no such model file")
    return _load(str(path), os.stat(path).st_mtime_ns)


def choose_model(frame, scene):
    """Name the shipped model for an image.

    Parameters
    ----------
    frame : `crismis.identify.inputs.Frame`
        Its detector, where known, tells whether it stands on the ground.
    scene : `crismis.identify.sampling.Scene`
        Tells whether the image looks like a long-slit spectrum.

    Returns
    -------
    str
        ``"spectroscopy"``, ``"ground"`` or ``"space"``.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.inputs import prepare
    >>> from crismis.identify.judge import choose_model
    >>> from crismis.identify.sampling import measure_scene
    >>> image = np.random.default_rng(1).normal(100, 11, (64, 64))
    >>> frame = prepare(image, gain=1.0, readnoise=5.0)
    >>> scene = measure_scene(frame.electrons, frame.bad, frame.gain, frame.readnoise)
    >>> choose_model(frame, scene)
    'space'
    """
    if scene.spectral:
        return "spectroscopy"
    location = getattr(getattr(frame, "detector", None), "location", "")
    return "ground" if _ABOVE_SEA.search(location) else "space"


def hit_probability(frame, *, model=None, psf_fwhm=None, hit_fraction=None, n_threads=None):
    """Probability of every pixel to hold charge of a particle.

    Parameters
    ----------
    frame : `crismis.identify.inputs.Frame`
        A prepared image.
    model : str, path-like or `Judge`, optional
        Which model; by default the image chooses, see `choose_model`.
    psf_fwhm : float, optional
        Width of stars in pixels, where it is known better than the image tells.
    hit_fraction : float, optional
        Expected fraction of hit pixels, to which the probabilities are re-weighted, see
        `reweight`.
    n_threads : int, optional
        See ``crismis.identify.threads.default_threads``. The result is the same for any number.

    Returns
    -------
    ndarray
        float32, shape of the image; 0 where the image is bad.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.inputs import prepare
    >>> from crismis.identify.judge import hit_probability
    >>> image = np.random.default_rng(1).normal(100, 11, (64, 64))
    >>> image[30, 20:26] += 900
    >>> probability = hit_probability(prepare(image, gain=1.0, readnoise=5.0))
    >>> bool((probability[30, 20:26] > 0.5).all())
    True
    """
    n_threads = n_threads or default_threads()
    out = np.zeros(frame.electrons.shape, dtype=np.float32)
    if out.size == 0 or frame.bad.all():
        return out
    scene = measure_scene(
        frame.electrons,
        np.ascontiguousarray(frame.bad),
        frame.gain,
        frame.readnoise,
        background=frame.background,
        variance=frame.variance,
        saturation=frame.saturation,
        psf_fwhm=psf_fwhm,
        n_threads=n_threads,
    )
    if model is None:
        model = choose_model(frame, scene)
    judge = model if isinstance(model, Judge) else load_judge(model)
    frame.model = judge.card
    network = judge.network(scene.conditions)
    judged = tiles(out.shape)
    logits = np.empty_like(out)
    run_tasks(lambda tile: network.judge(scene.image, *tile, logits), judged, n_threads)
    run_tasks(lambda tile: network.refine(scene.image, *tile, logits, out), judged, n_threads)
    if hit_fraction is not None:
        reweight(out, hit_fraction, np.count_nonzero(~frame.bad))
    return out


def reweight(probability, hit_fraction, pixels):
    """Shift the log odds of all pixels, in place, until their mean is an expected fraction.

    The shift is what Bayes' theorem asks for where a frame has more or fewer hits than the judge
    took it to have (Saerens, Latinne & Decaestecker 2002). Odds change by a factor of 20 at most.

    Parameters
    ----------
    probability : ndarray
        float32.
    hit_fraction : float
        Expected fraction of hit pixels, above 0 and below 1.
    pixels : int
        Number of pixels that count.

    Raises
    ------
    ValueError
        If the fraction is none.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.judge import reweight
    >>> probability = np.array([0, 0.5, 0.01], dtype=np.float32)
    >>> reweight(probability, 0.25, 3)
    >>> print(probability.round(2), round(float(probability.mean()), 3))
    [0.   0.72 0.03] 0.25
    """
    from scipy.optimize import brentq
    from scipy.special import expit, logit

    if not 0 < hit_fraction < 1:
        raise ValueError(f"hit_fraction must lie between 0 and 1, got {hit_fraction}")
    judged = probability > 0
    odds = logit(np.minimum(probability[judged], _NEARLY_ONE))
    reach = np.log(20.0)

    def excess(shift):
        return expit(odds + np.float32(shift)).sum(dtype=float) - hit_fraction * pixels

    if excess(-reach) >= 0:
        shift = -reach
    elif excess(reach) <= 0:
        shift = reach
    else:
        shift = brentq(excess, -reach, reach, xtol=1e-4)
    probability[judged] = expit(odds + np.float32(shift))
