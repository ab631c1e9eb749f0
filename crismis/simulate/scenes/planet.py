"""A planet's disc: limb, terminator, craters and texture."""

import numpy as np

__all__ = ["planet"]


def planet(
    shape,
    rng,
    *,
    radius=None,
    centre=None,
    brightness=5000.0,
    phase=60.0,
    azimuth=30.0,
    n_craters=200,
    roughness=0.15,
    blur=0.7,
):
    """A cratered sphere lit by the Sun.

    Parameters
    ----------
    shape : tuple of int
        Rows, columns.
    rng : `~numpy.random.Generator`
        Source of the randomness.
    radius : float, optional
        Radius in pixels; 0.4 of the shorter side by default. Larger than the image shows the
        ground alone.
    centre : tuple of float, optional
        Row and column of the disc's centre; the image's centre by default.
    brightness : float
        Electrons per pixel of ground lit from overhead.
    phase : float
        Sun - planet - observer angle in degrees.
    azimuth : float
        Direction of the Sun in degrees from the columns' axis.
    n_craters : int
        Craters on the visible side, their number falling with the square of the radius.
    roughness : float
        Standard deviation of the ground's slopes between craters.
    blur : float
        Gaussian blur (rms, pixels) by the optics.

    Returns
    -------
    ndarray of float32

    References
    ----------
    McEwen 1991, Icarus 92, 298 (lunar-Lambert photometry).

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.simulate.scenes import planet
    >>> image = planet((100, 100), np.random.default_rng(1))
    >>> print(image.max() > 1000, image[0, 0] < 1)
    True True
    """
    from scipy import ndimage

    if radius is None:
        radius = 0.4 * min(shape)
    if not radius > 0:
        raise ValueError(f"radius must be positive (pixels), got {radius}")
    if centre is None:
        centre = ((shape[0] - 1) / 2, (shape[1] - 1) / 2)
    rows, columns = np.indices(shape, dtype=float)
    x, y = (columns - centre[1]) / radius, (rows - centre[0]) / radius
    inside = x**2 + y**2 < 1
    z = np.sqrt(np.where(inside, 1 - x**2 - y**2, 0))
    height = _relief(shape, rng, n_craters, roughness)
    slope_y, slope_x = np.gradient(height)
    normal = np.stack([x - slope_x * z, y - slope_y * z, z + slope_x * x + slope_y * y])
    normal /= np.maximum(np.linalg.norm(normal, axis=0), 1e-9)
    tilt, turn = np.deg2rad(phase), np.deg2rad(azimuth)
    sun = np.array([np.sin(tilt) * np.cos(turn), np.sin(tilt) * np.sin(turn), np.cos(tilt)])
    lit = np.maximum(np.tensordot(sun, normal, 1), 0)
    smooth = sun[0] * x + sun[1] * y + sun[2] * z
    lit *= np.clip(smooth * 12 + 0.5, 0, 1)
    seen = np.maximum(z, 0.02)
    weight = np.clip(1 - phase / 120, 0, 1)
    light = 2 * weight * lit / np.maximum(lit + seen, 1e-3) + (1 - weight) * lit
    albedo = 1 + 0.12 * _texture(shape, rng, 2.0)
    image = np.where(inside, brightness * light * albedo, 0)
    return np.maximum(ndimage.gaussian_filter(image, blur), 0).astype(np.float32)


def _relief(shape, rng, n_craters, roughness):
    """Heights in pixels: bowls with raised rims upon rough ground."""
    height = _texture(shape, rng, 2.4)
    height *= roughness / max(np.std(np.gradient(height)[0]), 1e-9)
    smallest, largest = 1.5, 0.12 * min(shape)
    u = rng.random(n_craters)
    radii = smallest / np.sqrt(1 - u * (1 - (smallest / largest) ** 2))
    for radius in np.sort(radii)[::-1]:
        row, column = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        half = int(3 * radius) + 1
        top, left = max(int(row) - half, 0), max(int(column) - half, 0)
        window = np.s_[top : int(row) + half + 1, left : int(column) + half + 1]
        r, c = np.indices(height[window].shape)
        distance = np.hypot(r + top - row, c + left - column) / radius
        bowl = np.where(distance < 1, distance**2 - 1, 0) * 0.25
        rim = 0.12 * np.exp(-(((distance - 1) / 0.25) ** 2))
        height[window] += radius * (bowl + rim)
    return height


def _texture(shape, rng, power):
    """Gaussian random field of unit variance with a power-law spectrum."""
    rows, columns = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None, :]
    frequency = np.hypot(rows, columns)
    frequency[0, 0] = np.inf
    field = np.fft.rfft2(rng.standard_normal(shape)) * frequency ** (-power / 2)
    field = np.fft.irfft2(field, s=shape)
    return field / max(field.std(), 1e-12)
