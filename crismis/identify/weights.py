# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""The weights of the large network as the kernels have them: whole numbers, folded and in pairs."""

import functools
from dataclasses import dataclass

import numpy as np

from . import _kernels
from .sampling import CONDITIONS

__all__ = ["LargeNetwork"]

_NEAR, _INNER = 15, 7  # pixels along a side of the windows
_CONTEXT = np.flatnonzero(np.pad(np.zeros((3, 3)), 2, constant_values=1))
_MOST_WEIGHT, _MOST_SUM = 32767, 2.1e9


@dataclass(frozen=True)
class LargeNetwork:
    """The first two layers of the large network, for all images.

    Parameters
    ----------
    filters : ndarray
        Hidden units that are mirrored copies of one another (not, left and right, up and down,
        both), shape ``(n, 4)``.
    even : ndarray
        Hidden units that only see sums over the pixels that turns and reflections swap.
    filter_weights, even_weights : tuple of ndarray
        Of the first layer: int16 weights ``[pair of inputs][unit][2]``, and what one is worth.
    second : tuple of ndarray
        The same of the second layer: weights of filters and of even units, which sum of the even
        units each unit takes, and what one is worth.

    Examples
    --------
    >>> from crismis.identify.judge import load_judge
    >>> from crismis.identify.weights import LargeNetwork
    >>> network = LargeNetwork.pack(load_judge("space").arrays)
    >>> network.filters.shape, network.even.shape
    ((24, 4), (384,))
    """

    filters: np.ndarray
    even: np.ndarray
    filter_weights: tuple
    even_weights: tuple
    second: tuple

    @classmethod
    def pack(cls, arrays):
        """Make it of the arrays of a model.

        Raises
        ------
        ValueError
            If the units do not have the symmetries that training gives them.
        """
        weights, later = arrays["weights1"][:-CONDITIONS], arrays["weights2"]
        means = _ring_means(weights)
        spread = abs(weights - means[_rings()]).max(axis=0)
        is_even = spread <= 1e-5 * abs(weights).max(axis=0)
        filters, even = _mirrored(weights, np.flatnonzero(~is_even)), np.flatnonzero(is_even)
        folded = _folded(weights[:, filters[:, 0]] / _steps()[:, None])
        return cls(
            filters,
            even,
            _in_pairs(_padded(folded, _kernels.FEW_UNITS), 4 * _kernels.LARGEST_INPUT),
            _in_pairs(_padded(_for_copies(means[:, even])), 8 * _kernels.LARGEST_INPUT),
            _second_layer(later[_in_blocks(filters)], _padded(later[even].T).T),
        )

    def first_layer(self, bias):
        """Return what the kernels need of it: number of copies, weights and the units' biases."""
        return (
            self.filters.size,
            *self.filter_weights,
            _padded(bias[self.filters[:, 0]], _kernels.FEW_UNITS),
            *self.even_weights,
            _padded(bias[self.even]),
        )


def _in_blocks(filters):
    """The filters' copies in the order in which the kernels have them."""
    few = _kernels.FEW_UNITS
    blocks = [filters[k : k + few].T.ravel() for k in range(0, len(filters), few)]
    return np.concatenate([np.empty(0, int), *blocks])


@functools.cache
def _rings():
    """For each input of the large network, the ring of inputs that turns and reflections swap."""

    def numbers(half):
        y, x = abs(np.mgrid[-half : half + 1, -half : half + 1])
        far, near = np.maximum(x, y), np.minimum(x, y)
        return far, far * (far + 1) // 2 + near

    window, ratio, (far, context) = numbers(7)[1], numbers(3)[1], numbers(3)
    parts = [window.ravel(), ratio.ravel(), np.zeros(1, int), context[far > 1] - 3]
    starts = np.cumsum([0] + [part.max() + 1 for part in parts[:-1]])
    return np.concatenate([part + start for part, start in zip(parts, starts, strict=True)])


def _ring_means(weights):
    """Mean weight of each ring, shape ``(INPUTS_EVEN, units)``."""
    rings = _rings()
    total = np.zeros((_kernels.INPUTS_EVEN, weights.shape[1]))
    np.add.at(total, rings, weights.astype(float))
    return (total / np.bincount(rings)[:, None]).astype(np.float32)


def _steps():
    """How many steps make up one unit of each input of the large network."""
    steps = np.full(_kernels.INPUTS, _kernels.STEPS_NEAR)
    steps[_NEAR**2 : _NEAR**2 + _INNER**2] = _kernels.STEPS_RATIO
    return steps


