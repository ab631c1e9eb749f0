# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Quick random particle tracks as charge packets, for training fields by the thousand."""

import numpy as np
from scipy import ndimage

from ..simulate import Diffusion, Volume, draw_events
from .scenes import add_stamp

__all__ = ["random_deposit"]


def random_deposit(rng, shape, count, footprints=()):
    """Charge left by random particles in one kind of detector, drawn anew at each call.

    Thickness, pitch, diffusion and charge scale are drawn at random, from thin space CCDs to
    thick ground-based ones. The particles come from `crismis.simulate.draw_events`, from a
    quick generator of straight tracks, scattered electrons and spots that knows no physics but
    covers more shapes, or, where given, from real footprints.

    Parameters
    ----------
    rng : `numpy.random.Generator`
    shape : tuple of int
    count : int
        Number of particles.
    footprints : sequence of sequence of ndarray
        Real footprints in electrons by detector; those of one are used for a random share of the
        particles.

    Returns
    -------
    ndarray
        Deposit in electrons, float32.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.learning.particles import random_deposit
    >>> deposit = random_deposit(np.random.default_rng(1), (64, 64), 5)
    >>> deposit.shape, bool(deposit.max() > 0)
    ((64, 64), True)
    """
    use_real = len(footprints) > 0 and rng.uniform() < 0.65
    n_real = rng.binomial(count, rng.uniform(0.3, 1.0)) if use_real else 0
    draw = _simulated if rng.uniform() < 0.55 else _quick
    deposit = draw(rng, shape, count - n_real)
    if rng.uniform() < 0.3:
        deposit = _coupled(rng, deposit)
    if rng.uniform() < 0.5:
        deposit = _halo(rng, deposit)
    scale = np.exp(rng.uniform(np.log(0.15), np.log(4)))
    if n_real:
        of_one = footprints[rng.integers(len(footprints))]
        for _ in range(n_real):
            _add_footprint(rng, deposit, of_one[rng.integers(len(of_one))] * scale)
    deposit[deposit < 0.5] = 0
    return deposit.astype(np.float32)


def _simulated(rng, shape, count):
    """Events of the simulator in silicon of random make."""
    deposit = np.zeros(shape)
    if count == 0:
        return deposit
    pitch = float(rng.choice([5.0, 7.0, 9.0, 10.0, 12.0, 13.0, 13.5, 15.0, 15.0, 21.0, 24.0]))
    thickness = float(np.exp(rng.uniform(np.log(7), np.log(25))))
    if rng.uniform() < 0.3:
        thickness = float(np.exp(rng.uniform(np.log(25), np.log(300))))
    far = pitch * np.exp(rng.uniform(np.log(0.1), np.log(0.7)))
    depleted = thickness * rng.uniform(0.2, 1) if rng.uniform() < 0.5 else np.nan
    pitches = np.array([pitch, pitch])
    if rng.uniform() < 0.15:  # binned along one axis
        pitches[rng.integers(2)] *= 2
    slab = Volume(shape, tuple(pitches), thickness, Diffusion(far, thickness, depleted))
    weights = rng.dirichlet([4, 1, 1, 0.5])
    kinds = ("proton-minimum", "electron", "muon", "helium-minimum")
    particles = dict(zip(kinds, weights, strict=True)) | {"xray": 0.02, "spallation": 0.004}
    if rng.uniform() < 0.3:
        particles["gamma"] = rng.uniform(0.1, 1)
    prints, _ = draw_events(particles, count, slab, rng)
    inside = (prints.rows >= 0) & (prints.rows < shape[0])
    inside &= (prints.columns >= 0) & (prints.columns < shape[1])
    np.add.at(
        deposit, (prints.rows[inside], prints.columns[inside]), prints.charge[inside].astype(float)
    )
    if rng.uniform() < 0.3:
        deposit *= np.exp(rng.uniform(np.log(0.2), 0))  # faint, as seen through losses or gain
    return deposit


def _quick(rng, shape, count):
    thickness = np.exp(rng.uniform(np.log(0.4), np.log(12)))  # in pixels
    spread = np.exp(rng.uniform(np.log(0.06), np.log(0.65)))  # at the far side, in pixels
    field_free = rng.uniform() < 0.5
    charge = np.exp(rng.uniform(np.log(250), np.log(2500)))  # electrons per pixel of path
    kinds = rng.choice(3, size=count, p=rng.dirichlet([3, 0.8, 0.6]))
    if count == 0:
        return np.zeros(shape)
    rows, columns, weights, depth = [], [], [], []
    for kind in kinds:
        r, c, z, q = _KINDS[kind](rng, thickness, charge)
        rows.append(r + rng.uniform(-3, shape[0] + 3))
        columns.append(c + rng.uniform(-3, shape[1] + 3))
        depth.append(z)
        weights.append(q)
    copies = 8
    depth, weights = np.concatenate(depth), np.repeat(np.concatenate(weights) / copies, copies)
    sigma = spread * (0.3 + 0.7 * depth if field_free else np.sqrt(np.clip(depth, 0, 1)))
    sigma = np.repeat(sigma, copies)
    r = np.repeat(np.concatenate(rows), copies) + sigma * rng.standard_normal(sigma.size)
    c = np.repeat(np.concatenate(columns), copies) + sigma * rng.standard_normal(sigma.size)
    r, c = np.floor(r).astype(np.int64), np.floor(c).astype(np.int64)
    inside = (r >= 0) & (c >= 0) & (r < shape[0]) & (c < shape[1])
    return (
        np.bincount((r * shape[1] + c)[inside], weights[inside], minlength=shape[0] * shape[1])
        .reshape(shape)
        .astype(float)
    )


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
    add_stamp(deposit, np.maximum(stamp, 0), top, left)
