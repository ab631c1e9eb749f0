"""Write hits into the data-quality arrays of HST-like files, so that AstroDrizzle can use them."""

import gzip
import shutil
from pathlib import Path

import numpy as np
from astropy.io import fits

from ..errors import IngestError
from .learned import cosmicray_learned
from .masks import DQ_BITS, dq_from_hits

__all__ = ["flag_hits"]


def flag_hits(path, output, *, bit=None, overwrite=False, **options):
    """Copy a file and mark the hits of each of its images in the data quality beside it.

    Parameters
    ----------
    path : path-like
        A FITS file with extensions ``SCI`` and ``DQ``, such as HST's ``flt`` and ``flc``.
    output : path-like
        The copy, or a folder for it. A ``.gz`` is left off its name.
    bit : int, optional
        Value of the bit to set. By default that of the instrument, see
        ``crismis.identify.masks.DQ_BITS``.
    overwrite : bool, optional
        Replace an existing copy.
    **options
        Passed to `crismis.cosmicray_learned`.

    Returns
    -------
    dict
        ``path``, ``output``, ``bit`` and ``hits``, the number of hit pixels of each image.

    Raises
    ------
    crismis.IngestError
        If the file cannot be read, has no pairs of ``SCI`` and ``DQ``, comes from an
        instrument whose bit is not known, or if the copy exists already.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from crismis.identify.dq import flag_hits
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> image = np.random.default_rng(1).normal(100, 11, (64, 64)).astype("f4")
    >>> image[30, 20:26] += 900
    >>> primary = fits.PrimaryHDU(header=fits.Header({"INSTRUME": "ACS", "EXPTIME": 500.0}))
    >>> science = fits.ImageHDU(image, fits.Header({"BUNIT": "ELECTRONS"}), name="SCI")
    >>> quality = fits.ImageHDU(np.zeros(image.shape, "i2"), name="DQ")
    >>> fits.HDUList([primary, science, quality]).writeto(folder / "a_flt.fits")
    >>> done = flag_hits(folder / "a_flt.fits", folder / "flagged.fits", readnoise=5.0)
    >>> done["bit"], done["hits"][1] >= 6
    (4096, True)
    """
    from ..ingest import read

    path, output = Path(path), Path(output)
    if output.is_dir():
        output /= path.name
    if output.suffix == ".gz":
        output = output.with_suffix("")
    versions, instrument = _images(path)
    bit = bit or DQ_BITS.get(instrument)
    if bit is None:
        raise IngestError(path, f"no bit is known for instrument {instrument!r}", "give --bit")
    if output.exists() and (not overwrite or output.samefile(path)):
        raise IngestError(output, "exists already", "choose another output or overwrite")
    options = {"repair": False} | options
    hits = {v: cosmicray_learned(read(path, hdu=("SCI", v)), **options).hits for v in versions}
    part = output.with_name(output.name + ".part")
    try:
        _copy(path, part)
        _mark(part, hits, bit)
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)
    return {
        "path": str(path),
        "output": str(output),
        "bit": bit,
        "hits": {version: int(mask.sum()) for version, mask in hits.items()},
    }


def _images(path):
    try:
        with fits.open(path) as hdus:
            names = {(hdu.name, hdu.ver) for hdu in hdus}
            versions = sorted(v for name, v in names if name == "SCI" and ("DQ", v) in names)
            instrument = str(hdus[0].header.get("INSTRUME", "")).strip()
    except OSError as error:
        raise IngestError(path, f"cannot be read as FITS: {error}") from None
    if not versions:
        raise IngestError(
            path, "has no extensions SCI and DQ", "crismis run writes masks for other files"
        )
    return versions, instrument


def _copy(path, target):
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rb") as source, open(target, "wb") as copy:
        shutil.copyfileobj(source, copy)


def _mark(path, hits, bit):
    from .. import __version__

    with fits.open(path, mode="update", memmap=False) as hdus:
        for version, mask in hits.items():
            hdu = hdus["DQ", version]
            before = hdu.data
            if before is None:
                constant = int(hdu.header.get("PIXVALUE", 0))
                before = np.full(mask.shape, constant, np.int16)
            hdu.data = dq_from_hits(mask, before, bit=bit)
            hdu.header["CRDQBIT"] = (bit, "bit set for cosmic-ray hits")
            hdu.header["CRNHIT"] = (int(mask.sum()), "pixels hit by cosmic rays")
            hdu.header["CRVERS"] = (f"crismis {__version__}", "found the cosmic-ray hits")
