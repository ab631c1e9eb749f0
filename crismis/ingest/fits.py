"""FITS files: plain, multi-extension, gzipped, tile-compressed, cubes, image sets."""

from contextlib import contextmanager

import numpy as np
from astropy.io import fits
from astropy.nddata import StdDevUncertainty, VarianceUncertainty

from .build import clean_header, native, split_wcs
from .core import MAX_EXPANSION, Image, Plane, register_format

__all__ = ["fits_images"]

# Extensions that belong to a science image: role -> names, without their version.
_ROLES = {
    "error": ("ERR", "ERROR", "LORRI ERROR IMAGE", "UNCERT", "SIGMA"),
    "variance": ("VARIANCE", "VAR"),
    "quality": ("DQ", "LORRI QUALITY FLAG IMAGE", "QUALITY", "DATA_QUALITY"),
    "mask": ("MASK", "BPM"),
    "other": (
        *("SAMP", "TIME", "WHT", "CTX", "CON", "D2IMARR", "WCSDVARR"),
        *("TRUTH", "CRPROB", "CRFLAGS", "CRSEG", "CRTRUTH"),
    ),
}
# Planes of an LSST mask whose pixels hold no measurement; the header numbers them.
_LSST_LOST = ("MP_BAD", "MP_NO_DATA")
_ROLE_OF = {name: role for role, names in _ROLES.items() for name in names}


def _other_files(source):
    from .hst import quality_twin

    twin = quality_twin(source.path)
    return [twin] if twin else []


@register_format("FITS", lambda source: source.head.startswith(b"SIMPLE  ="), _other_files)
def fits_images(source):
    """List the science images of a FITS file, each with its error and quality planes."""
    with _opened(source) as hdus:
        shapes = [_shape(hdu) for hdu in hdus]
        _check_size(source, hdus, shapes)
        science = [
            i
            for i, hdu in enumerate(hdus)
            if shapes[i] and hdu.is_image and _role(hdu) == "science"
        ]
        images = [i for i in science if len(shapes[i]) in (2, 3)]
        if not images and science:
            i = science[0]
            raise source.error(
                f"{_names(i, hdus[i])[0]} has {len(shapes[i])} axes {shapes[i]}, no image",
                "images have two axes, cubes three",
            )
        return [
            Image(_names(i, hdus[i]), shapes[i], lambda plane, i=i: _load(source, i, plane))
            for i in images
        ]


@contextmanager
def _opened(source):
    # astropy leaves a file open that it opened itself and could not read.
    with (
        source.path.open("rb") as file,
        fits.open(
            file,
            memmap=False,
            lazy_load_hdus=False,
            ignore_missing_end=source.allow_truncated,
            output_verify="ignore",
        ) as hdus,
    ):
        yield hdus


def _shape(hdu):
    shape = tuple(getattr(hdu, "shape", ()) or ())
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    return shape


def _names(index, hdu):
    name, version = hdu.name or "PRIMARY", hdu.ver
    shown = name if version == 1 else f"{name},{version}"
    return (shown, index, name, (name, version), f"{name},{version}")


def _role(hdu):
    name = hdu.name.upper()
    return _ROLE_OF.get(name, "science")


def _check_size(source, hdus, shapes):
    for i, hdu in enumerate(hdus):
        if not hdu.is_image or not shapes[i]:
            continue
        sides = [hdu.header.get(f"NAXIS{axis + 1}", 0) for axis in range(len(hdu.shape))]
        if not all(isinstance(side, int) and side > 0 for side in sides):
            raise source.error(f"{_names(i, hdu)[0]} has the sides {sides}, no image")
        needed = abs(hdu.header.get("BITPIX", 8)) // 8 * int(np.prod(shapes[i], dtype=object))
        packed = source.zipped or isinstance(hdu, fits.CompImageHDU)
        if packed and needed > MAX_EXPANSION * source.size:
            raise source.error(
                f"promises {needed} bytes in {_names(i, hdu)[0]}, more than a compressed file "
                f"of {source.size} bytes can hold",
                "the header is wrong or the file was cut",
            )
        if not packed:
            held = source.size - hdu.fileinfo()["datLoc"]
            plausible = source.allow_truncated and needed <= MAX_EXPANSION * source.size
            if held < needed and not plausible:
                raise source.error(
                    f"truncated: {_names(i, hdu)[0]} promises {needed} bytes "
                    f"{shapes[i]}, the file holds {max(held, 0)}",
                    "fetch the file again, or read what is there with allow_truncated=True",
                )


