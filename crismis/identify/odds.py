# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Shift log odds, and stretch them, as Bayes' theorem asks for when there is more to know."""

import numpy as np

__all__ = ["shift_odds", "stretch_odds"]


def shift_odds(probability, shift):
    """Probabilities whose log odds differ by so much; 0 and 1 stay.

    Parameters
    ----------
    probability : ndarray
    shift : float or ndarray

    Returns
    -------
    ndarray

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.odds import shift_odds
    >>> print(shift_odds(np.array([0, 0.5, 1]), np.log(3)))
    [0.   0.75 1.  ]
    """
    # Each step keeps the order of probabilities, however rounded.
    with np.errstate(divide="ignore", over="ignore"):
        return 1 / (1 + (1 - probability) / (probability * np.exp(np.float32(shift))))


def stretch_odds(probability, factor):
    """Probabilities whose log odds are so many times those of others.

    Parameters
    ----------
    probability : ndarray
    factor : float
        Above 0.

    Returns
    -------
    ndarray

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.identify.odds import stretch_odds
    >>> print(stretch_odds(np.array([0, 0.25, 0.5, 1]), 2))
    [0.  0.1 0.5 1. ]
    """
    with np.errstate(divide="ignore", over="ignore"):
        return 1 / (1 + ((1 - probability) / probability) ** np.float32(factor))
