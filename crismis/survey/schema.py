"""The columns of the catalog: name, type, unit and meaning, and the version of the whole.

The migration rule: columns are only ever added, always nullable, and each addition raises
`SCHEMA_VERSION` by one. A column never changes its meaning, unit or type; what needs that gets
a new name. So every older catalog reads as a newer one with nulls, and a catalog that is newer
than the reader is refused.
"""

from functools import cache

from ..errors import CatalogError
from ..taxonomy import Category

__all__ = ["BOOKKEEPING", "SCHEMA_VERSION", "TABLES", "arrow_schema", "check_version"]

SCHEMA_VERSION = 2
"""Version of the columns below: 2 added those of ``events`` from ``straightness`` on."""

_EXPOSURES = [
    (
        "exposure_id",
        "int64",
        "",
        "identity of the image: digest of path and place in the file",
    ),
    ("path", "string", "", "input file"),
    ("image", "int32", "", "place of the image in its file, from 0"),
    ("extension", "string", "", "EXTNAME, EXTVER or other label of the image in its file"),
    ("status", "string", "", "'ok' or 'error'"),
    ("error", "string", "", "why there is no result"),
    ("notes", "string", "", "warnings, one a line"),
    ("checksum", "string", "", "SHA-256 of the input file"),
    ("size", "int64", "byte", "size of the input file"),
    ("modified", "int64", "ns", "modification time of the input file since 1970, UTC"),
    ("instrument", "string", "", "from the header"),
    ("detector", "string", "", "name for crismis.get_detector"),
    ("target", "string", "", "from the header"),
    ("filter", "string", "", "from the header"),
    (
        "product",
        "string",
        "",
        "what earlier steps did to hits: cleaned, stacked, resampled",
    ),
    ("date", "timestamp", "", "start of the exposure, UTC"),
    ("exposure_time", "float64", "s", "from the header"),
    ("temperature", "float64", "K", "of the detector"),
    ("gain", "float64", "electron / DN", "that was used"),
    ("readnoise", "float64", "electron", "that was used"),
    ("unit", "string", "", "unit of the image"),
    ("rows", "int32", "pix", "height of the image"),
    ("columns", "int32", "pix", "width of the image"),
    ("pixel_area", "float64", "cm2", "area of one binned pixel"),
    ("masked_fraction", "float64", "", "masked or non-finite pixels of the input"),
    ("live_area", "float64", "cm2", "area in which hits count"),
    ("live_time", "float64", "s", "time in which hits gathered: exposure and wait for readout"),
    ("rate", "float64", "1 / (cm2 s)", "particle hits, as detected"),
    ("rate_lower", "float64", "1 / (cm2 s)", "lower end of the 68.3 % interval"),
    ("rate_upper", "float64", "1 / (cm2 s)", "upper end of the 68.3 % interval"),
    ("rate_reason", "string", "", "why there is no rate"),
    ("lost_fraction", "float64", "", "live pixels that hits spoiled"),
    ("n_events", "int32", "", "events of every category"),
    ("n_hit_pixels", "int64", "pix", "pixels flagged as hit"),
    ("charge", "float64", "electron", "sum over all events"),
    *((f"n_{category}", "int32", "", f"events of category {category}") for category in Category),
    ("cleaned", "string", "", "cleaned image, relative to the output folder"),
    ("overlay", "string", "", "overlay picture, relative to the output folder"),
    ("method", "string", "", "how hits were identified"),
    ("model", "string", "", "name and checksum of the identification model"),
    ("classifier", "string", "", "name and checksum of the categorization model"),
    ("settings", "string", "", "digest of everything that shapes the result, models included"),
    ("software", "string", "", "version of crismis"),
    ("finished", "timestamp", "", "when the image was done, UTC"),
    ("host", "string", "", "machine that did it"),
    ("read_time", "float32", "s", "reading and decoding"),
    ("identify_time", "float32", "s", "identification and repair"),
    ("categorize_time", "float32", "s", "segmentation, measurement, categorization"),
    ("write_time", "float32", "s", "writing products"),
]