def _load(source, index, plane):
    with _opened(source) as hdus:
        hdu = hdus[index]
        data, missing = _pixels(source, hdu, plane)
        header = _merged(hdus, index)
        group = _group(hdus, index, plane)
        header.update(group)
        found = Plane(data, header)
        if missing is not None:
            found.hide(missing)
        if "BLANK" in hdu.header and data.dtype.kind == "f":
            found.hide(np.isnan(data))
        _companions(hdus, index, found)
        found.wcs = split_wcs(header, hdus if "D2IMARR" in hdus or "WCSDVARR" in hdus else None)
        return found


def _pixels(source, hdu, plane):
    shape = _shape(hdu)
    try:
        data = hdu.data
    except (TypeError, ValueError, OSError, EOFError):
        if not source.allow_truncated:
            raise
        return _salvage(source, hdu, plane)
    data = data.reshape(shape)
    return native(data[plane or 0] if len(shape) == 3 else data), None


def _salvage(source, hdu, plane):
    if isinstance(hdu, fits.CompImageHDU) or not hdu.fileinfo():
        raise source.error("truncated, and compressed data cannot be read in part")
    shape = _shape(hdu)
    stored = fits.hdu.image.BITPIX2DTYPE[hdu.header["BITPIX"]]
    dtype = np.dtype(stored).newbyteorder(">")
    rows, columns = shape[-2:]
    start = hdu.fileinfo()["datLoc"] + (plane or 0) * rows * columns * dtype.itemsize
    with source.path.open("rb") as file:
        file.seek(start)
        stream = file.read(rows * columns * dtype.itemsize)
    count = len(stream) // dtype.itemsize
    values = np.frombuffer(stream, dtype, count)
    scale, zero = hdu.header.get("BSCALE", 1), hdu.header.get("BZERO", 0)
    if (scale, zero) != (1, 0):
        values = values * float(scale) + float(zero)
    data = np.zeros(rows * columns, values.dtype.newbyteorder("="))
    data[:count] = values
    missing = np.ones(rows * columns, bool)
    missing[:count] = False
    return data.reshape(rows, columns), missing.reshape(rows, columns)


def _merged(hdus, index):
    header = clean_header(hdus[index].header)
    if index and hdus[0].header.get("NAXIS") == 0:
        primary = clean_header(hdus[0].header)
        for keyword in ("EXTNAME", "EXTVER"):
            primary.remove(keyword, ignore_missing=True)
        primary.update(header)
        return primary
    return header


def _group(hdus, index, plane):
    """Values of one WFPC2-style group: a table with one row per plane of the cube."""
    if plane is None or index != 0 or len(hdus) < 2 or not isinstance(hdus[1], fits.TableHDU):
        return {}
    table = hdus[1].data
    if len(table) != _shape(hdus[0])[0]:
        return {}
    row = table[plane]
    return {
        name: value.strip() if isinstance(value, str) else value.item()
        for name in table.names
        for value in [row[name]]
        if isinstance(value, str) or hasattr(value, "item")
    }


def _companions(hdus, index, found):
    version = hdus[index].ver
    for hdu in hdus[index + 1 :] if index else hdus:
        role = _role(hdu) if hdu.is_image else "science"
        if role in ("science", "other") or hdu.ver != version:
            continue
        values = _companion(hdu, found.data.shape)
        if values is None:
            continue
        if role == "quality":
            found.flags = _whole(values)
        elif role == "mask":
            _mask(hdu, values, found)
        elif np.any(values):
            kind = StdDevUncertainty if role == "error" else VarianceUncertainty
            if str(hdu.header.get("UTYPE", "")).upper().startswith("VAR"):
                kind = VarianceUncertainty
            found.uncertainty = kind(values)


def _whole(flags):
    """Flags as whole numbers, which some programs have stored as reals; None where they are none.

    NaN and infinities say nothing.
    """
    if flags.dtype.kind != "f":
        return flags
    known = np.isfinite(flags)
    whole = np.where(known, flags, 0).astype(np.int32)
    return whole if np.array_equal(whole[known], flags[known]) else None


def _mask(hdu, values, found):
    bits = {key: hdu.header[key] for key in hdu.header if key.startswith("MP_")}
    if bits:
        found.flags = values
        lost = sum(1 << bits[key] for key in _LSST_LOST if bits.get(key) in range(63))
        found.hide((values & lost) != 0)
    else:
        found.hide(values != 0)


def _companion(hdu, shape):
    if hdu.data is None:
        sides = hdu.header.get("NPIX2"), hdu.header.get("NPIX1")
        if sides != shape or "PIXVALUE" not in hdu.header:
            return None
        return np.full(shape, hdu.header["PIXVALUE"])
    return native(hdu.data) if hdu.data.shape == shape else None
