# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Quick random particle tracks as charge packets, for training fields by the thousand."""

import numpy as np
from scipy import ndimage

__all__ = ["random_deposit"]


def random_deposit(rng, shape, count, footprints=()):
    """Charge left by random particles in one kind of detector, drawn anew at each call.

    The detector's thickness, diffusion and noise-free charge scale are drawn at random, from
    thin space CCDs to thick ground-based ones. Particles are straight tracks with fluctuating
    energy loss, scattered electrons, compact spots and, where given, real footprints.

    Parameters
    ----------
    rng : `numpy.random.Generator`
    shape : tuple of int
    count : int
        Number of particles.
    footprints : sequence of ndarray
        Real footprints in electrons, used for a random share of the particles.

    Returns
    -------
    ndarray
        Deposit in electrons, float32.
    """
    thickness = np.exp(rng.uniform(np.log(0.4), np.log(12)))  # in pixels
    spread = np.exp(rng.uniform(np.log(0.06), np.log(0.65)))  # at the far side, in pixels
    field_free = rng.uniform() < 0.5
    charge = np.exp(rng.uniform(np.log(250), np.log(2500)))  # electrons per pixel of path
    shares = rng.dirichlet([3, 0.8, 0.6])
    kinds = rng.choice(3, size=count, p=shares)
    use_real = len(footprints) > 0 and rng.uniform() < 0.4
    real = rng.uniform(size=count) < (rng.uniform(0.3, 1.0) if use_real else 0.0)
    deposit = np.zeros(shape, dtype=np.float64)
    rows, columns, weights, depth = [], [], [], []
    for kind in kinds[~real]:
        r, c, z, q = _KINDS[kind](rng, thickness, charge)
        r = r + rng.uniform(-3, shape[0] + 3)
        c = c + rng.uniform(-3, shape[1] + 3)
        rows.append(r)
        columns.append(c)
        depth.append(z)
        weights.append(q)
    if rows:
        rows, columns = np.concatenate(rows), np.concatenate(columns)
        weights, depth = np.concatenate(weights), np.concatenate(depth)
        copies = 8
        sigma = spread * (np.sqrt(np.clip(depth, 0, 1)) if not field_free else 0.3 + 0.7 * depth)
        r = np.repeat(rows, copies) + np.repeat(sigma, copies) * rng.standard_normal(
            rows.size * copies
        )
        c = np.repeat(columns, copies) + np.repeat(sigma, copies) * rng.standard_normal(
            rows.size * copies
        )
        r, c = np.floor(r).astype(np.int64), np.floor(c).astype(np.int64)
        inside = (r >= 0) & (c >= 0) & (r < shape[0]) & (c < shape[1])
        deposit += np.bincount(
            (r * shape[1] + c)[inside],
            np.repeat(weights / copies, copies)[inside],
            minlength=shape[0] * shape[1],
        ).reshape(shape)
        if rng.uniform() < 0.3:
            deposit = _coupled(rng, deposit)
        if rng.uniform() < 0.5:
            deposit = _halo(rng, deposit)
    scale = np.exp(rng.uniform(np.log(0.15), np.log(4)))
    for _ in range(int(real.sum())):
        _add_footprint(rng, deposit, footprints[rng.integers(len(footprints))] * scale)
    deposit[deposit < 0.5] = 0
    return deposit.astype(np.float32)


def _track(rng, thickness, charge):
    tangent = np.sqrt(1 / max(rng.uniform(), 2e-4) - 1)
    angle = rng.uniform(0, 2 * np.pi)
    reach = min(thickness * tangent, 150.0)
    path = np.hypot(reach, min(thickness, reach / tangent if tangent > 0 else thickness))
    n = int(np.clip(path * 12, 6, 4000))
    t = (np.arange(n) + rng.uniform(size=n)) / n
    if rng.uniform() < 0.12:  # stops inside
        t *= rng.uniform(0.2, 1)
    loss = charge * path / n * _straggle(rng, n)
    if rng.uniform() < 0.04:
        loss *= np.exp(rng.uniform(1, 3.5))  # slow or heavy particle
    return t * reach * np.sin(angle), t * reach * np.cos(angle), 1 - t, loss


def _electron(rng, thickness, charge):
    n = int(np.exp(rng.uniform(np.log(8), np.log(700))))
    step = 0.1
    turn = np.exp(rng.uniform(np.log(0.05), np.log(0.45)))
    angle = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, turn, n) * np.linspace(0.4, 1.6, n))
    flat = np.clip(0.5 + np.cumsum(rng.normal(0, 0.12, n)), 0, 1)
    loss = charge * step * _straggle(rng, n) * np.linspace(1, rng.uniform(1, 3), n)
    return (
        np.cumsum(step * np.sin(angle)),
        np.cumsum(step * np.cos(angle)),
        flat,
        loss,
    )


def _spot(rng, thickness, charge):
    n = 40
    total = np.exp(rng.uniform(np.log(80), np.log(6e4)))
    size = np.exp(rng.uniform(np.log(0.02), np.log(0.6)))
    depth = np.full(n, rng.uniform())
    return rng.normal(0, size, n), rng.normal(0, size, n), depth, np.full(n, total / n)


_KINDS = (_track, _electron, _spot)


def _straggle(rng, n):
    """Energy loss of small steps relative to its mean: skewed, with rare large transfers."""
    loss = rng.gamma(0.35, 1 / 0.35, n) * 0.8
    knock_on = rng.uniform(size=n) < 0.012
    return loss + knock_on * np.minimum(rng.pareto(1.1, n) * 1.5, 60)


def _coupled(rng, deposit):
    """Give a small share of each pixel's charge to its neighbours (crosstalk, CTE)."""
    share = np.exp(rng.uniform(np.log(0.002), np.log(0.05)))
    axis = int(rng.integers(2))
    moved = np.roll(deposit, 1, axis) if rng.uniform() < 0.5 else np.roll(deposit, -1, axis)
    if rng.uniform() < 0.5:
        moved = 0.5 * (moved + np.roll(moved, 1, axis))
    return deposit * (1 - share) + share * moved


def _halo(rng, deposit):
    """Spread a small share of the charge widely (deep charge, scattered light, substrate)."""
    share = np.exp(rng.uniform(np.log(0.003), np.log(0.15)))
    width = rng.uniform(0.5, 1.6)
    return deposit * (1 - share) + share * ndimage.gaussian_filter(deposit, width, truncate=5)


def _add_footprint(rng, deposit, stamp):
    stamp = np.rot90(stamp, int(rng.integers(4)))
    if rng.uniform() < 0.5:
        stamp = stamp[:, ::-1]
    if min(stamp.shape) > 3 and rng.uniform() < 0.25:  # as a coarser or binned detector sees it
        even = stamp[: stamp.shape[0] // 2 * 2, : stamp.shape[1] // 2 * 2]
        stamp = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2).sum((1, 3))
    top = int(rng.integers(1 - stamp.shape[0], deposit.shape[0]))
    left = int(rng.integers(1 - stamp.shape[1], deposit.shape[1]))
    r0, c0 = max(top, 0), max(left, 0)
    r1 = min(top + stamp.shape[0], deposit.shape[0])
    c1 = min(left + stamp.shape[1], deposit.shape[1])
    deposit[r0:r1, c0:c1] += np.maximum(stamp[r0 - top : r1 - top, c0 - left : c1 - left], 0)
