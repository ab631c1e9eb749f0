# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Random scenes without hits, of many kinds, and the detector's signature on them."""

from copy import deepcopy

import numpy as np
from scipy import ndimage, signal

from ..simulate import scenes as simulated

__all__ = ["KINDS", "add_stamp", "random_psf", "random_scene"]

PHASES = 8
_BINNED_WIDTHS = (0.6, 1.15)
_CAMERA_WIDTHS = (1.1, 2.5)
_BLUR = 0.5  # pixels (sigma) by which stars at the other end of a field may be wider


def random_psf(rng, real=(), sharp=None):
    """Point-spread function at 8 x 8 sub-pixel phases.

    Parameters
    ----------
    rng : `numpy.random.Generator`
    real : sequence of ndarray
        Measured functions at detector sampling, used for a third of the draws.
    sharp : float, optional
        Full width at half maximum in pixels; drawn from 1.1 to 6 otherwise.

    Returns
    -------
    ndarray
        Shape ``(8, 8, n, n)``, each phase of unit sum.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.learning.scenes import random_psf
    >>> psf = random_psf(np.random.default_rng(1), sharp=2.0)
    >>> psf.shape[:2], bool(np.allclose(psf.sum(axis=(2, 3)), 1, atol=1e-3))
    ((8, 8), True)
    """
    if len(real) and sharp is None and rng.uniform() < 0.33:
        return _phases_of_real(rng, real[rng.integers(len(real))])
    fwhm = sharp or float(np.exp(rng.uniform(np.log(1.1), np.log(6))))
    radius = int(np.clip(np.ceil(fwhm * 9), 10, 42))
    size = (2 * radius + 3) * PHASES
    axis = (np.arange(size) - size // 2 + 0.5) / PHASES
    y, x = np.meshgrid(axis, axis, indexing="ij")
    angle, stretch = rng.uniform(0, np.pi), np.exp(abs(rng.normal(0, 0.08)))
    u = (x * np.cos(angle) + y * np.sin(angle)) * stretch
    v = (y * np.cos(angle) - x * np.sin(angle)) / stretch
    r2 = u**2 + v**2
    # The pixel widens the image; the drawn width is that of the sampled image.
    core = np.sqrt(max(fwhm**2 - 0.7, 0.15))
    beta = rng.choice([2.0, 2.5, 3.0, 4.5, 50.0], p=[0.1, 0.35, 0.2, 0.15, 0.2])
    alpha2 = (core / 2) ** 2 / (2 ** (1 / beta) - 1)
    fine = (1 + r2 / alpha2) ** -beta
    if rng.uniform() < 0.3:
        fine += _spikes(rng, x, y, core)
    if rng.uniform() < 0.25:  # diffraction rings
        r = np.sqrt(r2)
        fine *= 1 + rng.uniform(0.2, 0.9) * np.cos(2 * np.pi * r / (1.2 * core + 0.8)) * (r > core)
    fine = ndimage.uniform_filter(fine, PHASES)
    phases = np.empty((PHASES, PHASES, 2 * radius + 1, 2 * radius + 1))
    for i in range(PHASES):
        for j in range(PHASES):
            cut = fine[2 * PHASES - i :: PHASES, 2 * PHASES - j :: PHASES]
            phases[i, j] = cut[: 2 * radius + 1, : 2 * radius + 1]
    return phases / phases.sum((2, 3), keepdims=True)


def _spikes(rng, x, y, core):
    out = 0
    first, arms = rng.uniform(0, np.pi), rng.choice([2, 3])
    for k in range(arms):
        a = first + k * np.pi / arms
        along, across = x * np.cos(a) + y * np.sin(a), y * np.cos(a) - x * np.sin(a)
        width = rng.uniform(0.3, 0.8)
        out = out + np.exp(-0.5 * (across / width) ** 2) / (1 + (along / core) ** 2)
    return out * np.exp(rng.uniform(np.log(0.003), np.log(0.06)))


def _phases_of_real(rng, psf):
    zoom = float(np.exp(rng.uniform(np.log(0.85), np.log(1.25)))) if rng.uniform() < 0.6 else 1.0
    radius = int(min(psf.shape[0] // 2 * zoom - 1, 32))
    axis = np.arange(-radius, radius + 1)
    coefficients = ndimage.spline_filter(psf.astype(float), order=3)
    phases = np.empty((PHASES, PHASES, axis.size, axis.size))
    centre = psf.shape[0] // 2
    for i in range(PHASES):
        for j in range(PHASES):
            y = (axis - (i + 0.5) / PHASES + 0.5) / zoom + centre
            x = (axis - (j + 0.5) / PHASES + 0.5) / zoom + centre
            grid = np.meshgrid(y, x, indexing="ij")
            phases[i, j] = ndimage.map_coordinates(coefficients, grid, order=3, prefilter=False)
    phases = np.maximum(phases, 0)
    return phases / phases.sum((2, 3), keepdims=True)


def add_stamp(image, stamp, top, left):
    """Add a stamp to an image in place, as far as it lies inside.

    Parameters
    ----------
    image, stamp : ndarray
    top, left : int
        Row and column of the image where the stamp's first pixel goes.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.learning.scenes import add_stamp
    >>> image = np.zeros((2, 3))
    >>> add_stamp(image, np.ones((2, 2)), -1, 2)
    >>> image
    array([[0., 0., 1.],
           [0., 0., 0.]])
    """
    r0, c0 = max(top, 0), max(left, 0)
    r1 = min(top + stamp.shape[0], image.shape[0])
    c1 = min(left + stamp.shape[1], image.shape[1])
    if r0 < r1 and c0 < c1:
        image[r0:r1, c0:c1] += stamp[r0 - top : r1 - top, c0 - left : c1 - left]


def add_stars(scene, rows, columns, fluxes, phases):
    """Add stars to a scene in place; positions in pixels, fluxes in electrons."""
    size = phases.shape[2]
    # Faint stars need no wings: how bright each ring of the mean profile is.
    row = phases.mean((0, 1))[size // 2, size // 2 :]
    for y, x, flux in zip(rows, columns, fluxes, strict=True):
        i, j = int(np.floor(y)), int(np.floor(x))
        radius = min(size // 2, max(3, int(np.count_nonzero(flux * row > 0.02)) + 1))
        cut = slice(size // 2 - radius, size // 2 + radius + 1)
        stamp = phases[int((y - i) * PHASES), int((x - j) * PHASES), cut, cut]
        add_stamp(scene, flux * stamp, i - radius, j - radius)


def _fluxes(rng, n, faint=1.5, bright=6.0):
    low = rng.uniform(faint, 3.0)
    high = rng.uniform(low + 1, bright)
    if rng.uniform() < 0.5:
        return 10 ** rng.uniform(low, high, n)
    slope = rng.uniform(0.4, 1.2)
    u = rng.uniform(size=n)
    a, b = 10 ** (-slope * low), 10 ** (-slope * high)
    return (a + u * (b - a)) ** (-1 / slope)


def _place(rng, shape, n, margin=10):
    return (
        rng.uniform(-margin, shape[0] + margin, n),
        rng.uniform(-margin, shape[1] + margin, n),
    )


def _random_field(rng, shape, steepness):
    """Gaussian random field with a power-law spectrum, unit variance."""
    fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]
    f = np.hypot(fy, fx)
    f[0, 0] = 1
    amplitude = f ** (-steepness / 2)
    amplitude[0, 0] = 0
    noise = rng.normal(size=amplitude.shape) + 1j * rng.normal(size=amplitude.shape)
    field = np.fft.irfft2(amplitude * noise, shape)
    return field / field.std()


def stars(rng, shape, phases, dense=False):
    """Stars, from a few to crowded."""
    area = shape[0] * shape[1]
    density = 10 ** (rng.uniform(-2.6, -1.0) if dense else rng.uniform(-4.6, -2.2))
    n = rng.poisson(density * area) + 1
    scene = np.zeros(shape)
    add_stars(scene, *_place(rng, shape, n), _fluxes(rng, n, bright=5.5 if dense else 6.5), phases)
    if not dense and rng.uniform() < 0.2:  # a few very bright ones, with all their wings
        n = rng.integers(1, 5)
        add_stars(scene, *_place(rng, shape, n), 10 ** rng.uniform(5, 7.5, n), phases)
    return scene


def crowded(rng, shape, phases):
    """A star cluster."""
    return stars(rng, shape, phases, dense=True)


def binned(rng, shape, phases):
    """Stars of about a pixel, as in binned images; as many as may be."""
    return stars(rng, shape, phases, dense=rng.uniform() < 0.5)


def galaxies(rng, shape, phases):
    """Galaxies of many profiles, some with knots, among a few stars."""
    scene = np.zeros(shape)
    n = rng.poisson(10 ** rng.uniform(-4, -3) * shape[0] * shape[1]) + 1
    rows, columns = _place(rng, shape, n)
    fluxes = _fluxes(rng, n, 2.0, 6.0)
    big = rng.uniform() < 0.3
    for y, x, flux in zip(rows, columns, fluxes, strict=True):
        radius = np.exp(rng.uniform(np.log(0.4), np.log(25 if big else 7)))
        _add_sersic(rng, scene, y, x, flux, radius)
        if rng.uniform() < 0.25:
            m = rng.integers(1, 25)
            add_stars(
                scene,
                y + rng.normal(0, radius, m),
                x + rng.normal(0, radius, m),
                flux * 10 ** rng.uniform(-3, -1, m),
                np.ones((PHASES, PHASES, 1, 1)),
            )
    scene = signal.fftconvolve(scene, phases[3, 3], mode="same")
    m = rng.poisson(10 ** rng.uniform(-5.5, -3.5) * shape[0] * shape[1])
    add_stars(scene, *_place(rng, shape, m), _fluxes(rng, m), phases)
    return np.maximum(scene, 0)


def _add_sersic(rng, scene, y0, x0, flux, radius):
    index = rng.choice([1.0, 4.0, rng.uniform(0.5, 5)])
    reach = int(np.clip(6 * radius + 3, 4, 70))
    i, j = int(np.floor(y0)), int(np.floor(x0))
    fine = 3 if radius < 4 else 1
    axis = (np.arange((2 * reach + 1) * fine) + 0.5) / fine - 0.5 - reach
    y, x = np.meshgrid(axis - (y0 - i), axis - (x0 - j), indexing="ij")
    angle, ratio = rng.uniform(0, np.pi), rng.uniform(0.15, 1)
    u = x * np.cos(angle) + y * np.sin(angle)
    v = (y * np.cos(angle) - x * np.sin(angle)) / ratio
    r = np.sqrt(u**2 + v**2 + 0.02)
    stamp = np.exp(-(2 * index - 0.33) * ((r / radius) ** (1 / index) - 1))
    n = 2 * reach + 1
    stamp = stamp.reshape(n, fine, n, fine).sum((1, 3))
    stamp *= flux / stamp.sum()
    add_stamp(scene, stamp, i - reach, j - reach)


def spectrum(rng, shape, phases):
    """A long-slit spectrum: traces, an extended source, emission and sky lines."""
    rows, columns = shape
    x = np.linspace(-1, 1, columns)
    y = np.arange(rows)[:, None]
    tilt, bend = rng.normal(0, 4), rng.normal(0, 2)
    shift = tilt * x + bend * x**2 * (rng.uniform() < 0.5)
    scene = np.zeros(shape)
    width = np.exp(rng.uniform(np.log(1.0), np.log(4.5)))
    blur = width / 2.355
    for _ in range(rng.integers(0, 5)):
        centre = rng.uniform(0, rows)
        sigma = blur if rng.uniform() < 0.7 else np.exp(rng.uniform(np.log(2), np.log(40)))
        level = 10 ** rng.uniform(0.5, 4.5)
        colour = np.exp(rng.normal(0, 0.7) * x + rng.normal(0, 0.4) * x**2)
        colour = colour * (1 + 0.15 * ndimage.gaussian_filter1d(rng.normal(size=columns), 2))
        for _ in range(rng.integers(0, 8)):  # absorption
            colour *= 1 - rng.uniform(0, 0.8) * np.exp(
                -0.5 * ((np.arange(columns) - rng.uniform(0, columns)) / max(blur, 0.6)) ** 2
            )
        profile = np.exp(-0.5 * ((y - centre - shift) / sigma) ** 2)
        if rng.uniform() < 0.5:
            profile = profile + 0.02 / (1 + ((y - centre - shift) / (3 * sigma)) ** 2)
        scene += level * colour * profile
    slope, curve = rng.normal(0, 0.03), rng.normal(0, 2e-5)
    # Lines of one extended source share its clumps and its velocities along the slit.
    clumps = np.exp(rng.uniform(0.5, 2.0) * _random_field(rng, (rows, 4), rng.uniform(1.5, 3)))
    clumps = ndimage.gaussian_filter1d(clumps[:, :1], blur, axis=0)
    velocity = rng.uniform(0, 3) * _random_field(rng, (rows, 4), rng.uniform(2, 4))[:, :1]
    shared = rng.uniform() < 0.5
    for _ in range(rng.poisson(10 ** rng.uniform(-1, 1.5))):
        centre = rng.uniform(0, columns) + slope * (y - rows / 2) + curve * (y - rows / 2) ** 2
        of_source = rng.uniform() < (0.8 if shared else 0.2)
        broad = max(blur, 0.5) * (np.exp(rng.uniform(0, 2)) if of_source else 1.0)
        if of_source:
            centre = centre + velocity * rng.uniform(0.7, 1.4)
        line = np.exp(-0.5 * ((np.arange(columns) - centre) / broad) ** 2)
        if of_source:
            extent = np.exp(rng.uniform(np.log(max(blur, 0.5)), np.log(100)))
            line = line * clumps * np.exp(-0.5 * ((y - rng.uniform(0, rows)) / extent) ** 2)
        elif rng.uniform() < 0.3:
            extent = np.exp(rng.uniform(np.log(max(blur, 0.5)), np.log(60)))
            line = line * np.exp(-0.5 * ((y - rng.uniform(0, rows)) / extent) ** 2)
        scene += 10 ** rng.uniform(0.5, 4.5) * line
    if rng.uniform() < 0.4:
        scene *= 1 + 0.05 * ndimage.gaussian_filter(rng.normal(size=shape), (0.7, 0.7))
    scene = np.clip(scene, 0, 3e5)
    return scene.T if shape[0] == shape[1] and rng.uniform() < 0.5 else scene


def planet(rng, shape, phases):
    """A planet's disc, or a part of it, with limb, terminator, craters and albedo."""
    rows, columns = shape
    radius = np.exp(rng.uniform(np.log(20), np.log(1500)))
    at = rng.uniform(0, 2 * np.pi)
    away = rng.uniform(0, 1.2) * radius if radius > 100 else rng.uniform(0, 1.2) * rows / 2
    cy, cx = rows / 2 + away * np.sin(at), columns / 2 + away * np.cos(at)
    y, x = np.mgrid[:rows, :columns]
    r2 = ((y - cy) ** 2 + (x - cx) ** 2) / radius**2
    inside = r2 < 1
    height = np.sqrt(np.where(inside, 1 - r2, 0))
    phase = rng.uniform(-1, 1)
    sun = np.clip(height * np.sqrt(1 - phase**2) + phase * (x - cx) / radius, 0, None)
    surface = 1 + rng.uniform(0.02, 0.4) * _random_field(rng, shape, rng.uniform(1.5, 3.5))
    if rng.uniform() < 0.5:  # rough terrain
        surface *= np.exp(rng.uniform(0.02, 0.4) * _random_field(rng, shape, rng.uniform(0, 2)))
    if rng.uniform() < 0.5:
        surface *= np.clip(1 + rng.uniform(0.05, 0.6) * _relief(rng, shape), 0.02, 4)
    for _ in range(rng.poisson(rng.choice([0, 5, 60, 250]))):
        _crater(rng, surface)
    scene = np.where(inside, np.maximum(surface, 0.02) * sun, 0) * 10 ** rng.uniform(1.5, 4.7)
    scene = signal.fftconvolve(scene, phases[3, 3], mode="same")
    if rng.uniform() < 0.4:
        n = rng.poisson(5)
        add_stars(scene, *_place(rng, shape, n), _fluxes(rng, n), phases)
    return np.maximum(scene, 0)


def _relief(rng, shape):
    """Slopes of hills, ridges and grooves towards the light, unit variance."""
    fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]
    run, light = rng.uniform(0, np.pi, 2)
    stretch = np.exp(rng.uniform(0, np.log(10)))
    along, across = fx * np.cos(run) + fy * np.sin(run), fy * np.cos(run) - fx * np.sin(run)
    f = np.hypot(along * stretch, across)
    f[0, 0] = 1
    finest = np.exp(rng.uniform(np.log(0.04), np.log(0.4)))
    slope = 1j * (fx * np.cos(light) + fy * np.sin(light))
    slope = slope * f ** -rng.uniform(1.0, 2.0) * np.exp(-((f / finest) ** 2))
    noise = rng.normal(size=f.shape) + 1j * rng.normal(size=f.shape)
    relief = np.fft.irfft2(slope * noise, shape)
    return relief / relief.std()


def terrain(rng, shape, phases):
    """Ground that is lit from the side: relief, craters, ridges, often a limb."""
    radius = np.exp(rng.uniform(np.log(80), np.log(8000)))
    limb = rng.uniform() < 0.6
    at = rng.uniform(0, 2 * np.pi)
    away = radius + rng.uniform(-0.5, 0.2) * min(shape) if limb else rng.uniform(0, 0.9) * radius
    surface = simulated.planet(
        shape,
        rng,
        radius=radius,
        centre=(shape[0] / 2 + away * np.sin(at), shape[1] / 2 + away * np.cos(at)),
        brightness=10 ** rng.uniform(2.5, 5.2),
        phase=rng.uniform(5, 120),
        azimuth=rng.uniform(0, 360),
        n_craters=int(np.exp(rng.uniform(0, np.log(800)))),
        roughness=np.exp(rng.uniform(np.log(0.05), np.log(1.2))),
        blur=0.0,
    )
    for _ in range(rng.poisson(rng.choice([0, 3, 12]))):
        _ridge(rng, surface)
    return np.maximum(signal.fftconvolve(surface, phases[3, 3], mode="same"), 0)


def _ridge(rng, surface):
    """A ridge or groove, bright on one side and dark on the other, along a slight bend."""
    y, x = np.indices(surface.shape) - rng.uniform(0, min(surface.shape), 2)[:, None, None]
    angle = rng.uniform(0, np.pi)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    across = across + rng.normal(0, 1e-3) * along**2
    across /= np.exp(rng.uniform(np.log(0.7), np.log(8)))
    extent = np.exp(-0.5 * (along / np.exp(rng.uniform(np.log(10), np.log(400)))) ** 2)
    profile = rng.choice([-1, 1]) * across * np.exp(0.5 * (1 - across**2))
    surface *= np.clip(1 + rng.uniform(0.05, 0.9) * profile * extent, 0.02, 3)


def _crater(rng, surface):
    radius = np.exp(rng.uniform(np.log(1.0), np.log(25)))
    reach = int(1.6 * radius + 2)
    i, j = rng.integers(surface.shape[0]), rng.integers(surface.shape[1])
    r0, c0 = max(i - reach, 0), max(j - reach, 0)
    r1, c1 = min(i + reach, surface.shape[0]), min(j + reach, surface.shape[1])
    y, x = np.mgrid[r0:r1, c0:c1]
    r = np.hypot(y - i, x - j) / radius
    slope = np.where(r < 1, r, -np.exp(-(((r - 1.1) / 0.2) ** 2)))
    angle = np.arctan2(y - i, x - j)
    surface[r0:r1, c0:c1] *= np.clip(1 + rng.uniform(0.1, 0.8) * slope * np.cos(angle), 0.02, 4)


def corona(rng, shape, phases):
    """Bright loops and moss over a smooth atmosphere, as the Sun shows in extreme ultraviolet."""
    scene = 0.3 + np.zeros(shape)
    smooth = _random_field(rng, shape, 3.0)
    for _ in range(rng.integers(1, 6)):
        ridge = _random_field(rng, shape, rng.uniform(2.5, 4.5))
        sharpness = rng.uniform(0.01, 0.15)
        scene += rng.uniform(0.2, 3) * np.exp(-0.5 * (ridge / sharpness) ** 2) * np.exp(smooth)
    scene += 0.5 * np.exp(rng.uniform(0.3, 1.2) * _random_field(rng, shape, rng.uniform(1.5, 3)))
    return np.maximum(
        signal.fftconvolve(scene * 10 ** rng.uniform(0.5, 3.7), phases[3, 3], mode="same"), 0
    )


def nebula(rng, shape, phases):
    """Structured emission with stars in it."""
    cloud = np.exp(rng.uniform(0.3, 1.6) * _random_field(rng, shape, rng.uniform(1.8, 3.5)))
    cloud = signal.fftconvolve(cloud, phases[3, 3], mode="same")
    return np.maximum(cloud, 0) * 10 ** rng.uniform(0, 3.5) + stars(rng, shape, phases)


def trails(rng, shape, phases):
    """Stars trailed by an unguided exposure, all along the same short path."""
    n = int(np.exp(rng.uniform(np.log(8), np.log(400))))
    angle = rng.uniform(0, 2 * np.pi)
    bend = rng.normal(0, 0.6)
    t = np.linspace(0, 1, 4 * n)
    length = np.exp(rng.uniform(np.log(3), np.log(90)))
    dy = length * t * np.sin(angle + bend * t) + rng.normal(0, 0.1) * np.sin(20 * t)
    dx = length * t * np.cos(angle + bend * t)
    scene = np.zeros(shape)
    count = rng.poisson(10 ** rng.uniform(-4.5, -3) * shape[0] * shape[1]) + 1
    small = phases[:, :, *([slice(phases.shape[2] // 2 - 6, phases.shape[2] // 2 + 7)] * 2)]
    for y, x, flux in zip(*_place(rng, shape, count, 40), _fluxes(rng, count, 2.5, 6), strict=True):
        add_stars(scene, y + dy, x + dx, np.full(t.size, flux / t.size), small)
    return scene


def dark(rng, shape, phases):
    """No scene at all."""
    return np.zeros(shape)


KINDS = {
    "stars": stars,
    "crowded": crowded,
    "binned": binned,
    "galaxies": galaxies,
    "spectrum": spectrum,
    "planet": planet,
    "terrain": terrain,
    "corona": corona,
    "nebula": nebula,
    "trails": trails,
    "dark": dark,
}


def random_scene(rng, shape, kind, psfs=(), sharp=None, varying=0.0):
    """Draw a noiseless scene.

    Parameters
    ----------
    rng : `numpy.random.Generator`
    shape : tuple of int
    kind : str
        A key of ``KINDS``.
    psfs : sequence of ndarray
        Measured point-spread functions to choose from.
    sharp : float, optional
        Width of the stars (FWHM, pixels) instead of a random one; not for kind ``"binned"``,
        whose stars are less than 1.15 pixels wide.
    varying : float
        Share of the scenes across which the shape of stars changes, as it does in most cameras.

    Returns
    -------
    ndarray
        Electrons, without sky.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.learning.scenes import random_scene
    >>> random_scene(np.random.default_rng(1), (64, 64), "stars", sharp=2.0).shape
    (64, 64)
    """
    if kind == "binned":
        sharp = float(np.exp(rng.uniform(*np.log(_BINNED_WIDTHS))))
    elif kind == "terrain" and sharp is None and rng.uniform() < 0.6:
        sharp = float(np.exp(rng.uniform(*np.log(_CAMERA_WIDTHS))))
    phases = random_psf(rng, psfs, sharp)
    if not varying or rng.uniform() >= varying:
        return KINDS[kind](rng, shape, phases)
    across = _ramp(rng, shape)
    wider = ndimage.gaussian_filter(phases, (0, 0, *rng.uniform(0, _BLUR, 2)))
    scene = KINDS[kind](deepcopy(rng), shape, phases)
    return scene + across * (KINDS[kind](rng, shape, wider) - scene)


def _ramp(rng, shape):
    """A plane that rises from 0 to 1 in some direction."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[: shape[0], : shape[1]]
    plane = y * np.sin(angle) + x * np.cos(angle)
    return (plane - plane.min()) / max(np.ptp(plane), 1)
