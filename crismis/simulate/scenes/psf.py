"""Point-spread functions on a sub-pixel grid, from models or from given images."""

import math

import numpy as np

__all__ = ["Psf"]


class Psf:
    """A point-spread function that can be put anywhere in the pixel grid.

    Parameters
    ----------
    effective : ndarray
        Share of a star's light that a pixel gets whose centre lies at that distance from the
        star, on a grid of ``1 / oversampling`` pixel, the star at the central element; square, with
        an odd side.
    oversampling : int
        Grid points per pixel.

    See Also
    --------
    Psf.moffat, Psf.airy, Psf.from_image

    References
    ----------
    Anderson and King 2000, PASP 112, 1360 (the effective point-spread function).

    Examples
    --------
    >>> from crismis.simulate.scenes import Psf
    >>> psf = Psf.moffat(fwhm=2.0)
    >>> star = psf.stamp(0.25, -0.4)
    >>> print(star.sum().round(2))
    1.0
    """

    def __init__(self, effective, oversampling):
        self.effective = np.asarray(effective, dtype=np.float32)
        self.oversampling = int(oversampling)
        self.radius = (self.effective.shape[0] // 2) // self.oversampling - 1
        if self.radius < 1 or self.effective.ndim != 2:
            raise ValueError(
                f"effective must be an image of at least 5 pixels at {oversampling} points per "
                f"pixel, got shape {self.effective.shape}"
            )
        middle = self.stamp(0.0, 0.0)
        # Radius within which all but a share of the light lies, to cut faint stars short.
        distance = np.hypot(*np.indices(middle.shape) - self.radius)
        order = np.argsort(distance, axis=None)
        self._distance = distance.ravel()[order]
        self._brightest = np.maximum.accumulate(middle.ravel()[order][::-1])[::-1]

    @classmethod
    def moffat(cls, fwhm, beta=2.5, *, ellipticity=0.0, angle=0.0, radius=None):
        """Moffat's profile, integrated over pixels.

        Parameters
        ----------
        fwhm : float
            Pixels.
        beta : float
            Exponent, above 1.
        ellipticity : float
            One minus axis ratio.
        angle : float
            Position angle of the long axis in degrees from the columns' axis.
        radius : int, optional
            Half the side of a star's image in pixels.
        """
        _check_width(fwhm)
        if not beta > 1:
            raise ValueError(f"beta must be above 1, got {beta}")
        core = fwhm / (2 * math.sqrt(2 ** (1 / beta) - 1))

        def profile(x, y):
            x, y = _stretch(x, y, ellipticity, angle)
            return (1 + (x * x + y * y) / core**2) ** -beta

        return cls._integrated(profile, fwhm, radius)

    @classmethod
    def airy(cls, fwhm, *, obstruction=0.0, spikes=0.0, angle=45.0, blur=0.3, radius=None):
        """Diffraction by a round aperture, integrated over pixels.

        Parameters
        ----------
        fwhm : float
            Pixels.
        obstruction : float
            Diameter of the central obstruction over that of the aperture.
        spikes : float
            Share of the light in four diffraction spikes.
        angle : float
            Direction of the spikes in degrees from the columns' axis.
        blur : float
            Gaussian blur (rms, pixels) by jitter and charge diffusion.
        radius : int, optional
            Half the side of a star's image in pixels.
        """
        from scipy.special import j1

        _check_width(fwhm)
        if not (0 <= obstruction < 1 and 0 <= spikes < 1):
            raise ValueError(
                f"obstruction and spikes must be from 0 to below 1, got {obstruction}, {spikes}"
            )

        def jinc(v):
            v = np.maximum(np.abs(v), 1e-6)
            return 2 * j1(v) / v

        def profile(x, y):
            v = 3.2326 * np.hypot(x, y) / fwhm
            disc = (jinc(v) - obstruction**2 * jinc(obstruction * v)) ** 2
            if spikes == 0:
                return disc
            c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            along, across = np.abs(c * x + s * y), np.abs(c * y - s * x)
            cross = _spike(along, across, fwhm) + _spike(across, along, fwhm)
            return disc / disc.sum() * (1 - spikes) + cross / cross.sum() * spikes

        return cls._integrated(profile, fwhm, radius, blur)

    @classmethod
    def from_image(cls, image, *, scale=1.0):
        """A star's image at detector sampling, such as the real ones of a telescope.

        Parameters
        ----------
        image : ndarray
            Square, the star at the central pixel's centre.
        scale : float
            Pixels of the exposure per pixel of the image: 0.5 for an image sampled twice as
            finely.
        """
        from scipy import ndimage

        image = np.asarray(image, dtype=float)
        if image.ndim != 2 or image.shape[0] != image.shape[1]:
            raise ValueError(f"image must be square, got shape {image.shape}")
        if not image.sum() > 0 or not np.all(np.isfinite(image)):
            raise ValueError("image must be finite and hold some light")
        steps = 10
        half = image.shape[0] // 2
        reach = int(half * scale) * steps
        grid = np.arange(-reach, reach + 1) / steps / scale + half
        effective = ndimage.map_coordinates(image, np.meshgrid(grid, grid, indexing="ij"), order=3)
        if scale < 1:
            effective = ndimage.uniform_filter(effective, steps)
        effective = np.maximum(effective, 0)
        return cls(effective * (steps**2 / effective.sum()), steps)

    @classmethod
    def _integrated(cls, profile, fwhm, radius, blur=0.0):
        from scipy import ndimage

        if radius is None:
            radius = math.ceil(min(max(10, 12 * fwhm), 80))
        steps = 20 if fwhm < 2.5 else 10
        reach = (radius + 2) * steps
        grid = np.arange(-reach, reach + 1) / steps
        fine = profile(grid[None, :], grid[:, None])
        if blur:
            fine = ndimage.gaussian_filter(fine, blur * steps)
        # An even filter is off by half a step; two of them, one each way, are centred.
        effective = 0.5 * (
            ndimage.uniform_filter(fine, steps) + ndimage.uniform_filter(fine, steps, origin=-1)
        )
        return cls(effective * (steps**2 / effective.sum()), steps)

    def stamp(self, dx, dy, radius=None):
        """Image of a star of unit light, shifted from the central pixel's centre.

        Parameters
        ----------
        dx, dy : float
            Shift in columns and rows, within half a pixel.
        radius : int, optional
            Half the side of the image; the whole by default.

        Returns
        -------
        ndarray of float32
        """
        radius = self.radius if radius is None else min(radius, self.radius)
        steps, middle = self.oversampling, self.effective.shape[0] // 2
        row = middle - round(dy * steps) - radius * steps
        column = middle - round(dx * steps) - radius * steps
        stop = 2 * radius * steps + 1
        return self.effective[row : row + stop : steps, column : column + stop : steps]

    def reach(self, share):
        """Radius in pixels beyond which no pixel gets more than a share of the light."""
        inside = np.count_nonzero(self._brightest > share)
        if inside >= self._distance.size:
            return self.radius
        return min(math.ceil(self._distance[inside]) + 1, self.radius)

    def convolve(self, image):
        """Blur an image."""
        from scipy.signal import fftconvolve

        blurred = fftconvolve(image, self.stamp(0.0, 0.0), mode="same")
        return np.maximum(blurred, 0).astype(np.float32)


def _check_width(fwhm):
    if not fwhm > 0:
        raise ValueError(f"fwhm must be positive (pixels), got {fwhm}")


def _stretch(x, y, ellipticity, angle):
    if not 0 <= ellipticity < 1:
        raise ValueError(f"ellipticity must be from 0 to below 1, got {ellipticity}")
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    root = math.sqrt(1 - ellipticity)
    return (c * x + s * y) * root, (c * y - s * x) / root


def _spike(along, across, fwhm):
    width = 0.4 * fwhm
    return np.exp(-0.5 * (across / width) ** 2) / (1 + (along / (3 * fwhm)) ** 2)
