"""Labelled events for the classifier: simulated particles and artefacts, many cameras."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.special import ndtr

from ..detectors import Detector
from ..events import Footprints, describe, measure_events, relative_stopping, segment
from ..events._kernels import LEVEL_FEATURES, SHORTEST_BRANCH, level_descriptors
from ..events.measure import measure_footprints
from ..simulate import simulate_stamps
from ..taxonomy import ARTEFACTS, Category

__all__ = [
    "Camera",
    "Deposit",
    "EventSample",
    "draw_camera",
    "observed_category",
    "simulate_events",
    "simulate_examples",
]

HELD_OUT_SEED = 987_654
"""Seed of the events that no shipped model was trained on."""

FIELD = 384
SPACING = 34
PARTICLES = {
    "muon": 2.0,
    "muon-upright": 2.0,
    "proton-minimum": 1.0,
    "electron": 4.0,
    "gamma": 4.0,
    "xray": 0.5,
    "alpha": 0.6,
    "stopping-ion": 0.6,
    "iron-minimum": 0.4,
    "helium-minimum": 0.5,
    "spallation": 2.0,
}
"""Shares of kinds of particles: rare ones are drawn far more often than nature does."""

_WANTED = {"delta_ray_track": 10.0, "worm": 2.0, "heavy_track": 0.4, "spallation_star": 1.5}
_BOX = ("bbox_ymin", "bbox_ymax", "bbox_xmin", "bbox_xmax")
ARTEFACT_SHARE = 0.35
BLEND_SHARE = 0.2


@dataclass(frozen=True)
class Camera:
    """One camera and its exposure, as drawn by `draw_camera`.

    Parameters
    ----------
    detector : Detector
        Pitch, thickness, diffusion, gain, read noise and binning.
    sky : float
        Electrons per pixel.
    seed_level, grow_level : float
        Signal-to-noise ratios of the hysteresis that makes the hits.
    blur : float
        Gaussian blur of the digital image in pixels (demosaicking, compression).
    bits : int
        Bits of the digital numbers, 0 for electrons as floating-point numbers.
    known : bool
        Whether gain, pitch and thickness are told to the classifier.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.learning.event_samples import draw_camera
    >>> camera = draw_camera(np.random.default_rng(1))
    >>> camera.bits in (0, 8, 10, 12, 14, 16), bool(camera.sky >= 0)
    (True, True)
    """

    detector: Detector
    sky: float
    seed_level: float
    grow_level: float
    blur: float
    bits: int
    known: bool

    @property
    def noise(self):
        """Noise of an empty pixel in electrons."""
        return float(np.hypot(self.detector.readnoise, np.sqrt(self.sky)))


@dataclass(frozen=True)
class EventSample:
    """Descriptions and true categories of events.

    Parameters
    ----------
    features : ndarray of float32, shape (n_events, n_features)
    category : ndarray of str, shape (n_events,)
    n_pixels : ndarray of int, shape (n_events,)
    snr : ndarray of float, shape (n_events,)
        Mean signal-to-noise ratio of the pixels.
    known : ndarray of bool, shape (n_events,)
        Whether gain, pitch and thickness of the detector were told.
    weight : ndarray of float, shape (n_events,)
        How many events of an ordinary image each stands for, less than 1 for pairs of which
        more were drawn.

    Examples
    --------
    >>> from crismis.learning.event_samples import simulate_events
    >>> sample = simulate_events(1, seed=1)
    >>> sample.features.shape[0] == len(sample.category)
    True
    """

    features: np.ndarray
    category: np.ndarray
    n_pixels: np.ndarray
    snr: np.ndarray
    known: np.ndarray
    weight: np.ndarray

    def __len__(self):
        return len(self.category)

    @classmethod
    def join(cls, samples):
        """Put samples one after another."""
        names = cls.__dataclass_fields__
        return cls(*(np.concatenate([getattr(s, name) for s in samples]) for name in names))


def draw_camera(rng):
    """Draw a camera: pitch 7 to 40 um (now and then a phone's), thickness 10 to 300 um.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.learning.event_samples import draw_camera
    >>> camera = draw_camera(np.random.default_rng(1))
    >>> bool(1 <= camera.detector.pitch <= 40)
    True
    """
    if phone := rng.random() < 0.25:
        pitch, thickness = _log_uniform(rng, 1.0, 3.0), _log_uniform(rng, 2.0, 12.0)
        binning = (1, 1)
    else:
        pitch, thickness = _log_uniform(rng, 7.0, 40.0), _log_uniform(rng, 10.0, 300.0)
        binning = ((1, 1), (1, 1), (2, 2))[rng.integers(3)]
    detector = Detector(
        "drawn",
        pitch=pitch,
        thickness=thickness,
        gain=1.0,
        readnoise=_log_uniform(rng, 2.0, 30.0),
        diffusion=rng.uniform(0.1, 0.7) * pitch,
        binning=binning,
    )
    digital = phone or rng.random() < 0.15
    grow = rng.uniform(2.0, 5.0)
    return Camera(
        detector=detector,
        sky=_log_uniform(rng, 1.0, 2000.0),
        seed_level=grow + rng.uniform(0.5, 5.0),
        grow_level=grow,
        blur=rng.uniform(0.3, 0.8) if digital and rng.random() < 0.7 else 0.0,
        bits=8 if digital else (0, 16)[rng.integers(2)],
        known=not digital and rng.random() < 0.75,
    )


def simulate_events(n_images, *, seed=None, camera=None, particles=None, pair_images=0):
    """Simulate labelled events on images of randomly drawn cameras.

    Each image holds particles, pairs of overlapping particles and artefacts on a grid of
    jittered places; hits are found by hysteresis, joined to events and described exactly as
    `~crismis.categorize_cosmicrays` does. An event is labelled by the object that owns most
    of its charge; particles get the name of what can be seen (`observed_category`). Events of
    which nobody can say what they are, such as fragments, are left out.

    Parameters
    ----------
    n_images : int
        Images of 384 x 384 pixels, about 60 events each.
    seed : int or `~numpy.random.Generator`, optional
        Source of all randomness.
    camera : Camera or callable, optional
        One camera for all images, or a function of a generator that draws one.
    particles : mapping, optional
        Shares of the kinds of particles, see `~crismis.simulate.mixture`.
    pair_images : int
        For each image so many more with nothing but overlapping pairs of its particles. The pairs
        are drawn like those of an ordinary image, among as many particles but no artefacts, and
        weigh less for being more.

    Returns
    -------
    EventSample

    Examples
    --------
    >>> from crismis.learning.event_samples import simulate_events
    >>> sample = simulate_events(1, seed=1)
    >>> "track" in sample.category
    True
    """
    rng = np.random.default_rng(seed)
    samples = []
    for _ in range(n_images):
        drawn = camera if isinstance(camera, Camera) else (camera or draw_camera)(rng)
        samples += _simulate_images(drawn, particles or PARTICLES, rng, pair_images)
    return EventSample.join(samples)


def _log_uniform(rng, low, high):
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def simulate_examples(n_images, *, seed=None, size=40):
    """Cut out simulated events of 4 or more pixels, by category.

    Parameters
    ----------
    n_images : int
    seed : int or `~numpy.random.Generator`, optional
    size : int
        Side of the cut-outs in pixels; larger events and those near an edge are left out.

    Returns
    -------
    dict of str to list of tuple
        Category -> cut-out above the background and the pixels of the event, both of shape
        (size, size).

    Examples
    --------
    >>> from crismis.learning.event_samples import simulate_examples
    >>> examples = simulate_examples(1, seed=1)
    >>> cut, own = examples["track"][0]
    >>> cut.shape, bool(own.sum() >= 4)
    ((40, 40), True)
    """
    rng = np.random.default_rng(seed)
    examples, half = {}, size // 2
    for _ in range(n_images):
        camera = draw_camera(rng)
        canvas = _paint(camera, _draw_stock(camera, PARTICLES, rng), rng)
        seen = _observe(camera, canvas, canvas.image, rng)
        columns = seen.events.columns
        for number in np.flatnonzero(seen.truth != ""):
            box = {name: columns[name][number] for name in _BOX}
            y = (box["bbox_ymin"] + box["bbox_ymax"]) // 2
            x = (box["bbox_xmin"] + box["bbox_xmax"]) // 2
            window = np.s_[y - half : y + half, x - half : x + half]
            own = seen.labels[window] == columns["label"][number]
            if own.shape == (size, size) and own.sum() == columns["n_pixels"][number] > 3:
                cut = seen.image[window] - columns["background"][number]
                examples.setdefault(str(seen.truth[number]), []).append((cut, own))
    return examples


def _simulate_images(camera, particles, rng, pair_images):
    """Events of an ordinary image, and of more with pairs of the same particles."""
    stock = _draw_stock(camera, particles, rng)
    canvases = [_paint(camera, stock, rng)]
    more = (_paint_pairs(camera, stock, rng) for _ in range(pair_images))
    canvases += [canvas for canvas in more if canvas.n_pairs]
    # Each pair stands for its share of those that the ordinary image holds.
    weight = canvases[0].n_pairs / max(sum(canvas.n_pairs for canvas in canvases), 1)
    return [
        _describe(camera, _observe(camera, canvas, canvases[0].image, rng), weight, number > 0)
        for number, canvas in enumerate(canvases)
    ]


def _describe(camera, seen, weight, only_pairs):
    columns = seen.events.columns
    electrons_per_unit = 1 / seen.gain if camera.known else np.nan
    stopping = relative_stopping(columns, electrons_per_unit, camera.detector)
    keep = (seen.truth != "") & (seen.in_pair if only_pairs else True)
    return EventSample(
        features=describe(seen.events, stopping)[keep],
        category=seen.truth[keep],
        n_pixels=columns["n_pixels"][keep],
        snr=(columns["charge"] / columns["n_pixels"] / np.maximum(columns["noise"], 1e-6))[keep],
        known=np.full(keep.sum(), camera.known),
        weight=np.where(seen.in_pair, weight, 1.0)[keep],
    )


@dataclass(frozen=True)
class _Observed:
    """An exposure and the events found in it, the true name of each, and which are of a pair."""

    image: np.ndarray
    gain: float
    labels: np.ndarray
    events: object
    truth: np.ndarray
    in_pair: np.ndarray


def _observe(camera, canvas, scene, rng):
    """Expose an image with the gain that suits the charge of a scene, and look for events."""
    image, gain = _expose(camera, canvas.image, scene, rng)
    hits = _find_hits(camera, canvas, image / gain - camera.sky, rng)
    labels = segment(hits)
    events = measure_events(labels, image)
    truth, owner = _true_labels(labels, events, canvas, camera, gain)
    return _Observed(image, gain, labels, events, truth, np.array(canvas.in_pair)[owner])


class _Canvas:
    """Objects on an image: who put how many electrons where, and where hits may be found."""

    def __init__(self, blur):
        self.image = np.zeros((FIELD, FIELD))
        self.allowed = np.ones((FIELD, FIELD), bool)
        self.blur = blur
        self.names = []
        self.parts = []
        self.truth = []
        self.in_pair = []
        self.n_pairs = 0

    def add(self, category, rows, columns, electrons, hits=None, truth=None, in_pair=False):
        """Add an object; ``hits``: which of its pixels a finder takes for hits, default all."""
        if self.blur and hits is None:
            rows, columns, electrons = _blurred(rows, columns, electrons, self.blur)
        inside = (rows >= 0) & (rows < FIELD) & (columns >= 0) & (columns < FIELD)
        rows, columns, electrons = rows[inside], columns[inside], electrons[inside]
        np.add.at(self.image, (rows, columns), electrons)
        if hits is not None:
            missed = ~hits[inside]
            self.allowed[rows[missed], columns[missed]] = False
        flat = rows * FIELD + columns
        self.parts.append((flat, np.full(flat.size, len(self.names)), electrons))
        self.names.append(str(category))
        self.truth.append(truth)
        self.in_pair.append(in_pair)


def _blurred(rows, columns, electrons, blur):
    y, x = rows.min() - 3, columns.min() - 3
    stamp = np.zeros((rows.max() - y + 4, columns.max() - x + 4))
    np.add.at(stamp, (rows - y, columns - x), electrons)
    stamp = ndimage.gaussian_filter(stamp, blur, mode="constant", truncate=3)
    rows, columns = np.nonzero(stamp)
    return rows + y, columns + x, stamp[rows, columns]


@dataclass(frozen=True)
class _Stock:
    """Places on a jittered grid, how many of them hold what, and particles to choose from."""

    cells: np.ndarray
    n_single: int
    n_pairs: int
    prints: object
    truth: object


def _draw_cells(rng, share=1.0):
    middles = np.arange(SPACING // 2, FIELD, SPACING)
    cells = np.array([(y, x) for y in middles for x in middles])
    cells = cells[rng.random(len(cells)) < share * rng.uniform(0.4, 1.0)]
    return cells + rng.integers(-5, 6, cells.shape)


def _draw_stock(camera, particles, rng):
    cells = _draw_cells(rng)
    lot = rng.random(len(cells))
    n_pairs = int((lot < BLEND_SHARE).sum())
    n_single = len(cells) - n_pairs - int((lot > 1 - ARTEFACT_SHARE).sum())
    prints, truth = simulate_stamps(
        camera.detector,
        8 * (n_single + 2 * n_pairs),
        particles=particles,
        seed=rng,
        visible=camera.grow_level * camera.noise,
        repulsion=True,
    )
    return _Stock(cells, n_single, n_pairs, prints, truth)


def _paint(camera, stock, rng):
    """Place particles, overlapping pairs and artefacts."""
    canvas = _Canvas(camera.blur)
    visible = iter(_even_choice(stock.truth, rng))
    for number, (y, x) in enumerate(stock.cells):
        if number >= stock.n_single + stock.n_pairs:
            _ARTEFACTS[rng.integers(len(_ARTEFACTS))](canvas, camera, y, x, rng)
            continue
        event = next(visible, None)
        if event is None:
            break
        if number < stock.n_single:
            _put(canvas, stock, event, y, x)
        else:
            _put_pair(canvas, stock, event, next(visible, None), y, x, rng)
    return canvas


def _paint_pairs(camera, stock, rng):
    """Place nothing but pairs, chosen like those of an ordinary image, as densely as there."""
    canvas = _Canvas(camera.blur)
    chosen = np.zeros((0, 2), int)
    cells = _draw_cells(rng, share=0.5)
    while stock.n_pairs and len(chosen) < len(cells):
        visible = _even_choice(stock.truth, rng)[stock.n_single :][: 2 * stock.n_pairs]
        pairs = visible[: len(visible) // 2 * 2].reshape(-1, 2)
        if len(pairs) == 0:
            break
        chosen = np.concatenate([chosen, pairs])
    for (first, second), (y, x) in zip(chosen, cells, strict=False):
        _put_pair(canvas, stock, first, second, y, x, rng)
    return canvas


def _even_choice(truth, rng):
    """Order the visible events at random, rare categories and larger events first."""
    visible = np.flatnonzero(truth["n_visible"] >= 1)
    names, kind, count = np.unique(
        np.asarray(truth["category"])[visible], return_inverse=True, return_counts=True
    )
    wanted = np.array([_WANTED.get(name, 1.0) for name in names])
    weight = (wanted * count**-0.8)[kind] * np.minimum(
        np.asarray(truth["n_visible"])[visible], 30
    ) ** 0.7
    return visible[np.argsort(rng.exponential(size=visible.size) / weight)]


def _put_pair(canvas, stock, first, second, y, x, rng):
    """Put a particle, and another one on a pixel of it if there is one left."""
    rows, columns = _put(canvas, stock, first, y, x, in_pair=True)
    if second is not None:
        touch = rng.integers(len(rows))
        _put(canvas, stock, second, rows[touch], columns[touch], in_pair=True)
    canvas.n_pairs += 1


def _put(canvas, stock, event, y, x, in_pair=False):
    prints, truth = stock.prints, stock.truth
    own = slice(prints.offsets[event], prints.offsets[event + 1])
    rows, columns, charge = prints.rows[own], prints.columns[own], prints.charge[own]
    shift = (
        y - int(np.average(rows, weights=charge)),
        x - int(np.average(columns, weights=charge)),
    )
    rows, columns = rows + shift[0], columns + shift[1]
    start = (truth["y_entry"][event].value + shift[0], truth["x_entry"][event].value + shift[1])
    facts = {
        "kind": str(truth["kind"][event]),
        "entry": start,
        "charge": float(truth["charge"][event].value),
        "path": float(truth["path_length"][event].value),
    }
    canvas.add("particle", rows, columns, charge.astype(float), truth=facts, in_pair=in_pair)
    return rows, columns


def _expose(camera, charge, scene, rng):
    """Image in digital numbers (or electrons) and the factor from electrons to them."""
    expected = np.maximum(charge + camera.sky, 0.0)
    noise = rng.poisson(expected) - expected
    noise += rng.normal(0, camera.detector.readnoise, expected.shape)
    if camera.blur:
        noise = ndimage.gaussian_filter(noise, camera.blur)
    image = expected + noise
    if camera.bits == 0:
        return image.astype(np.float32), 1.0
    if camera.bits == 8:
        bright = scene[scene > 5 * camera.noise]
        full = np.quantile(bright, rng.uniform(0.6, 0.999)) if bright.size else 1e3
        gain = 255 / (camera.sky + max(full, 30 * camera.noise))
        return np.clip(np.rint(image * gain), 0, 255).astype(np.float32), gain
    gain = 1 / _log_uniform(rng, 0.5, 5.0)
    return np.rint(image * gain).astype(np.float32), gain


def _find_hits(camera, canvas, signal, rng):
    """Hits as a finder would give them: hysteresis, now and then grown or with holes."""
    noise = camera.noise * (1.0 if not camera.blur else 0.6)
    above = (signal > camera.grow_level * noise) & canvas.allowed
    labels, count = ndimage.label(above, structure=np.ones((3, 3)))
    kept = np.zeros(count + 1, bool)
    kept[labels[above & (signal > camera.seed_level * noise)]] = True
    kept[0] = False
    hits = kept[labels]
    style = rng.random()
    if style < 0.15:
        hits = ndimage.binary_dilation(hits) & canvas.allowed
    elif style < 0.3:
        hits &= rng.random(hits.shape) > 0.03
    return hits


def _true_labels(labels, events, canvas, camera, gain):
    """Category of each event by what can be seen of it, empty where nobody can say; its owner."""
    flat, who, electrons = (np.concatenate(part) for part in zip(*canvas.parts, strict=True))
    n_objects, n_events = len(canvas.names), len(events.pixels)
    names = np.array(canvas.names)
    event = np.searchsorted(events.pixels.labels, labels.ravel()[flat])
    inside = labels.ravel()[flat] > 0
    key = event[inside] * n_objects + who[inside]
    share = np.bincount(key, electrons[inside], n_events * n_objects)
    share = share.reshape(n_events, -1)
    order = np.argsort(share, axis=1)
    rows = np.arange(n_events)
    first, second = order[:, -1], order[:, -2]
    visible = np.bincount(who, np.maximum(electrons, 0) * canvas.allowed.ravel()[flat], n_objects)
    truth = names[first].astype("<U15")
    particle = (truth == "particle")[np.minimum(event, n_events - 1)]
    owned = np.flatnonzero(inside & particle)
    owned = owned[np.argsort(event[owned], kind="stable")]
    bounds = np.searchsorted(event[owned], np.arange(n_events + 1))
    for number in np.flatnonzero(truth == "particle"):
        mine = owned[bounds[number] : bounds[number + 1]]
        deposits = [
            Deposit(*np.divmod(flat[own], FIELD), electrons[own], **canvas.truth[k])
            for k in order[number, ::-1]
            if share[number, k] > 0 and canvas.truth[k] and len(own := mine[who[mine] == k])
        ]
        truth[number] = observed_category(deposits, camera) if deposits else Category.UNKNOWN
    artefact = np.isin(names, list(ARTEFACTS))
    joined = share[rows, second] > 0.05 * share[rows, first]
    unclear = joined & (artefact[first] | artefact[second])
    fragment = share[rows, first] < 0.6 * visible[first]
    faint = share[rows, first] < 0.5 * np.abs(events.columns["charge"]) / gain
    truth[unclear | fragment | faint | (truth == Category.UNKNOWN.value)] = ""
    return truth, first


@dataclass(frozen=True)
class Deposit:
    """What one particle left in the pixels of an event, and what the transport knows of it.

    Parameters
    ----------
    y, x : ndarray of int, shape (n_pixels,)
        Pixels of the event, each once.
    electrons : ndarray, shape (n_pixels,)
        Charge without noise in each.
    kind : str
        Kind of particle, see `~crismis.simulate.mixture`.
    entry : tuple of float
        Row and column where it entered, interacted or was born.
    charge : float
        Electrons of the whole particle, outside the event as well.
    path : float
        Micrometres that it flew in silicon.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.learning.event_samples import Deposit
    >>> row = Deposit(np.zeros(9, int), np.arange(9), np.full(9, 900.0), "muon", (0, 0), 8100, 90)
    >>> float(row.electrons.sum())
    8100.0
    """

    y: np.ndarray
    x: np.ndarray
    electrons: np.ndarray
    kind: str
    entry: tuple
    charge: float
    path: float


def observed_category(deposits, camera):
    """Name an event after what can be seen of its charge, were there no noise.

    A pixel is visible if its charge is at least half the least that makes a hit, and belongs
    to the particle that left most of it. A branch, measured as ``n_branches`` of
    `crismis.events.measure`, is visible if it ends more than 2 pixels outside the edge of
    the event. The rules, first match wins:

    ``blend``
        Particles, one of which goes on at both sides of another for 4 pixels or more each, so
        that two or more branches are visible, or with another ten times as bright (median of
        the pixels owned); or a star and a particle that owns a fifth of the event and stays
        outside the circle on which the star's prongs are counted. What goes through a star
        within it looks like prongs.

        Particles without such a sign, end to end, as a spur, or one on top of the other, look
        like one and get the name of what they look like.
    ``spallation_star``
        An event with a visible branch, of which three or more prongs are apart on a circle
        round the vertex of a nuclear interaction; its radius is 4 pixels plus half the
        breadth of the event.
    ``unknown``
        A nuclear interaction with fewer prongs that does not look like one particle.
    ``blob``, ``heavy_track``
        Dense (600 electrons per micrometre, six times minimum ionization, and 30000 in
        all) and wide (9 pixels or more); a blob if the charge is not longer than wide by
        half (rms), whatever thread a delta ray adds.
    ``spot``
        Round: not longer than wide by half (rms), straight, and without arms.
    ``delta_ray_track``
        A straight way (rms 0.6 pixel or 3 % of its length) and a visible branch off it that
        leaves it more than 1 pixel plus half the breadth from either end. Where it leaves
        nearer to an end, the event looks bent.
    ``worm``
        Strays from a straight line by more than 0.9 pixel and a twentieth of its length.
    ``track``
        The rest.

    Parameters
    ----------
    deposits : sequence of Deposit
        Of the particles in the event, the one with most charge there first.
    camera : Camera

    Returns
    -------
    str
        Value of `~crismis.taxonomy.Category`.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.learning.event_samples import Deposit, draw_camera, observed_category
    >>> camera = draw_camera(np.random.default_rng(1))
    >>> charge = np.full(20, 1e3 * camera.noise)
    >>> row = Deposit(np.zeros(20, int), np.arange(20), charge, "muon", (0, 0), 1600.0, 1e9)
    >>> observed_category([row], camera)
    'track'
    """
    seen = _Seen(deposits, 0.5 * camera.grow_level * camera.noise)
    if len(seen.charge) == 0:
        return Category.UNKNOWN.value
    first = deposits[0]
    pitch = camera.detector.pitch * camera.detector.binning[0]
    blur = np.hypot(camera.detector.diffusion / pitch, camera.blur)
    stars = [k for k in range(len(deposits)) if seen.is_star(k)]
    if seen.is_blend(stars):
        return Category.BLEND.value
    if stars:
        return Category.SPALLATION_STAR.value
    level = seen.level
    if first.kind == "spallation" and (level["deviation"] > 1.0 or level["branch_1"] > 3):
        return Category.UNKNOWN.value
    straight = level["deviation"] <= max(0.9, 0.05 * seen.length)
    round_ = seen.elongation < 1.5
    if first.charge > max(600 * first.path, 3e4) and len(seen.charge) >= 9:
        return (Category.BLOB if round_ else Category.HEAVY_TRACK).value
    if round_ and straight and level["branch_1"] < 3 + blur:
        return Category.SPOT.value
    edge = level["breadth"] / 2
    spur = min(level["spare_arm"], level["spare_distance"]) > SHORTEST_BRANCH + edge
    spur = spur and level["stem"] > 1 + edge
    if spur and level["through_deviation"] <= max(0.6, 0.03 * np.expm1(level["through"])):
        return Category.DELTA_RAY_TRACK.value
    return (Category.TRACK if straight else Category.WORM).value


class _Seen:
    """The visible pixels of an event: charge, owner and shape."""

    def __init__(self, deposits, threshold):
        self.deposits = deposits
        y0, x0 = (min(int(getattr(d, axis).min()) for d in deposits) for axis in "yx")
        y1, x1 = (max(int(getattr(d, axis).max()) for d in deposits) for axis in "yx")
        parts = np.zeros((len(deposits), y1 - y0 + 1, x1 - x0 + 1))
        for part, deposit in zip(parts, deposits, strict=True):
            part[deposit.y - y0, deposit.x - x0] = deposit.electrons
        total = parts.sum(axis=0)
        self.corner = y0, x0
        self.owner = np.where(total > threshold, parts.argmax(axis=0), -1)
        self.reached = parts > threshold
        self.y, self.x = np.nonzero(self.owner >= 0)
        self.charge = total[self.y, self.x]
        if len(self.charge) == 0:
            return
        self.level, shape = _outline(self.y, self.x, self.charge)
        self.length, self.elongation = shape["length"][0], shape["elongation"][0]

    def beyond_ring(self, number):
        """Distance of the pixels from a particle's vertex, less that where prongs count."""
        vertex = np.subtract(self.deposits[number].entry, self.corner)
        return np.hypot(self.y - vertex[0], self.x - vertex[1]) - 4 - self.level["breadth"] / 2

    def is_star(self, number):
        """Whether three prongs leave the vertex of a nuclear interaction."""
        if self.deposits[number].kind != "spallation" or self.level["branch_margin_1"] <= 0:
            return False
        ring = np.abs(self.beyond_ring(number)) < 0.8
        return _count_pieces(self.y[ring], self.x[ring]) >= 3

    def is_blend(self, stars):
        """Whether two of the particles can be told apart."""
        if stars and any(self._joins(k, stars[0]) for k in range(len(self.deposits))):
            return True
        owner = self.owner[self.y, self.x]
        # What goes through a star looks like prongs of it.
        owners = [k for k in np.unique(owner) if k not in stars[:1]]
        through = [k for k in owners if self._goes_on(k)]
        if len(owners) < 2 or not through:
            return False
        if self.level["branch_margin_2"] > 0:
            return True
        # A particle is no ten times as bright as itself, so it may stand among the others.
        bright = {k: np.median(self.charge[owner == k]) for k in owners}
        return max(bright.values()) >= 10 * min(bright[k] for k in through)

    def _joins(self, number, star):
        """Whether a particle owns a fifth of the event, and nothing where prongs begin."""
        own = np.count_nonzero(self.owner == number)
        if number == star or own < max(4, 0.2 * len(self.charge)):
            return False
        reached = self.reached[number][self.y, self.x]
        return not (self.beyond_ring(star)[reached] < 0).any()

    def _goes_on(self, number):
        """Whether a particle goes on at both sides of something: two pieces of 4 pixels."""
        pieces, _ = ndimage.label(self.owner == number, structure=np.ones((3, 3)))
        return np.count_nonzero(np.bincount(pieces.ravel())[1:] >= 4) >= 2


def _outline(y, x, charge):
    """Way, arms and shape of one event; pixels in order of rows."""
    pixels = Footprints(
        np.array([1], np.int32), np.array([0, len(y)]), y.astype(np.int32), x.astype(np.int32)
    )
    levels, _ = level_descriptors(charge.astype(np.float32), pixels.y, pixels.x, pixels.starts, 1)
    level = dict(zip(LEVEL_FEATURES, levels[0, 0].tolist(), strict=True))
    return level, measure_footprints(pixels, charge)


def _count_pieces(y, x):
    """Separate groups of pixels."""
    if len(y) == 0:
        return 0
    stamp = np.zeros((np.ptp(y) + 1, np.ptp(x) + 1), bool)
    stamp[y - y.min(), x - x.min()] = True
    return ndimage.label(stamp, structure=np.ones((3, 3)))[1]


# ---- artefacts ----


def _window(y, x, half):
    rows, columns = np.mgrid[y - half : y + half + 1, x - half : x + half + 1]
    return rows.ravel(), columns.ravel()


def _source(canvas, camera, y, x, rng):
    """The core of a star or galaxy, flagged above a part of its peak."""
    rows, columns = _window(y, x, 15)
    dy, dx = rows - y - rng.uniform(-0.5, 0.5), columns - x - rng.uniform(-0.5, 0.5)
    angle, axis_ratio = rng.uniform(0, np.pi), rng.uniform(0.8, 1.0)
    galaxy = rng.random() < 0.35
    if galaxy:
        axis_ratio = rng.uniform(0.25, 1.0)
    u = dx * np.cos(angle) + dy * np.sin(angle)
    v = (dy * np.cos(angle) - dx * np.sin(angle)) / axis_ratio
    radius = np.hypot(u, v)
    if galaxy:
        index = rng.choice([1.0, 2.5, 4.0])
        scale = rng.uniform(1.5, 6.0)
        profile = np.exp(-(2 * index - 0.33) * ((np.hypot(radius, 0.7) / scale) ** (1 / index)))
    else:
        fwhm, beta = _log_uniform(rng, 1.3, 6.0), rng.uniform(2.5, 4.5)
        core = fwhm / 2 / np.sqrt(2 ** (1 / beta) - 1)
        profile = (1 + (radius**2 + 1 / 12) / core**2) ** -beta
    profile /= profile.max()
    peak = camera.noise * _log_uniform(rng, 10.0, 3000.0)
    canvas.add(
        Category.SOURCE, rows, columns, peak * profile, hits=profile > _log_uniform(rng, 0.03, 0.9)
    )


def _hot_pixel(canvas, camera, y, x, rng):
    peak = camera.noise * _log_uniform(rng, 6.0, 1000.0)
    canvas.add(Category.HOT_PIXEL, np.array([y]), np.array([x]), np.array([peak]))


def _bad_column(canvas, camera, y, x, rng):
    """A bad column, or charge that bleeds from a saturated pixel."""
    length, width = int(_log_uniform(rng, 6, 150)), rng.choice([1, 1, 1, 2, 3])
    along, across = (a.ravel() for a in np.mgrid[0:length, 0:width])
    peak = camera.noise * _log_uniform(rng, 6.0, 300.0)
    level = peak * (1 + rng.choice([0.02, 0.1]) * rng.standard_normal(along.size))
    if rng.random() < 0.4:
        level *= np.clip((1 - np.abs(2 * along / length - 1)) * 6, 0.2, 1)
    _lay(canvas, Category.BAD_COLUMN, y, x, along - length // 2, across, level, rng)


def _cti_trail(canvas, camera, y, x, rng):
    """Charge deferred behind a bright pixel: an exponential tail along the columns."""
    release = _log_uniform(rng, 2.0, 15.0)
    peak = camera.noise * _log_uniform(rng, 15.0, 400.0)
    along = np.arange(int(5 * release) + 3)
    level = peak * np.exp(-along / release)
    if rng.random() < 0.5:
        level[0] *= rng.uniform(2, 20)
    _lay(canvas, Category.CTI_TRAIL, y, x, along, np.zeros(along.size, int), level, rng)


def _lay(canvas, category, y, x, along, across, level, rng):
    """Lay a strip along the columns or, after a turn of the image, along the rows."""
    if rng.random() < 0.5:
        along = -along
    if rng.random() < 0.5:
        along, across = across, along
    canvas.add(category, y + along, x + across, level)


def _source_trail(canvas, camera, y, x, rng):
    """A star or satellite that moved: even brightness, ends rounded by the image of a star."""
    length, sigma = _log_uniform(rng, 8.0, 250.0), _log_uniform(rng, 1.5, 6.0) / 2.355
    angle = rng.uniform(0, np.pi)
    rows, columns = _window(y, x, int(length / 2 + 4 * sigma) + 1)
    dy, dx = rows - y - rng.uniform(-0.5, 0.5), columns - x - rng.uniform(-0.5, 0.5)
    u, v = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    ends = ndtr((u + length / 2) / sigma) - ndtr((u - length / 2) / sigma)
    profile = ends * np.exp(-0.5 * v**2 / (sigma**2 + 1 / 12))
    peak = camera.noise * _log_uniform(rng, 5.0, 200.0)
    wanted = profile > 1e-3
    level = peak * profile[wanted]
    hits = profile[wanted] > rng.uniform(0.02, 0.7)
    canvas.add(Category.SOURCE_TRAIL, rows[wanted], columns[wanted], level, hits=hits)


def _terrain(canvas, camera, y, x, rng):
    """A piece of a crater rim or of a limb."""
    rows, columns = _window(y, x, 22)
    fade = np.exp(-0.5 * (((rows - y) ** 2 + (columns - x) ** 2) / 10.0**2) ** 2)
    radius = _log_uniform(rng, 3.0, 20.0)
    limb = rng.random() < 0.4
    if limb:
        radius = _log_uniform(rng, 30.0, 400.0)
    angle = rng.uniform(0, 2 * np.pi)
    cy, cx = (y, x) if not limb else (y - radius * np.sin(angle), x - radius * np.cos(angle))
    distance = np.hypot(rows - cy, columns - cx) - radius
    toward = np.cos(np.arctan2(rows - cy, columns - cx) - angle)
    level = camera.noise * _log_uniform(rng, 10.0, 200.0)
    softness = rng.uniform(0.5, 2.0)
    grain = ndimage.gaussian_filter(rng.standard_normal((45, 45)), rng.uniform(0.7, 3)).ravel()
    grain *= rng.uniform(0.0, 0.15) / grain.std()
    if limb:
        surface = ndtr(-distance / softness) * (1 + grain)
        rim = ndtr(-distance / softness) * np.exp(-0.5 * (np.minimum(distance, 0) / 2.5) ** 2)
    else:
        ring = np.exp(-0.5 * (distance / softness) ** 2)
        rim = ring * np.clip(toward, 0, 1) ** rng.uniform(0.5, 3)
        shadow = ring * np.clip(-toward, 0, 1)
        surface = (0.5 + grain) * fade + rng.uniform(0.3, 2) * rim - 0.3 * shadow
    ragged = rim * (1 + grain * 2)
    hits = (ragged > rng.uniform(0.4, 0.8)) & (fade > 0.3)
    canvas.add(Category.TERRAIN, rows, columns, level * surface * fade, hits=hits)


_ARTEFACTS = (_source, _source, _hot_pixel, _bad_column, _cti_trail, _source_trail, _terrain)
