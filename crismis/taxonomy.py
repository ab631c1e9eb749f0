"""The categories of events and their names in other groups' vocabularies."""

from enum import StrEnum

__all__ = ["ARTEFACTS", "ELSEWHERE", "PARTICLES", "Category", "from_elsewhere"]


class Category(StrEnum):
    """What an event is: a kind of particle track, an artefact, or unknown.

    Members are strings and compare equal to their values, which the column ``category`` of
    events holds.

    Examples
    --------
    >>> from crismis import Category
    >>> Category("worm").elsewhere["Timepix"]
    ('curly track',)
    >>> Category.WORM == "worm", Category.SOURCE.is_artefact
    (True, True)
    """

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

    @property
    def is_artefact(self):
        """Whether it is no particle."""
        return self in ARTEFACTS

    @property
    def elsewhere(self):
        """Names in other groups' vocabularies: dict of vocabulary to tuple of names."""
        return {
            vocabulary: names
            for vocabulary, table in ELSEWHERE.items()
            if (names := tuple(name for name, own in table.items() if self in own))
        }


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

_ANY_ARTEFACT = tuple(c for c in Category if c in ARTEFACTS)

ELSEWHERE = {
    "Groom": {
        "spot": (Category.SPOT,),
        "muon": (Category.TRACK,),
        "worm": (Category.WORM,),
    },
    "Timepix": {
        "dot": (Category.SPOT,),
        "small blob": (Category.SPOT,),
        "straight track": (Category.TRACK,),
        "curly track": (Category.WORM,),
        "heavy track": (Category.HEAVY_TRACK,),
        "heavy blob": (Category.BLOB,),
    },
    "DECO": {
        "spot": (Category.SPOT,),
        "track": (Category.TRACK,),
        "worm": (Category.WORM,),
    },
    "CREDO": {
        "spot": (Category.SPOT,),
        "track": (Category.TRACK,),
        "worm": (Category.WORM,),
        "artefact": _ANY_ARTEFACT,
    },
    "MDIS": {
        "Spot": (Category.SPOT,),
        "Short_Streak": (Category.TRACK,),
        "Long_Streak": (Category.TRACK,),
        "Mixed": (Category.BLEND,),
        "Crater": (Category.TERRAIN,),
        "Space": (Category.TERRAIN,),
    },
    "LASCO": {
        "spallation event": (Category.SPALLATION_STAR,),
    },
}
"""Vocabulary -> name there -> categories here.

Groom: Groom 2002, Experimental Astronomy 14, 45 (CCDs on the ground). Timepix: Holy et al. 2008,
Nucl. Instrum. Methods A 591, 287 (pixel detectors). DECO: Winter et al. 2019, Astroparticle
Physics 104, 42, and CREDO: Hachaj et al. 2021, Sensors 21, 7718 (phones). MDIS: the boxes drawn
on images of MESSENGER's cameras. LASCO: the coronagraphs of SOHO.
"""


def from_elsewhere(vocabulary, name):
    """Translate another group's name to the categories that it can mean here.

    Parameters
    ----------
    vocabulary : str
        A key of ``ELSEWHERE``, case does not matter.
    name : str
        The name there, case does not matter.

    Returns
    -------
    tuple of Category

    Raises
    ------
    KeyError
        If the vocabulary or the name is not known.

    Examples
    --------
    >>> from crismis.taxonomy import from_elsewhere
    >>> print(*from_elsewhere("MDIS", "Long_Streak"))
    track
    >>> len(from_elsewhere("CREDO", "artefact"))
    6
    """
    for known, table in ELSEWHERE.items():
        if known.lower() == vocabulary.lower():
            for word, categories in table.items():
                if word.lower() == name.lower():
                    return categories
            raise KeyError(f"{known} has no {name!r}; it has {', '.join(table)}")
    raise KeyError(f"no vocabulary {vocabulary!r}; known are {', '.join(ELSEWHERE)}")
