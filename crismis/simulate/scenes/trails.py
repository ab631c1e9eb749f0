"""Trails of stars and satellites: straight, long, and no particles."""

import numpy as np

__all__ = ["satellite_trail", "star_trails"]


def star_trails(shape, x, y, flux, psf, length, angle):
    """Stars that drifted during the exposure.

    Parameters
    ----------
    shape : tuple of int
        Rows, columns.
    x, y : array-like
        Columns and rows of the trails' middles, 0 at the first pixel's centre.
    flux : array-like
        Electrons of each star.
    psf : Psf
    length : float
        Length of the trails in pixels.
    angle : float
        Their direction in degrees from the columns' axis.

    Returns
    -------
    ndarray of float32

    Examples
    --------
    >>> from crismis.simulate.scenes import Psf, star_trails
    >>> image = star_trails((60, 60), [30.0], [30.0], [1e4], Psf.moffat(2.0), 30.0, 45.0)
    >>> print(image.sum() > 9000, image.max() < 400)
    True True
    """
    from .sky import stars

    if length < 0:
        raise ValueError(f"length must not be negative (pixels), got {length}")
    steps = max(int(np.ceil(2 * length)), 1)
    offsets = (np.arange(steps) + 0.5) / steps * length - length / 2
    x, y, flux = np.broadcast_arrays(x, y, flux)
    along_x = x[:, None] + offsets * np.cos(np.deg2rad(angle))
    along_y = y[:, None] + offsets * np.sin(np.deg2rad(angle))
    light = np.repeat(flux / steps, steps)
    return stars(shape, along_x.ravel(), along_y.ravel(), light, psf)


def satellite_trail(shape, brightness, fwhm, *, offset=0.0, angle=20.0):
    """A satellite's trail across the whole image.

    Parameters
    ----------
    shape : tuple of int
        Rows, columns.
    brightness : float
        Electrons per pixel of length.
    fwhm : float
        Width in pixels.
    offset : float
        Distance of the trail from the image's centre in pixels.
    angle : float
        Direction in degrees from the columns' axis.

    Returns
    -------
    ndarray of float32

    Examples
    --------
    >>> from crismis.simulate.scenes import satellite_trail
    >>> print(satellite_trail((50, 80), 100.0, 2.0, angle=0.0).sum().round())
    8000.0
    """
    from scipy.special import ndtr

    if not fwhm > 0:
        raise ValueError(f"fwhm must be positive (pixels), got {fwhm}")
    rows, columns = np.indices(shape, dtype=float)
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    across = c * (rows - (shape[0] - 1) / 2) - s * (columns - (shape[1] - 1) / 2) - offset
    sigma = fwhm / 2.3548
    half = 0.5 * max(abs(c), abs(s))
    profile = (ndtr((across + half) / sigma) - ndtr((across - half) / sigma)) / (2 * half)
    return (brightness * profile).astype(np.float32)
