"""The Sun's corona behind an occulting disc."""

import numpy as np

__all__ = ["corona"]


def corona(
    shape,
    rng,
    *,
    occulter=0.2,
    brightness=8000.0,
    index=2.5,
    n_streamers=6,
    pylon=True,
    stray=50.0,
):
    """A coronagraph's field: falling brightness, streamers, occulter and its pylon.

    Parameters
    ----------
    shape : tuple of int
        Rows, columns.
    rng : `~numpy.random.Generator`
        Source of the randomness.
    occulter : float
        Radius of the occulter over half the shorter side.
    brightness : float
        Electrons per pixel at the occulter's edge.
    index : float
        Power by which the brightness falls with distance.
    n_streamers : int
        Streamers, each narrower with distance.
    pylon : bool
        Whether the occulter's stem casts its shadow.
    stray : float
        Stray light in electrons per pixel.

    Returns
    -------
    ndarray of float32

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.simulate.scenes import corona
    >>> image = corona((128, 128), np.random.default_rng(1))
    >>> print(image[64, 64] < image[64, 85])
    True
    """
    if not 0 < occulter < 1:
        raise ValueError(f"occulter must be between 0 and 1, got {occulter}")
    rows, columns = np.indices(shape, dtype=float)
    y, x = rows - (shape[0] - 1) / 2, columns - (shape[1] - 1) / 2
    edge = occulter * min(shape) / 2
    distance = np.maximum(np.hypot(x, y) / edge, 1e-3)
    angle = np.arctan2(y, x)
    light = 0.4 * np.ones(shape)
    for _ in range(n_streamers):
        centre, width = rng.uniform(-np.pi, np.pi), rng.uniform(0.05, 0.25)
        away = np.angle(np.exp(1j * (angle - centre)))
        light += rng.uniform(0.3, 1.0) * np.exp(-0.5 * (away / width) ** 2)
    image = brightness * light * np.maximum(distance, 1) ** -index + stray
    # Diffraction brightens a ring just outside the occulter.
    image *= 1 + 0.5 * np.exp(-(((distance - 1.05) / 0.03) ** 2))
    shade = 1 / (1 + np.exp(-(distance - 1) * edge / 1.5))
    if pylon:
        stem = (np.abs(x + y) / np.sqrt(2) < 0.12 * edge) & (x < 0)
        shade = shade * np.where(stem, 0.3, 1.0)
    return (image * shade).astype(np.float32)
