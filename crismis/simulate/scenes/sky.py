"""Sky, stars and galaxies."""

import numpy as np

from .psf import Psf

__all__ = ["galaxies", "random_field", "sersic", "sky", "stars"]

_FAINT = 0.02


def sky(shape, level, *, gradient=(0.0, 0.0), vignetting=0.0):
    """Even background.

    Parameters
    ----------
    shape : tuple of int
        Rows, columns.
    level : float
        Electrons per pixel at the centre.
    gradient : tuple of float
        Relative change across the image along rows and columns.
    vignetting : float
        Share of the light lost in the corners.

    Returns
    -------
    ndarray of float32

    Examples
    --------
    >>> from crismis.simulate.scenes import sky
    >>> sky((3, 3), 60.0, vignetting=0.5).round().astype(int).tolist()
    [[30, 45, 30], [45, 60, 45], [30, 45, 30]]
    """
    if level < 0:
        raise ValueError(f"level must not be negative (electrons), got {level}")
    rows, columns = (np.linspace(-1, 1, n)[i] for n, i in zip(shape, _AXES, strict=True))
    plane = 1 + 0.5 * gradient[0] * rows + 0.5 * gradient[1] * columns
    falloff = 1 - vignetting * (rows**2 + columns**2) / 2
    return (level * np.maximum(plane * falloff, 0)).astype(np.float32)


_AXES = (np.s_[:, None], np.s_[None, :])


def stars(shape, x, y, flux, psf):
    """Stars at given places.

    Parameters
    ----------
    shape : tuple of int
        Rows, columns.
    x, y : array-like
        Columns and rows, fractions of pixels included, 0 at the first pixel's centre.
    flux : array-like
        Electrons of each star.
    psf : Psf

    Returns
    -------
    ndarray of float32

    Examples
    --------
    >>> from crismis.simulate.scenes import Psf, stars
    >>> image = stars((41, 41), [20.3], [19.8], [1000.0], Psf.moffat(1.5))
    >>> print(image.argmax(), image.sum() > 950)
    840 True
    """
    image = np.zeros(shape, dtype=np.float32)
    for column, row, light in zip(*np.broadcast_arrays(x, y, flux), strict=True):
        near_row, near_column = round(float(row)), round(float(column))
        reach = psf.reach(_FAINT / max(light, _FAINT))
        stamp = psf.stamp(column - near_column, row - near_row, reach)
        _add(image, stamp * np.float32(light), near_row - reach, near_column - reach)
    return image


def _add(image, stamp, row, column):
    """Add a small image with its first pixel at a place, cut at the edges."""
    top, left = max(-row, 0), max(-column, 0)
    bottom = min(stamp.shape[0], image.shape[0] - row)
    right = min(stamp.shape[1], image.shape[1] - column)
    if bottom > top and right > left:
        image[row + top : row + bottom, column + left : column + right] += stamp[
            top:bottom, left:right
        ]


def sersic(size, flux, radius, index, *, axis_ratio=1.0, angle=0.0, dx=0.0, dy=0.0):
    """Image of one galaxy, integrated over pixels.

    Parameters
    ----------
    size : int
        Side of the image in pixels, odd.
    flux : float
        Electrons in all, out to infinity.
    radius : float
        Half-light radius in pixels.
    index : float
        Sersic's index: 1 is an exponential disc, 4 de Vaucouleurs' law.
    axis_ratio : float
        Short over long axis.
    angle : float
        Direction of the long axis in degrees from the columns' axis.
    dx, dy : float
        Shift from the central pixel's centre.

    Returns
    -------
    ndarray of float32

    References
    ----------
    Ciotti and Bertin 1999, Astron. Astrophys. 352, 447.

    Examples
    --------
    >>> from crismis.simulate.scenes import sersic
    >>> print(sersic(61, 1000.0, 4.0, 1.0).sum().round(-1))
    1000.0
    """
    from scipy.special import gamma

    if not (radius > 0 and index > 0 and 0 < axis_ratio <= 1):
        raise ValueError(
            f"radius and index must be positive and axis_ratio from 0 to 1, "
            f"got {radius}, {index}, {axis_ratio}"
        )
    b = 2 * index - 1 / 3 + 4 / (405 * index) + 46 / (25515 * index**2)
    total = 2 * np.pi * index * radius**2 * axis_ratio * gamma(2 * index) * b ** (-2 * index)
    half = size // 2
    steps = np.arange(-half, half + 1, dtype=float)
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))

    def brightness(x, y):
        x, y = x - dx, y - dy
        along, across = c * x + s * y, (c * y - s * x) / axis_ratio
        return np.exp(-b * (np.hypot(along, across) / radius) ** (1 / index))

    image = brightness(steps[None, :], steps[:, None])
    core = slice(half - 3, half + 4) if half >= 3 else slice(None)
    fine = (np.arange(9) - 4) / 9
    inner = steps[core]
    sub = (inner[:, None] + fine).ravel()
    blocks = brightness(sub[None, :], sub[:, None]).reshape(inner.size, 9, inner.size, 9)
    image[core, core] = blocks.mean(axis=(1, 3))
    return (flux / total * image).astype(np.float32)


