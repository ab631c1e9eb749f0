"""One colour per category, told apart by colour-blind readers, in print and on black."""

from types import MappingProxyType

from ..taxonomy import ARTEFACTS, Category

__all__ = ["CATEGORY_COLORS", "is_broken"]

_YELLOW, _SKY, _ORANGE, _VERMILION = "#F0E442", "#56B4E9", "#E69F00", "#D55E00"
_PURPLE, _GREEN, _BLUE, _WINE = "#CC79A7", "#009E73", "#0072B2", "#882255"

CATEGORY_COLORS = MappingProxyType(
    {
        Category.SPOT: _YELLOW,
        Category.TRACK: _SKY,
        Category.WORM: _ORANGE,
        Category.HEAVY_TRACK: _VERMILION,
        Category.BLOB: _PURPLE,
        Category.DELTA_RAY_TRACK: _GREEN,
        Category.SPALLATION_STAR: _WINE,
        Category.BLEND: _BLUE,
        Category.SOURCE: _YELLOW,
        Category.HOT_PIXEL: _VERMILION,
        Category.BAD_COLUMN: _SKY,
        Category.TERRAIN: _ORANGE,
        Category.SOURCE_TRAIL: _GREEN,
        Category.CTI_TRAIL: _PURPLE,
        Category.UNKNOWN: "#BBBBBB",
    }
)
"""Colour of each `~crismis.taxonomy.Category`, as ``"#rrggbb"``.

The seven colours of Okabe and Ito [1]_ and a wine red. Artefacts use the same colours as
particles; a broken outline sets them apart.

References
----------
.. [1] Okabe, M. & Ito, K. 2008, *Color Universal Design*, https://jfly.uni-koeln.de/color/
"""


def is_broken(category):
    """Whether events of a category get a broken outline, as artefacts do.

    Parameters
    ----------
    category : str or `~crismis.taxonomy.Category`

    Returns
    -------
    bool

    Examples
    --------
    >>> from crismis.view import is_broken
    >>> is_broken("track"), is_broken("hot_pixel")
    (False, True)
    """
    return category in ARTEFACTS
