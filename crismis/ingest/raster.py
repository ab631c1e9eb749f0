"""Plain rasters: numbers in rows, perhaps with prefixes, bands and padding."""

from dataclasses import dataclass

import numpy as np

from .build import native
from .core import MAX_EXPANSION

__all__ = ["Raster", "pds3_dtype"]

_UNSIGNED = ("UNSIGNED",)
_LITTLE = ("LSB", "PC_", "VAX")


def pds3_dtype(sample_type, bits):
    """Return the numpy type of PDS3's ``SAMPLE_TYPE`` and ``SAMPLE_BITS``.

    Parameters
    ----------
    sample_type : str
        Such as ``"MSB_UNSIGNED_INTEGER"`` or ``"PC_REAL"``.
    bits : int
        Bits per sample.

    Returns
    -------
    dtype or None
        `None` for types that are no plain numbers (VAX reals, bit strings, ...).

    References
    ----------
    Planetary Data System Standards Reference 3.8, chapter 3 and appendix C.
    """
    name = sample_type.upper()
    order = "<" if name.startswith(_LITTLE) else ">"
    if bits not in (8, 16, 32, 64):
        return None
    if "REAL" in name or "FLOAT" in name:
        return None if name.startswith("VAX") or bits < 32 else np.dtype(f"{order}f{bits // 8}")
    if "INTEGER" in name or name in ("CHARACTER", "BYTE"):
        # Eight-bit images are unsigned whatever their label says (Cassini's SUN_INTEGER).
        unsigned = any(mark in name for mark in _UNSIGNED) or bits == 8
        return np.dtype(f"{order}{'u' if unsigned else 'i'}{bits // 8}")
    return None


@dataclass(frozen=True)
class Raster:
    """Where the samples of an image lie in a file.

    Parameters
    ----------
    offset : int
        First byte of the image.
    dtype : dtype
        Of a sample.
    lines, samples, bands : int
        Size of the image.
    prefix, suffix : int
        Bytes before and after each line.
    order : str
        ``"BSQ"``, ``"BIL"`` or ``"BIP"``.
    limit : int
        Most lines, samples or bands believed; beyond, a label is damaged or hostile.
    """

    offset: int
    dtype: np.dtype
    lines: int
    samples: int
    bands: int = 1
    prefix: int = 0
    suffix: int = 0
    order: str = "BSQ"
    limit: int = 1 << 20

    @property
    def shape(self):
        """Shape of the image, bands first where there are several."""
        plane = (self.lines, self.samples)
        return plane if self.bands == 1 else (self.bands, *plane)

    @property
    def line_bytes(self):
        """Bytes of one line as it is stored, of all bands if they are interleaved by sample."""
        width = self.samples * (self.bands if self.order == "BIP" else 1)
        return self.prefix + width * self.dtype.itemsize + self.suffix

    @property
    def needed(self):
        """Bytes of the whole image."""
        return self.line_bytes * self.lines * (1 if self.order == "BIP" else self.bands)

    def check(self, source, size, name):
        """Raise an `crismis.IngestError` unless the file holds what the label promises."""
        for what, number in (
            ("lines", self.lines),
            ("samples", self.samples),
            ("bands", self.bands),
        ):
            if not 1 <= number <= self.limit:
                raise source.error(
                    f"{name} promises {number} {what}", "the label is damaged or no image label"
                )
        if min(self.offset, self.prefix, self.suffix) < 0:
            raise source.error(f"{name} starts before the file does", "the label is damaged")
        held = max(size - self.offset, 0)
        plausible = source.allow_truncated and held and self.needed <= MAX_EXPANSION * size
        if held < self.needed and not plausible:
            raise source.error(
                f"truncated: {name} promises {self.lines} lines of {self.line_bytes} bytes"
                f"{f' in {self.bands} bands' if self.bands > 1 else ''} ({self.needed} bytes), "
                f"the file holds {held} after the label ({held // self.line_bytes} lines)",
                "fetch the file again, or read what is there with allow_truncated=True",
            )

    def read(self, path, band=0):
        """Read one band.

        Parameters
        ----------
        path : path-like
            The file.
        band : int
            Which band.

        Returns
        -------
        data : ndarray
            2-D, native byte order; zero where the file ends too early.
        missing : ndarray of bool or None
            True where the file ends too early, `None` if it does not.
        """
        stride = self.line_bytes * (self.bands if self.order == "BIL" else 1)
        start = self.offset
        if self.order == "BSQ":
            start += band * self.lines * self.line_bytes
        elif self.order == "BIL":
            start += band * self.line_bytes
        wanted = stride * (self.lines - 1) + self.line_bytes
        with open(path, "rb") as file:
            file.seek(start)
            stream = np.zeros(wanted, np.uint8)
            held = file.readinto(stream)
        rows = np.lib.stride_tricks.as_strided(
            stream[self.prefix :],
            (self.lines, self.line_bytes - self.prefix - self.suffix),
            (stride, 1),
        )
        data = np.ascontiguousarray(rows).view(self.dtype)
        if self.order == "BIP":
            data = np.ascontiguousarray(data[:, band :: self.bands])
        missing = None
        if held < wanted:
            ends = np.arange(self.lines)[:, None] * stride + self.prefix
            sample = self.dtype.itemsize * (self.bands if self.order == "BIP" else 1)
            missing = ends + (np.arange(self.samples) + 1) * sample > held
        return native(data), missing
