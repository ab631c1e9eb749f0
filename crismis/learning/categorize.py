"""Train the classifier of events: from simulation, or from the user's own labelled events."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..events import (
    FEATURES,
    EventClassifier,
    categorize_cosmicrays,
    decide,
    describe,
    measure_events,
    relative_stopping,
    segment,
)
from ..taxonomy import Category
from .trees import average_trees, flatten_trees

__all__ = [
    "CategorizeConfig",
    "LabelledEvents",
    "add_simulated",
    "average_classifiers",
    "coverage_curve",
    "describe_cutout",
    "export_labelling_sheets",
    "find_hits",
    "fit_classifier",
    "fit_on_simulation",
    "labels_from_cutouts",
    "labels_from_table",
]

BLOCK = 100
EASY = 0.97
"""Probability of the truth above which an event is easy."""
EASY_SHARE = 0.25
"""Share of the easy events that are fitted."""
_RARE = ("heavy_track", "blob", "spallation_star", "blend")
WORTH_THINNING = 20_000
LABEL_COLUMN = "true_category"
ENOUGH = 5
"""Fewest labelled events per category that training accepts."""


@dataclass(frozen=True)
class CategorizeConfig:
    """All that determines a classifier that is learned from simulation.

    Parameters
    ----------
    name : str
        Of the model.
    seed : int
    images : int
        Simulated images, see `~crismis.learning.event_samples.simulate_events`.
    pair_images : int
        For each of them so many more with nothing but overlapping pairs.
    iterations : int
        Rounds of boosting.
    rate : float
        How much of a tree's correction is applied.
    leaves : int
        Of each tree, at most.
    unknown_below : float
        Probability below which the classifier abstains.
    average_with : path-like
        Model file of another one that was learned from simulation. The result scores the mean of
        both, of which each errs in its own way.

    Examples
    --------
    >>> from crismis.learning.categorize import CategorizeConfig
    >>> CategorizeConfig(images=200).iterations
    100
    """

    name: str = "categorize"
    seed: int = 7
    images: int = 600
    pair_images: int = 0
    iterations: int = 100
    rate: float = 0.1
    leaves: int = 31
    unknown_below: float = 0.4
    average_with: str = ""

    @classmethod
    def load(cls, path):
        """Read the table ``[categorize]`` of a TOML file; a relative path starts at its folder.

        Raises
        ------
        ValueError
            If the table is missing or has a key that is none of the parameters.
        """
        import tomllib

        path = Path(path)
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        if "categorize" not in content:
            raise ValueError(f"{path}: has no table [categorize]")
        table = content["categorize"]
        strange = set(table) - set(cls.__dataclass_fields__)
        if strange:
            raise ValueError(f"{path}: [categorize] does not know {', '.join(sorted(strange))}")
        if table.get("average_with"):
            table["average_with"] = str(path.parent / table["average_with"])
        return cls(**table)


@dataclass(frozen=True)
class LabelledEvents:
    """Descriptions of events and the category of each.

    Parameters
    ----------
    features : ndarray of float32, shape (n_events, n_features)
        Rows of `crismis.events.describe`.
    category : ndarray of str, shape (n_events,)
        Values of `~crismis.taxonomy.Category`.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.learning.categorize import LabelledEvents, describe_cutout
    >>> image = np.random.default_rng(1).normal(0, 2, (32, 32))
    >>> image[16, 8:24] += 60
    >>> labelled = LabelledEvents(describe_cutout(image)[None], np.array(["track"]))
    >>> len(labelled.category)
    1
    """

    features: np.ndarray
    category: np.ndarray

    def __post_init__(self):
        strange = sorted(set(self.category.tolist()) - {str(c) for c in Category})
        if strange:
            raise ValueError(
                f"labels {', '.join(map(repr, strange))} are not in the taxonomy; "
                f"known are {', '.join(Category)}"
            )

    def __len__(self):
        return len(self.category)


def fit_classifier(
    labelled,
    *,
    name="own",
    estimator=None,
    weights=None,
    calibrate_on=None,
    unknown_below=0.0,
    seed=0,
    notes="",
):
    """Fit a classifier to labelled events and calibrate it.

    Parameters
    ----------
    labelled : LabelledEvents
        Events labelled ``unknown`` are left out.
    name : str
        Name in the model card.
    estimator : scikit-learn classifier, optional
        A forest or `~sklearn.ensemble.HistGradientBoostingClassifier`, not yet fitted; by
        default 400 extremely randomized trees, which suit a few dozen labels as well as
        thousands.
    weights : ndarray, shape (n_events,), optional
        Weight of each event in the fit.
    calibrate_on : LabelledEvents, optional
        Events to calibrate on; by default the same ones, in 5-fold cross-validation.
    unknown_below : float
        Probability below which the classifier abstains.
    seed : int
        Source of all randomness.
    notes : str
        Goes into the model card.

    Returns
    -------
    `~crismis.events.EventClassifier`

    Raises
    ------
    ValueError
        With fewer than two categories, or fewer than 5 events of one.

    Notes
    -----
    The calibration is one temperature by which the logarithms of the probabilities are divided.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.learning.categorize import LabelledEvents, fit_classifier
    >>> from crismis.events import FEATURES
    >>> rng = np.random.default_rng(1)
    >>> features = rng.normal(size=(60, len(FEATURES))).astype(np.float32)
    >>> names = np.where(features[:, 0] > 0, "track", "worm")
    >>> model = fit_classifier(LabelledEvents(features, names))
    >>> print(model.classes_)
    ['track' 'worm']
    """
    from sklearn.ensemble import ExtraTreesClassifier

    weights = np.ones(len(labelled)) if weights is None else np.asarray(weights, dtype=float)
    known = labelled.category != Category.UNKNOWN.value
    features, category, weights = labelled.features[known], labelled.category[known], weights[known]
    classes, count = np.unique(category, return_counts=True)
    if len(classes) < 2 or count.min() < ENOUGH:
        told = ", ".join(f"{n} {c}" for c, n in zip(classes, count, strict=True)) or "none"
        raise ValueError(
            f"training needs two categories with at least {ENOUGH} labelled events each, "
            f"got {told}; label more events"
        )
    if estimator is None:
        estimator = ExtraTreesClassifier(
            400, min_samples_leaf=2, class_weight="balanced", random_state=seed
        )
    estimator.fit(features, category, sample_weight=weights)
    held_out, truth = _held_out(estimator, features, category, weights, calibrate_on, seed)
    arrays, link = flatten_trees(estimator)
    card = {
        "task": "categorize",
        "name": name,
        "notes": notes,
        "classes": classes.tolist(),
        "features": list(FEATURES),
        "events": dict(zip(classes.tolist(), count.tolist(), strict=True)),
        "link": link,
        "temperature": _temperature(held_out, np.searchsorted(classes, truth)),
        "unknown_below": unknown_below,
        "held_out_accuracy": float(np.mean(classes[held_out.argmax(axis=1)] == truth)),
    }
    return EventClassifier(arrays, card)


def _held_out(estimator, features, category, weights, calibrate_on, seed):
    """Probabilities of events that the estimator was not fitted on, and their categories."""
    from sklearn.base import clone
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    if calibrate_on is not None:
        return estimator.predict_proba(calibrate_on.features), calibrate_on.category
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    smaller = clone(estimator)
    if "n_estimators" in smaller.get_params():
        # A hundred trees calibrate as well as many.
        smaller.set_params(n_estimators=min(100, smaller.n_estimators))
    probability = cross_val_predict(
        smaller,
        features,
        category,
        cv=folds,
        method="predict_proba",
        params={"sample_weight": weights},
    )
    return probability, category


def fit_on_simulation(config=None, *, sample=None, folder=None, report=None):
    """Train the general classifier, the way the shipped one was made.

    Parameters
    ----------
    config : CategorizeConfig, optional
    sample : EventSample, optional
        Events simulated before, instead of those of the configuration.
    folder : path-like, optional
        Simulated events are kept in it by hundreds of images, so that a stopped run goes on.
    report : callable, optional
        Called with a sentence at each step.

    Returns
    -------
    `~crismis.events.EventClassifier`

    Notes
    -----
    A tenth of the images calibrates, their pairs thinned to the share of ordinary images. Of
    the other events, those that a quick classifier finds easy are left out but for a quarter,
    which weighs for the others. Rare categories are drawn far more often than nature does.
    Where the detector is unknown, so that a heavy ion can hardly be told from a muon in a
    thicker chip, this would make ions of muons; there ions, nuclear interactions and blends
    weigh a sixth.

    Examples
    --------
    >>> import dataclasses
    >>> import numpy as np
    >>> from crismis.learning.categorize import CategorizeConfig, fit_on_simulation
    >>> from crismis.learning.event_samples import simulate_events
    >>> sample = simulate_events(6, seed=1)
    >>> few = np.isin(sample.category, ["spot", "track"])
    >>> columns = {name: value[few] for name, value in vars(sample).items()}
    >>> sample = dataclasses.replace(sample, **columns)
    >>> model = fit_on_simulation(CategorizeConfig(iterations=20), sample=sample)
    >>> print(model.classes_)
    ['spot' 'track']
    """
    config = CategorizeConfig() if config is None else config
    report = report or (lambda sentence: None)
    other = EventClassifier.load(config.average_with) if config.average_with else None
    sample = _simulated(config, folder, report) if sample is None else sample
    first = np.arange(len(sample)) < 0.9 * len(sample)
    rng = np.random.default_rng(config.seed)
    ordinary = rng.random(len(sample)) < sample.weight
    weights = _thin(sample, np.where(first, _weights(sample), 0.0), rng)
    fitted, calibrating = (
        LabelledEvents(sample.features[part], sample.category[part])
        for part in (weights > 0, ~first & ordinary)
    )
    names, count = np.unique(sample.category, return_counts=True)
    model = fit_classifier(
        fitted,
        name=config.name,
        estimator=_boosting(config.iterations, config.rate, config.leaves, config.seed),
        weights=weights[weights > 0],
        calibrate_on=calibrating,
        unknown_below=config.unknown_below,
        notes=f"simulated events of {len(names)} categories, cameras drawn at random",
    )
    told = ", ".join(f"{n} {c}" for n, c in zip(names, count, strict=True))
    report(f"{len(sample)} events: {told}")
    report(f"fitted {config.iterations} rounds; {_accuracy(model)}")
    if other is not None:
        model = average_classifiers(model, other, calibrating)
        report(f"averaged with {Path(config.average_with).name}; {_accuracy(model)}")
    return model


def _accuracy(model):
    figure = model.card["held_out_accuracy"]
    return f"accuracy on the calibrating tenth, events of one pixel included: {figure:.4f}"


def average_classifiers(first, second, calibrate_on):
    """Join two classifiers of boosted trees to one that scores the mean of both.

    Parameters
    ----------
    first, second : `~crismis.events.EventClassifier`
        The card of the result is that of the first.
    calibrate_on : LabelledEvents
        Events that neither was fitted on.

    Returns
    -------
    `~crismis.events.EventClassifier`

    Raises
    ------
    ValueError
        If they are no boosted trees, or know different categories.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import HistGradientBoostingClassifier
    >>> from crismis.events import FEATURES
    >>> from crismis.learning.categorize import (
    ...     LabelledEvents, average_classifiers, fit_classifier)
    >>> features = np.random.default_rng(1).normal(size=(90, len(FEATURES))).astype(np.float32)
    >>> events = LabelledEvents(features, np.where(features[:, 0] > 0, "track", "worm"))
    >>> first, second = (
    ...     fit_classifier(events, estimator=HistGradientBoostingClassifier(max_iter=n))
    ...     for n in (5, 9)
    ... )
    >>> len(average_classifiers(first, second, events).arrays["roots"])
    14
    """
    kinds = [(model.card["link"], *model.card["classes"]) for model in (first, second)]
    if kinds[0] != kinds[1] or kinds[0][0] != "softmax":
        raise ValueError(
            "only boosted trees for the same categories can be averaged, got "
            + " and ".join(f"{link} of {', '.join(classes)}" for link, *classes in kinds)
        )
    arrays = average_trees(first.arrays, second.arrays)
    joined = EventClassifier(arrays, first.card | {"temperature": 1.0})
    probability = joined.predict_proba(calibrate_on.features)
    truth = np.searchsorted(joined.classes_, calibrate_on.category)
    figures = {
        "temperature": _temperature(probability, truth),
        "held_out_accuracy": float(np.mean(probability.argmax(axis=1) == truth)),
    }
    return EventClassifier(arrays, first.card | figures)


def _boosting(iterations, rate, leaves, seed):
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=iterations,
        learning_rate=rate,
        max_leaf_nodes=leaves,
        l2_regularization=5.0,
        max_features=0.3,
        early_stopping=False,
        random_state=seed,
    )


def _weights(sample):
    """Weights on average 1: those of the sample, rare categories raised, ions unknown lowered."""
    _, kind = np.unique(sample.category, return_inverse=True)
    share = np.bincount(kind, sample.weight)
    weights = sample.weight * share[kind] ** -0.4
    weights[~sample.known & np.isin(sample.category, _RARE)] /= 6
    return weights / weights.mean()


def _thin(sample, weights, rng):
    """Weights after most events were left out that a quick classifier finds easy.

    Those that stay weigh for the others, so that the same is learned in half the time.
    """
    used = np.flatnonzero(weights)
    some = used[rng.random(len(used)) < 0.2]
    if len(some) < WORTH_THINNING:
        return weights
    quick = _boosting(40, 0.15, 31, 0).fit(
        sample.features[some], sample.category[some], sample_weight=weights[some]
    )
    truth = np.searchsorted(quick.classes_, sample.category[used])
    likely = quick.predict_proba(sample.features[used])[np.arange(len(used)), truth]
    share = np.ones(len(weights))
    share[used[likely > EASY]] = EASY_SHARE
    return np.where(rng.random(len(weights)) < share, weights / share, 0.0)


def _simulated(config, folder, report):
    """Events of the configuration, by blocks that depend on the seed and their number only."""
    from .event_samples import EventSample, simulate_events

    parts = []
    for block in range(-(-config.images // BLOCK)):
        name = f"events-{config.seed}-{config.pair_images}-{block:03d}.npz"
        path = folder and Path(folder) / name
        if path and path.exists():
            with np.load(path, allow_pickle=False) as kept:
                part = EventSample(**{name: kept[name] for name in kept.files})
        else:
            n_images = min(BLOCK, config.images - BLOCK * block)
            rng = np.random.default_rng([config.seed, block])
            part = simulate_events(n_images, seed=rng, pair_images=config.pair_images)
            if path:
                path.parent.mkdir(parents=True, exist_ok=True)
                np.savez(path, **vars(part))
        report(f"block {block}: {len(part)} events")
        parts.append(part)
    return EventSample.join(parts)


def add_simulated(labelled, n_images, *, seed=0):
    """Add simulated events of the categories that nobody labelled.

    Without them a classifier trained on tracks and worms can say nothing else.

    Parameters
    ----------
    labelled : LabelledEvents
    n_images : int
        Simulated images, see `~crismis.learning.event_samples.simulate_events`.
    seed : int

    Returns
    -------
    LabelledEvents

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.learning.categorize import LabelledEvents, add_simulated, describe_cutout
    >>> image = np.random.default_rng(1).normal(0, 2, (32, 32))
    >>> image[16, 8:24] += 60
    >>> labelled = LabelledEvents(describe_cutout(image)[None], np.array(["track"]))
    >>> more = add_simulated(labelled, 1)
    >>> more.category[0], len(more.category) > 1
    (np.str_('track'), True)
    """
    from .event_samples import simulate_events

    simulated = simulate_events(n_images, seed=seed)
    names, count = np.unique(simulated.category, return_counts=True)
    absent = names[(count >= ENOUGH) & ~np.isin(names, labelled.category)]
    added = np.isin(simulated.category, absent)
    return LabelledEvents(
        np.concatenate([labelled.features, simulated.features[added]]),
        np.concatenate([labelled.category, simulated.category[added]]),
    )


def _temperature(probability, truth):
    """Softening of the probabilities that makes the truth most likely."""
    from scipy.optimize import minimize_scalar

    scores = np.log(probability + 1e-4)

    def loss(log_temperature):
        softened = scores / np.exp(log_temperature)
        softened -= softened.max(axis=1, keepdims=True)
        likely = softened[np.arange(len(truth)), truth]
        return np.mean(np.log(np.exp(softened).sum(axis=1)) - likely)

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))


def coverage_curve(probability, classes, truth, thresholds=None):
    """How many events get a name, and how many of these names are right, by threshold.

    Parameters
    ----------
    probability : ndarray, shape (n_events, n_classes)
    classes : sequence of str
    truth : sequence of str
    thresholds : sequence of float, optional
        Values of ``unknown_below``; 0 to 0.95 in steps of 0.05 by default.

    Returns
    -------
    thresholds, coverage, accuracy : ndarray
        Coverage is the share of named events, accuracy the share of right names among them,
        NaN where nothing is named.

    Examples
    --------
    >>> from crismis.learning.categorize import coverage_curve
    >>> probability = [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]]
    >>> _, coverage, accuracy = coverage_curve(
    ...     probability, ["track", "worm"], ["track", "worm", "worm"], thresholds=[0.0, 0.7])
    >>> coverage.round(2), accuracy.round(2)
    (array([1.  , 0.67]), array([0.67, 1.  ]))
    """
    thresholds = np.arange(0, 1, 0.05) if thresholds is None else np.asarray(thresholds)
    names, most = decide(probability, classes, 0.0)
    right = names == np.asarray(truth)
    named = [most >= threshold for threshold in thresholds]
    accuracy = [right[n].mean() if n.any() else np.nan for n in named]
    return thresholds, np.array([n.mean() for n in named]), np.array(accuracy)


# ---- the user's labels ----


def find_hits(image, *, seed=8.0, grow=4.0):
    """Find what stands out of a cut-out whose background is flat.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
    seed, grow : float
        Signal-to-noise ratios of the hysteresis. The noise is 1.4826 times the median absolute
        deviation, at least one unit where the image holds integers.

    Returns
    -------
    ndarray of bool, shape (ny, nx)

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.learning.categorize import find_hits
    >>> image = np.random.default_rng(1).normal(0, 2, (32, 32))
    >>> image[16, 8:24] += 60
    >>> int(find_hits(image)[16, 8:24].sum())
    16
    """
    image = np.asarray(image)
    values = image.astype(float)
    background = np.nanmedian(values)
    noise = 1.4826 * np.nanmedian(np.abs(values - background))
    least = 1.0 if image.dtype.kind in "iu" else 1e-6 * np.nanmax(np.abs(values)) or 1.0
    excess = np.nan_to_num((values - background) / max(noise, least), nan=0.0)
    scaled = np.clip(excess / seed, 0, 1)
    return segment(scaled, seed=1.0, grow=grow / seed, bridge=False, deblend=False) > 0


def describe_cutout(image, hits=None):
    """Describe the event with most pixels of a cut-out.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
    hits : ndarray of bool, optional
        The hits; by default `find_hits` finds them.

    Returns
    -------
    ndarray of float32, shape (n_features,)

    Raises
    ------
    ValueError
        If there is no hit in it.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.events import FEATURES
    >>> from crismis.learning.categorize import describe_cutout
    >>> image = np.random.default_rng(1).normal(0, 2, (32, 32))
    >>> image[16, 8:24] += 60
    >>> describe_cutout(image).shape == (len(FEATURES),)
    True
    """
    labels = segment(find_hits(image) if hits is None else hits)
    if not labels.any():
        raise ValueError("a cut-out holds no hit; give its hits, or leave it out")
    events = measure_events(labels, np.asarray(image))
    features = describe(events)
    return features[np.argmax(events.columns["n_pixels"])]


def labels_from_cutouts(path):
    """Read labelled cut-outs.

    Parameters
    ----------
    path : path-like
        NumPy ``.npz`` with ``images`` (n, ny, nx) and ``labels`` (n,), and ``hits``
        (n, ny, nx) if they are known.

    Returns
    -------
    LabelledEvents

    Raises
    ------
    ValueError
        If an array is missing, numbers disagree, or a label is not in the taxonomy.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from crismis.learning.categorize import labels_from_cutouts
    >>> images = np.random.default_rng(1).normal(0, 2, (2, 32, 32))
    >>> images[:, 16, 8:24] += 60
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "cutouts.npz"
    >>> np.savez(path, images=images, labels=["track", "track"])
    >>> labels_from_cutouts(path).category
    array(['track', 'track'], dtype='<U5')
    """
    with np.load(path, allow_pickle=False) as content:
        missing = {"images", "labels"} - set(content.files)
        if missing:
            raise ValueError(f"{path}: has no array {', '.join(sorted(missing))}")
        images, labels = content["images"], content["labels"].astype(str)
        hits = content["hits"].astype(bool) if "hits" in content.files else [None] * len(images)
    if len(images) != len(labels) or len(hits) != len(images):
        raise ValueError(f"{path}: {len(images)} images, but {len(labels)} labels")
    features = [describe_cutout(image, own) for image, own in zip(images, hits, strict=True)]
    return LabelledEvents(np.array(features), labels)


def labels_from_table(path, *, column=LABEL_COLUMN):
    """Read labelled events: a table that names images written by crismis.

    Parameters
    ----------
    path : path-like
        Any table that astropy reads (ECSV, CSV, FITS) with the columns ``file`` (an image
        written by crismis, absolute or relative to the table), ``label`` (the event's label in
        it) and the true category. Rows without a category are left out.
    column : str
        Name of the column of categories.

    Returns
    -------
    LabelledEvents

    Raises
    ------
    ValueError
        If a column or an event is missing, or a category is not in the taxonomy.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import crismis
    >>> from astropy.table import Table
    >>> from crismis.learning.categorize import labels_from_table
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> ccd = crismis.simulate_exposure("HST/WFPC2/PC", 300, shape=(64, 64), seed=1)
    >>> found = crismis.categorize_cosmicrays(ccd, crmask=ccd.truth["deposit"] > 50)
    >>> found.write(folder / "found.fits")
    >>> label = found.events["label"][0]
    >>> rows = Table({"file": ["found.fits"], "label": [label], "true_category": ["spot"]})
    >>> rows.write(folder / "labels.ecsv")
    >>> labels_from_table(folder / "labels.ecsv").category
    array(['spot'], dtype='<U4')
    """
    from astropy.table import Table

    path = Path(path)
    table = Table.read(path)
    missing = {"file", "label", column} - set(table.colnames)
    if missing:
        raise ValueError(
            f"{path}: has no column {', '.join(sorted(missing))}; export a table to fill in "
            "with crismis train categorize --export"
        )
    category = np.asarray(np.ma.filled(table[column], "")).astype(str)
    table, category = table[category != ""], category[category != ""]
    features = np.zeros((len(table), len(FEATURES)), np.float32)
    for file in dict.fromkeys(table["file"]):
        rows = np.flatnonzero(table["file"] == file)
        features[rows] = _describe_labels(path.parent / str(file), np.asarray(table["label"][rows]))
    return LabelledEvents(features, category)


def _describe_labels(path, wanted):
    from astropy import units as u

    from ..ccddata import CosmicRayCCDData
    from ..detectors import electrons_per_unit, get_detector

    ccd = CosmicRayCCDData.read(path)
    if ccd.segmentation is None:
        raise ValueError(f"{path}: holds no events; label images that crismis run has written")
    events = measure_events(ccd.segmentation, ccd.original, probability=ccd.probability)
    scale, unit = electrons_per_unit(ccd)
    stopping = relative_stopping(
        events.columns, scale if unit == u.electron else np.nan, get_detector(ccd)
    )
    features = describe(events, stopping)
    lost = np.setdiff1d(wanted, events.pixels.labels)
    if lost.size:
        raise ValueError(f"{path}: holds no event {lost[0]}")
    return features[np.searchsorted(events.pixels.labels, wanted)]


def export_labelling_sheets(images, folder, *, per_sheet=96, size=32, limit=960):
    """Write cut-outs of events as numbered pictures, and a table to fill in.

    Parameters
    ----------
    images : iterable of path-like
        FITS images written by crismis.
    folder : path-like
        Gets ``sheet-001.png`` ... and ``labels.ecsv`` with one row per cut-out: ``number``,
        ``sheet``, ``file``, ``label``, ``category`` (what crismis says) and an empty
        ``true_category``.
    per_sheet : int
        Cut-outs per picture.
    size : int
        Side of a cut-out in pixels.
    limit : int
        At most so many events, the largest.

    Returns
    -------
    `~astropy.table.Table`

    Raises
    ------
    ValueError
        If no image holds events.
    FileExistsError
        If the folder has a ``labels.ecsv``: it may hold somebody's work.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import crismis
    >>> from crismis.learning.categorize import export_labelling_sheets
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> ccd = crismis.simulate_exposure("HST/WFPC2/PC", 300, shape=(64, 64), seed=1)
    >>> found = crismis.categorize_cosmicrays(ccd, crmask=ccd.truth["deposit"] > 50)
    >>> found.write(folder / "found.fits")
    >>> table = export_labelling_sheets([folder / "found.fits"], folder / "sheets", limit=4)
    >>> table.colnames
    ['number', 'sheet', 'file', 'label', 'n_pixels', 'category', 'true_category']
    """
    from astropy.table import Table

    folder = Path(folder)
    target = folder / "labels.ecsv"
    if target.exists():
        raise FileExistsError(f"{target} exists and may hold labels; choose another folder")
    rows, stamps = [], []
    for path in images:
        for event, stamp in _cut_out(path, size):
            rows.append((str(Path(path).resolve()), *event))
            stamps.append(stamp)
    if not rows:
        raise ValueError("no image holds events; give images that crismis run has written")
    largest = np.argsort([-row[2] for row in rows], kind="stable")[:limit]
    rows, stamps = [rows[i] for i in largest], [stamps[i] for i in largest]
    folder.mkdir(parents=True, exist_ok=True)
    for first in range(0, len(stamps), per_sheet):
        sheet = folder / f"sheet-{first // per_sheet + 1:03d}.png"
        _draw_sheet(sheet, stamps[first : first + per_sheet], first)
    table = Table(rows=rows, names=("file", "label", "n_pixels", "category"))
    table.add_column(np.arange(len(table)), name="number", index=0)
    table.add_column(table["number"] // per_sheet + 1, name="sheet", index=1)
    table[LABEL_COLUMN] = np.full(len(table), "", dtype="<U15")
    table.write(target)
    return table


def _cut_out(path, size):
    from ..ccddata import CosmicRayCCDData

    ccd = CosmicRayCCDData.read(path)
    if ccd.segmentation is None:
        return
    if ccd.events is None or "category" not in ccd.events.colnames:
        ccd = categorize_cosmicrays(ccd)
    image, labels = ccd.original, ccd.segmentation.data
    half = size // 2
    padded = np.pad(image.astype(float), half, mode="edge")
    own = np.pad(labels, half)
    for event in ccd.events:
        x, y = (round(event[f"{axis}_centroid"].value) for axis in "xy")
        window = np.s_[y : y + size, x : x + size]
        cut = padded[window] - np.nanmedian(padded[window])
        yield (
            (int(event["label"]), int(event["n_pixels"]), str(event["category"])),
            (cut, own[window] == event["label"]),
        )


def _draw_sheet(path, stamps, first):
    """One picture of cut-outs, square-root stretched, the event outlined, with numbers."""
    import matplotlib.pyplot as plt

    columns = 12
    rows = -(-len(stamps) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(columns, rows * 1.15), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for number, (axis, (cut, own)) in enumerate(zip(axes.flat, stamps, strict=False), first):
        peak = max(np.nanmax(np.where(own, cut, 0)), 1e-12)
        axis.imshow(np.sqrt(np.clip(cut / peak, 0, 1)), cmap="gray", origin="lower")
        axis.contour(own, [0.5], colors="tab:red", linewidths=0.5)
        axis.set_title(number, fontsize=7, pad=1)
    figure.tight_layout(pad=0.2)
    figure.savefig(path, dpi=120)
    plt.close(figure)
