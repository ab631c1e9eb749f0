"""PNG, JPEG and TIFF: display values, read with a warning."""

import numpy as np
from astropy.io import fits

from .build import native
from .core import Image, Plane, register_format

__all__ = ["display_images"]

_MARKS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MOST_PIXELS = 1 << 28
_MOST_FRAMES = 1000


@register_format("PNG, JPEG or TIFF", lambda source: source.head.startswith(_MARKS))
def display_images(source):
    """List the pictures of a PNG, JPEG or TIFF file; colours become planes."""
    pillow = _package(source)
    with pillow.open(source.path) as picture:
        width, height = picture.size
        if width * height > _MOST_PIXELS:
            raise source.error(f"promises {width} x {height} pixels, more than is believed")
        frames = min(getattr(picture, "n_frames", 1), _MOST_FRAMES)
        colours = 1 if _is_grey(picture) else len(picture.getbands())
    shape = (height, width) if colours == 1 else (colours, height, width)
    return [
        Image((f"frame {i}", i), shape, lambda plane, i=i: _load(source, i, plane))
        for i in range(frames)
    ]


def _is_grey(picture):
    """Tell whether a picture has no colours, even if it is stored in three equal ones."""
    if len(picture.getbands()) == 1:
        return True
    red, *others = picture.convert("RGB").split()
    return all(np.array_equal(red, other) for other in others)


def _package(source):
    try:
        from PIL import Image as pillow
    except ImportError:
        raise source.error(
            "pictures need the package pillow", 'pip install "crismis[missions]"'
        ) from None
    return pillow


def _load(source, frame, plane):
    pillow = _package(source)
    with pillow.open(source.path) as picture:
        picture.seek(frame)
        array = np.array(picture)
    if array.dtype == bool:
        array = array.astype(np.uint8)
    if array.ndim == 3:
        array = array[..., plane or 0]
    warning = "these are display values, perhaps stretched or compressed: energies mean nothing"
    facts = {"counts": False}
    return Plane(native(np.ascontiguousarray(array)), fits.Header(), facts=facts, warning=warning)