def _windows(weights):
    """The square windows of the inputs, shape ``(side, side, units)``, and what is of the pixel."""
    near, ratio, centre, far = np.split(weights, np.cumsum([_NEAR**2, _INNER**2, 1]))
    context = np.zeros((_INNER**2, weights.shape[1]))  # with the boxes in the middle
    context[_CONTEXT] = far
    sides = (_NEAR, near), (_INNER, ratio), (_INNER, context)
    return [part.reshape(side, side, -1) for side, part in sides], centre


def _mirrored(weights, units):
    """Group units by filters: each with its copies mirrored left and right, up and down, and both.

    Raises
    ------
    ValueError
        If one of the copies is missing: training makes all of them.
    """

    def flat(change):
        windows, centre = _windows(weights[:, units])
        return np.concatenate([*(change(w).reshape(-1, len(units)) for w in windows), centre]).T

    there = flat(lambda w: w)
    copies = [flat(lambda w, y=y, x=x: w[::y, ::x]) for y, x in ((1, -1), (-1, 1), (-1, -1))]
    left, filters = list(range(len(units))), []
    while left:
        group = [left.pop(0)]
        for copy in copies:
            far = [abs(there[k] - copy[group[0]]).max() for k in left]
            if not far or min(far) > 1e-4 * abs(there[group[0]]).max():
                raise ValueError("a unit of the large network has no mirrored copy")
            group.append(left.pop(int(np.argmin(far))))
        filters.append(units[group])
    return np.array(filters, dtype=int).reshape(-1, 4)


def _folded(weights):
    """Weights for sums over four mirrored pixels, of each parity; see ``fold`` of the kernels."""
    windows, centre = _windows(weights)

    def quarter(window, rows, columns):
        half = len(window) // 2
        folded = (window[half:] + rows * window[half::-1]) / 2
        folded = (folded[:, half:] + columns * folded[:, half::-1]) / 2
        folded[0] /= 2  # these pixels are their own mirror images
        folded[:, 0] /= 2
        return folded

    parts = []
    for rows, columns in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        near, ratio, context = (quarter(window, rows, columns) for window in windows)
        small = np.concatenate([ratio, context], axis=1)
        parts += [q.reshape(-1, weights.shape[1]) for q in (near, small)]
        parts += [centre / 4 if rows == columns == 1 else 0 * centre, 0 * centre]
    return np.concatenate(parts)


def _for_copies(means):
    """Weights of each ring for the sums over eight copies of its pixels, per step."""
    first, counts = np.unique(_rings(), return_index=True, return_counts=True)[1:]
    return means * (counts / _steps()[first] / 8)[:, None]


def _worth(weights, largest):
    """What one step of each unit's weights is worth.

    They are as large as 16 bits allow, and as 32 do for a unit's sum, whatever the inputs are.
    """
    size = abs(weights)
    worth = np.maximum(size.max(axis=0) / _MOST_WEIGHT, largest * size.sum(axis=0) / _MOST_SUM)
    return np.where(worth > 0, worth, 1.0)


def _whole(weights, worth):
    """Whole numbers in pairs of inputs, ``[pair][unit][2]``."""
    whole = np.rint(weights / worth).astype(np.int16)
    pairs = whole.reshape(len(whole) // 2, 2, whole.shape[1])  # there may be no unit
    return np.ascontiguousarray(pairs.transpose(0, 2, 1))


def _in_pairs(weights, largest):
    """Whole numbers, and what one is worth in each unit."""
    worth = _worth(weights, largest)
    return _whole(weights, worth), worth.astype(np.float32)


def _second_layer(turned, even):
    """Weights of turned and of even units; which sum of the latter each unit takes; their worth.

    The copies of a unit of the second layer see all even units with the same weights.
    """
    shared, which = np.unique(even, axis=1, return_inverse=True)
    which = which.reshape(-1)
    if shared.shape[1] > _kernels.FEW_UNITS:
        raise ValueError(f"{shared.shape[1]} units of the second layer differ in even weights")
    worth = _worth(np.concatenate([turned, even]), _kernels.LARGEST_HIDDEN)
    common = np.zeros(shared.shape[1])
    np.maximum.at(common, which, worth)
    worth = common[which]
    few = _padded(_whole(shared, common).transpose(0, 2, 1), _kernels.FEW_UNITS)
    return (
        _whole(turned, worth),
        np.ascontiguousarray(few.transpose(0, 2, 1)),
        which.astype(np.int32),
        worth.astype(np.float32),
    )


def _padded(array, step=_kernels.HIDDEN_STEP):
    """Fill up the last axis with zeros to what the kernels handle at once."""
    missing = -array.shape[-1] % step
    filled = np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, missing)])
    return np.ascontiguousarray(filled)