_EVENTS = [
    ("exposure_id", "int64", "", "row of the exposures table"),
    ("date", "timestamp", "", "start of the exposure, UTC"),
    ("instrument", "string", "", "of the exposure"),
    ("label", "int32", "", "label in the segmentation plane CRSEG"),
    ("x_centroid", "float32", "pix", "charge-weighted column, from 0"),
    ("y_centroid", "float32", "pix", "charge-weighted row, from 0"),
    ("bbox_xmin", "int32", "pix", "first column"),
    ("bbox_xmax", "int32", "pix", "last column"),
    ("bbox_ymin", "int32", "pix", "first row"),
    ("bbox_ymax", "int32", "pix", "last row"),
    ("n_pixels", "int32", "pix", "pixels of the event"),
    ("charge", "float32", "electron", "sum over the event, background subtracted"),
    ("peak", "float32", "electron", "highest pixel, background subtracted"),
    ("charge_dn", "float32", "DN", "charge of images whose gain is unknown, else null"),
    ("peak_dn", "float32", "DN", "peak of images whose gain is unknown, else null"),
    ("energy", "float32", "keV", "deposited energy"),
    ("length", "float32", "pix", "along the event"),
    ("width", "float32", "pix", "across the event"),
    ("orientation", "float32", "deg", "of the long axis, from the x axis counter-clockwise"),
    ("elongation", "float32", "", "ratio of the axes, as photutils defines it"),
    ("size_sigma", "float32", "pix", "second-moment size of Miles et al. 2021"),
    ("anisotropy", "float32", "", "second-moment shape of Miles et al. 2021"),
    ("curvature", "float32", "1 / pix", "of the charge-weighted parabola through the event"),
    ("skewness", "float32", "", "of the charge along the event"),
    ("kurtosis", "float32", "", "of the charge along the event"),
    ("background", "float32", "electron", "median around the event"),
    ("noise", "float32", "electron", "spread around the event"),
    ("probability", "float32", "", "mean hit probability of its pixels"),
    ("category", "string", "", "most probable category"),
    ("category_probability", "float32", "", "probability of that category"),
    ("flags", "int32", "", "bits of the event"),
    ("deposited_charge", "float32", "electron", "event and its wings, background subtracted"),
    ("deposited_charge_error", "float32", "electron", "standard error"),
    ("deposited_energy", "float32", "keV", "deposited_charge times the pair energy"),
    ("deposited_energy_error", "float32", "keV", "standard error"),
    ("track_length", "float32", "pix", "projected, diffusion taken out"),
    ("azimuth", "float32", "deg", "of the track, from the x axis counter-clockwise"),
    ("inclination", "float32", "deg", "to the surface normal; null if thickness is unknown"),
    ("path_length", "float32", "um", "through the detector; null if thickness is unknown"),
    ("dedx", "float32", "keV / um", "deposited energy per path"),
    ("let", "float32", "MeV cm2 / mg", "the same over the density of silicon"),
    ("straightness", "float32", "", "distance of the ends over the way between them"),
    ("n_branches", "int32", "", "ways that leave the way between the ends"),
    ("n_prongs", "int32", "", "ends of the skeleton, 0 for one or two pixels"),
    ("track_length_error", "float32", "pix", "standard error"),
    ("azimuth_error", "float32", "deg", "standard error"),
    ("width_start", "float32", "pix", "rms width of the end with the smaller x"),
    ("width_end", "float32", "pix", "rms width of the other end"),
    ("deep_end_x", "float32", "pix", "column of the end where charge diffused most"),
    ("deep_end_y", "float32", "pix", "row of that end"),
]

TABLES = {"exposures": _EXPOSURES, "events": _EVENTS}
"""Table -> rows of (name, type, unit, meaning)."""

BOOKKEEPING = (
    "finished",
    "host",
    "read_time",
    "identify_time",
    "categorize_time",
    "write_time",
)
"""Columns of ``exposures`` that differ between two runs with the same result."""


@cache
def arrow_schema(table):
    """Return the Arrow schema of a table, units and meanings as field metadata.

    Parameters
    ----------
    table : {"exposures", "events"}

    Returns
    -------
    pyarrow.Schema

    Examples
    --------
    >>> from crismis.survey import arrow_schema
    >>> schema = arrow_schema("events")
    >>> schema.field("x_centroid").type
    DataType(float)
    """
    import pyarrow as pa

    types = {
        "int32": pa.int32(),
        "int64": pa.int64(),
        "float32": pa.float32(),
        "float64": pa.float64(),
        "string": pa.string(),
        "timestamp": pa.timestamp("us"),
    }
    return pa.schema(
        [
            pa.field(name, types[kind], metadata={"unit": unit, "description": meaning})
            for name, kind, unit, meaning in TABLES[table]
        ],
        metadata={"crismis_schema": str(SCHEMA_VERSION), "crismis_table": table},
    )


def check_version(file):
    """Refuse a part of a catalog that a newer crismis wrote.

    Parameters
    ----------
    file : path-like
        Parquet file.

    Raises
    ------
    CatalogError
        If it is newer than `SCHEMA_VERSION` or has no version.
    """
    import pyarrow.parquet as pq

    metadata = pq.read_schema(file).metadata or {}
    version = int(metadata.get(b"crismis_schema", 0))
    if not 1 <= version <= SCHEMA_VERSION:
        raise CatalogError(
            f"{file}: catalog schema {version}, this crismis reads up to {SCHEMA_VERSION}; "
            "use the version of crismis that wrote it, or a newer one"
        )
