"""The detector's own marks: hot pixels, bad columns, bias pattern."""

import numpy as np

__all__ = ["bad_columns", "bias_pattern", "hot_pixels"]


def hot_pixels(shape, rng, *, share=1e-3, median=50.0, spread=1.5):
    """Hot and warm pixels.

    Parameters
    ----------
    shape : tuple of int
        Rows, columns.
    rng : `~numpy.random.Generator`
        Source of the randomness.
    share : float
        Share of the pixels that are warm or hot.
    median : float
        Median of their extra electrons.
    spread : float
        Standard deviation of the extra electrons' natural logarithm.

    Returns
    -------
    ndarray of float32

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.simulate.scenes import hot_pixels
    >>> int((hot_pixels((100, 100), np.random.default_rng(1), share=0.01) > 0).sum())
    100
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must be from 0 to 1, got {share}")
    size = shape[0] * shape[1]
    image = np.zeros(size, dtype=np.float32)
    n = round(share * size)
    places = rng.choice(size, n, replace=False)
    image[places] = rng.lognormal(np.log(median), spread, n)
    return image.reshape(shape)


def bad_columns(scene, rng, *, n=2, hot=200.0):
    """Put bad columns into a scene: dead, or glowing from some row on.

    Parameters
    ----------
    scene : ndarray
        Expected electrons per pixel.
    rng : `~numpy.random.Generator`
        Source of the randomness.
    n : int
        How many columns.
    hot : float
        Median extra electrons of the glowing ones.

    Returns
    -------
    ndarray of float32
        A copy.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.simulate.scenes import bad_columns
    >>> bad_columns(np.ones((50, 50)), np.random.default_rng(1)).shape
    (50, 50)
    """
    scene = np.array(scene, dtype=np.float32)
    for column in rng.integers(0, scene.shape[1], n):
        start = rng.integers(0, scene.shape[0])
        if rng.random() < 0.5:
            scene[start:, column] *= 0.05
        else:
            scene[start:, column] += rng.lognormal(np.log(hot), 0.7)
    return scene


def bias_pattern(shape, rng, *, level=1000.0, rows=1.5, columns=1.0, ramp=5.0):
    """Bias pedestal with row-to-row and column-to-column structure.

    Parameters
    ----------
    shape : tuple of int
        Rows, columns.
    rng : `~numpy.random.Generator`
        Source of the randomness.
    level : float
        Pedestal in electrons.
    rows, columns : float
        Standard deviation of whole rows and columns in electrons.
    ramp : float
        Slow rise along the serial register in electrons.

    Returns
    -------
    ndarray of float32

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.simulate.scenes import bias_pattern
    >>> print(bias_pattern((64, 64), np.random.default_rng(1)).mean().round(-2))
    1000.0
    """
    stripes = rng.normal(0, rows, (shape[0], 1)) + rng.normal(0, columns, (1, shape[1]))
    slope = ramp * (1 - np.exp(-np.arange(shape[1]) / (0.1 * shape[1])))
    return (level + stripes + slope).astype(np.float32)