def galaxies(shape, x, y, flux, radius, index, *, axis_ratio=1.0, angle=0.0, psf=None):
    """Galaxies at given places.

    Parameters
    ----------
    shape : tuple of int
        Rows, columns.
    x, y, flux, radius, index, axis_ratio, angle : array-like
        Place in pixels, and as for `sersic`, one value per galaxy or one for all.
    psf : Psf, optional
        Blurs all of them.

    Returns
    -------
    ndarray of float32

    Examples
    --------
    >>> from crismis.simulate.scenes import galaxies
    >>> image = galaxies((64, 64), [20.0, 40.5], [30.0, 12.0], [500.0, 800.0], 2.0, [1.0, 4.0])
    >>> 1000 < float(image.sum()) < 1300
    True
    """
    image = np.zeros(shape, dtype=np.float32)
    columns = np.broadcast_arrays(x, y, flux, radius, index, axis_ratio, angle)
    for column, row, light, scale, n, ratio, turn in zip(*columns, strict=True):
        near_row, near_column = round(float(row)), round(float(column))
        half = int(min(max(8, (5 if n < 2 else 10) * scale), 150))
        stamp = sersic(
            2 * half + 1,
            light,
            scale,
            n,
            axis_ratio=ratio,
            angle=turn,
            dx=column - near_column,
            dy=row - near_row,
        )
        _add(image, stamp, near_row - half, near_column - half)
    return image if psf is None else psf.convolve(image)


def random_field(
    shape,
    rng,
    *,
    n_stars=100,
    n_galaxies=200,
    level=60.0,
    psf=None,
    star_flux=(1e2, 10**5.5),
    galaxy_flux=(1e2, 10**4.5),
):
    """A random field of stars and galaxies on even sky.

    Parameters
    ----------
    shape : tuple of int
        Rows, columns.
    rng : `~numpy.random.Generator`
        Source of the randomness.
    n_stars, n_galaxies : int
        How many, per megapixel (1024 x 1024).
    level : float
        Sky in electrons per pixel.
    psf : Psf, optional
        Moffat's with FWHM 2.2 pixels by default.
    star_flux, galaxy_flux : tuple of float
        Lowest and highest flux in electrons; the logarithm is drawn evenly.

    Returns
    -------
    ndarray of float32

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.simulate.scenes import random_field
    >>> random_field((128, 128), np.random.default_rng(1)).shape
    (128, 128)
    """
    psf = Psf.moffat(2.2) if psf is None else psf
    share = shape[0] * shape[1] / 1024**2
    x, y, flux = _places(shape, round(n_stars * share), star_flux, rng)
    image = sky(shape, level) + stars(shape, x, y, flux, psf)
    x, y, flux = _places(shape, round(n_galaxies * share), galaxy_flux, rng)
    n = flux.size
    radius = rng.lognormal(np.log(2.5), 0.5, n) * (flux / 1e3) ** 0.15
    image += galaxies(
        shape,
        x,
        y,
        flux,
        np.clip(radius, 0.8, 15.0),
        rng.choice([1.0, 4.0], n),
        axis_ratio=rng.uniform(0.3, 1.0, n),
        angle=rng.uniform(0, 180, n),
        psf=psf,
    )
    return image


def _places(shape, n, flux, rng):
    x = rng.uniform(-0.5, shape[1] - 0.5, n)
    y = rng.uniform(-0.5, shape[0] - 0.5, n)
    return x, y, np.exp(rng.uniform(np.log(flux[0]), np.log(flux[1]), n))
