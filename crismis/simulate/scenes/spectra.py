"""Long-slit spectra: traces, absorption and emission lines, night sky."""

import numpy as np

__all__ = ["long_slit"]


def long_slit(
    shape,
    rng,
    *,
    n_objects=2,
    continuum=(20.0, 2000.0),
    n_lines=30,
    line_flux=(1e2, 3e4),
    fwhm=2.0,
    sky_level=10.0,
    n_sky_lines=15,
    tilt=0.01,
    curvature=2e-6,
):
    """A long-slit spectrum, wavelength growing with the column.

    Parameters
    ----------
    shape : tuple of int
        Rows (along the slit), columns (along wavelength).
    rng : `~numpy.random.Generator`
        Source of the randomness.
    n_objects : int
        Traces; their widths differ from point-like to five times as wide.
    continuum : tuple of float
        Range of the traces' peak continuum, electrons per pixel, drawn evenly in logarithm.
    n_lines : int
        Emission lines of each object, a third of which reach beyond its continuum as extended
        emission that is displaced by rotation.
    line_flux : tuple of float
        Range of the lines' electrons, drawn evenly in logarithm.
    fwhm : float
        Width of the sharpest line and trace in pixels.
    sky_level : float
        Night-sky continuum in electrons per pixel.
    n_sky_lines : int
        Night-sky lines, which fill the slit.
    tilt, curvature : float
        Slope of the traces, and their bend per column squared.

    Returns
    -------
    ndarray of float32

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.simulate.scenes import long_slit
    >>> spectrum = long_slit((120, 200), np.random.default_rng(1))
    >>> spectrum.shape, bool(spectrum.min() >= 0)
    ((120, 200), True)
    """
    if not fwhm > 0:
        raise ValueError(f"fwhm must be positive (pixels), got {fwhm}")
    n_rows, n_columns = shape
    row, column = np.arange(n_rows)[:, None], np.arange(n_columns)[None, :]
    image = np.full(shape, float(sky_level))
    sigma = fwhm / 2.3548
    bend = tilt * (column - n_columns / 2) + curvature * (column - n_columns / 2) ** 2
    keystone = 0.003 * (row - n_rows / 2)
    for _ in range(n_sky_lines):
        place = rng.uniform(0, n_columns)
        near = _near(place, 6 * sigma + 0.003 * n_rows, n_columns)
        line = _bin(column[:, near] - place - keystone, sigma)
        image[:, near] += _strength(line_flux, rng) / 100 * line
    for _ in range(n_objects):
        centre = rng.uniform(0.1, 0.9) * n_rows
        width = sigma * rng.uniform(1.0, 5.0)
        trace = _bin(row - centre - bend, width)
        peak = _strength(continuum, rng) / _bin(np.zeros(1), width)[0]
        image += peak * _continuum(column, rng) * trace
        for i in range(n_lines):
            place = rng.uniform(0, n_columns)
            flux = _strength(line_flux, rng)
            extended = width * (rng.uniform(2, 8) if i % 3 == 0 else 1.0)
            shift = rng.normal(0, 3.0)
            rotation = shift * np.tanh((row - centre) / (2 * extended))
            near = _near(place, 12 * sigma + abs(shift), n_columns)
            along = _bin(row - centre - bend[:, near], extended)
            across = _bin(column[:, near] - place - rotation, sigma * rng.uniform(1, 2))
            image[:, near] += flux * along * across
    return np.maximum(image, 0).astype(np.float32)


def _near(place, reach, n):
    return slice(max(int(place - reach), 0), min(int(place + reach) + 2, n))


def _strength(limits, rng):
    return np.exp(rng.uniform(*np.log(limits)))


def _bin(distance, sigma):
    """A Gaussian of unit sum integrated over pixels."""
    from scipy.special import ndtr

    return ndtr((distance + 0.5) / sigma) - ndtr((distance - 0.5) / sigma)


def _continuum(column, rng):
    """Slowly varying throughput with absorption lines, between 0 and about 1."""
    n = column.size
    slow = 0.7 + 0.3 * np.sin(column / n * rng.uniform(1, 3) + rng.uniform(0, 6))
    for _ in range(n // 40):
        depth = rng.uniform(0.05, 0.8)
        slow = slow * (1 - depth * np.exp(-0.5 * ((column - rng.uniform(0, n)) / 2.5) ** 2))
    return slow
