"""The categories of events and their names in other groups' vocabularies."""

from enum import StrEnum

__all__ = ["ARTEFACTS", "PARTICLES", "Category"]


class Category(StrEnum):
    """What an event is: a kind of particle track, an artefact, or unknown."""

    SPOT = "spot"
    """Compact, without direction."""
    TRACK = "track"
    """Straight: a particle that crossed the detector."""
    WORM = "worm"
    """Curved and wandering: a multiply scattered electron."""
    HEAVY_TRACK = "heavy_track"
    """Wide, dense and long: a heavy ion."""
    BLOB = "blob"
    """Wide, dense and round: a stopping ion or alpha particle."""
    DELTA_RAY_TRACK = "delta_ray_track"
    """Straight with a spur."""
    SPALLATION_STAR = "spallation_star"
    """Three or more prongs from one vertex."""
    BLEND = "blend"
    """Overlapping events."""
    SOURCE = "source"
    """Star or galaxy core."""
    HOT_PIXEL = "hot_pixel"
    """Hot or warm pixel."""
    BAD_COLUMN = "bad_column"
    """Bad column or bleeding."""
    TERRAIN = "terrain"
    """Crater rim or limb."""
    SOURCE_TRAIL = "source_trail"
    """Trailed star or satellite."""
    CTI_TRAIL = "cti_trail"
    """Deferred charge behind a bright pixel."""
    UNKNOWN = "unknown"
    """No category is probable enough."""


ARTEFACTS = frozenset(
    {
        Category.SOURCE,
        Category.HOT_PIXEL,
        Category.BAD_COLUMN,
        Category.TERRAIN,
        Category.SOURCE_TRAIL,
        Category.CTI_TRAIL,
    }
)
"""Categories that are no particles."""

PARTICLES = frozenset(set(Category) - ARTEFACTS - {Category.UNKNOWN})
"""Categories that are particles."""
