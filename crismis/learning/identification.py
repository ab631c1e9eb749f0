# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Train a model that identifies hits, from a configuration to a model file; resumable."""

import hashlib
import json
import time
import tomllib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path

import numpy as np

from ..identify._kernels import MOST_LEAVES, SCREENED_OUT
from ..identify.judge import Judge
from .boosting import LabelledPixels, fit_star_trees, fit_trees, tree_logits
from .calibration import fit_slope, fit_table
from .dataset import (
    CENTRE_LOGIT,
    FLOOR_PEAK,
    FLOOR_SNR,
    NEAR,
    Samples,
    sample_field,
    sample_judged,
    sample_probability,
)
from .evaluation import read_truth_frame
from .exposures import cut_tracks
from .fields import Field, random_field
from .scenes import KINDS
from .stars import sample_stars
from .training import fit_network, load_torch, network_logits

__all__ = ["IdentifyConfig", "train_identify"]
__doctest_requires__ = {("train_identify",): ["torch"]}

_PATHS = ("footprints", "psfs", "start", "background_model")
_WORDS = ("description", "data", "limits")
_SMALL = (24, 24)
_LATER = "first_", "refine", "table", "trees_", "stars_"
"""How arrays of a model begin that do not belong to its large network."""
_WARM_SEEDS, _REFINE_SEEDS, _HELD_OUT_SEEDS = 30_000_000, 10_000_000, 20_000_000
_TOLD_SEEDS, _STAR_SEEDS = 25_000_000, 40_000_000
_TUPLES = {"shape", "hidden", "widths", "density", "undecidable", "told_kinds"}
_STARRY = ("stars", "crowded", "binned", "galaxies", "nebula")


@dataclass(frozen=True)
class IdentifyConfig:
    """All that determines an identification model.

    Parameters
    ----------
    name : str
        Of the model.
    seed : int
    kinds : dict of str to float
        Shares of the kinds of fields, see ``crismis.learning.scenes.KINDS``; ``"real"`` stands
        for the ``backgrounds``, ``"labelled"`` for ``labelled``.
    warm_fields, fields, refine_fields, held_out_fields : int
        Numbers of training fields: of a first fit that finds the hard cases, of each fit to
        these, of each refinement, and held-out ones, which serve the calibration and the figures
        of the card; as many more tell how much surer a model is that is told the hits.
    rounds : int
        How often new fields are drawn, whose hard cases the last fit finds and the next one
        learns from.
    average : int
        The large networks of how many of the last rounds are averaged, weight by weight, that of
        ``start`` being the first; the mean of networks along one training errs less than each
        (Izmailov et al. 2018, arXiv:1803.05407).
    start_share : float
        Share that the network of ``start`` has in the result besides; the more, the less is
        forgotten of what it learned.
    refinements : int
        How many judgements follow the first one, each of which sees the one before of a pixel's
        neighbours, and the scene without its hits; at least 1.
    trees : int
        How many boosted trees judge last, from the same inputs as a refinement; none by default.
        They learn from simulated fields and from the whole of the labelled frames, if there are
        any; these have a share in the calibration by their share in ``kinds``, by trees that were
        fitted without the half of the frames that they judge.
    tree_fields : int
        Number of simulated fields for the trees; from a few hundred they learn these by heart.
    tree_leaves : int
        Largest number of leaves of a tree.
    tree_rate : float
        Learning rate of the trees.
    star_trees : int
        How many boosted trees, with ``tree_leaves`` and ``tree_rate``, judge what lies on stars;
        none by default.
    star_fields : int
        Number of fields for these, twice as large along either axis, of which those with
        stars of one shape serve.
    shape : tuple of int
        Pixels of a field.
    widths : tuple of float, optional
        Least and largest width of stars (FWHM, pixels); all widths otherwise.
    hidden : tuple of int
        Units of the large network's first layer: those that come in eights, for every
        orientation one, and those that are symmetric themselves; multiples of 48.
    warm_epochs, epochs, first_epochs, refine_epochs : int
        Passes over the samples.
    batch : int
    rate, refine_rate : float
        Largest learning rates, of the first judgement and of the refinements.
    first_cut : float, optional
        Logit above which the first stage passes candidates on in training; by default such that
        99.95 % of the hits pass which the large network believes in. Refinements that learn from
        the clear cases below it, too, get worse. The finished model judges all that the screen
        finds.
    start : str
        Model file whose first judgement to continue from instead of random weights.
    footprints : str
        ``.npz`` file with real tracks: ``shapes`` (N, 2) and flat ``values`` in electrons;
        tracks of even index are used.
    pairs : list of dict
        Pairs of exposures of a scene that did not move, whose hits serve as real tracks too:
        ``paths``, ``gain``, ``readnoise`` (electrons) and optionally ``hdu`` and ``scales``,
        their exposure times.
    psfs : str
        ``.npz`` file with point-spread functions at detector sampling.
    backgrounds : list of dict
        Real images to put hits into: ``path``, ``gain``, ``readnoise`` and optionally ``hdu``.
    labelled : list of str
        Real images with truth, as `~crismis.learning.evaluation.evaluate_frame` takes them;
        their parts are fields of the kind ``"labelled"``, those of every second image for the
        refinements and the calibration. None of them, nor another exposure of the same
        visit, must be reported on.
    background_model : str
        Model that finds the hits the backgrounds already have; they become undecidable.
    density : tuple of float
        Decimal logarithm of the least and largest number of hits per pixel.
    undecidable : tuple of float
        Charge of a hit in a pixel, in units of the noise, below which the pixel counts as clean
        and above which it counts as hit.
    beside : bool
        Whether clean pixels that touch a hit count as neither.
    warm : float
        Dark charge of a hot or warm pixel, in units of the noise, above which it counts as
        neither; infinite if the number of lone pixels is to tell them from hits.
    parts : float
        Share of the fields with planets and terrain that are measured by parts, rough and quiet
        ones, as whole images are. A model that has learned from some judges rough parts by
        what it knows of them alone.
    varying : float
        Share of the fields across which the shape of stars changes.
    told_kinds : tuple of str
        Kinds of fields that the model is for, of those in ``kinds``: within these it is measured
        how much surer it is once told the hits; within all by default.
    description, data, limits : str
        For the card: what the model is for, what it was made of, and what it cannot do.

    Examples
    --------
    >>> from crismis.learning.identification import IdentifyConfig
    >>> config = IdentifyConfig(name="mycam", fields=500, widths=(1.5, 3.0))
    >>> config.name, config.seed
    ('mycam', 1)
    """

    name: str = "space"
    seed: int = 1
    kinds: dict = field(
        default_factory=lambda: {
            "stars": 4.0,
            "crowded": 3.0,
            "galaxies": 4.0,
            "spectrum": 3.0,
            "planet": 1.0,
            "corona": 0.7,
            "nebula": 1.3,
            "trails": 0.7,
            "dark": 0.3,
        }
    )
    warm_fields: int = 1000
    fields: int = 4000
    refine_fields: int = 1500
    held_out_fields: int = 300
    rounds: int = 1
    average: int = 1
    start_share: float = 0.0
    refinements: int = 2
    trees: int = 0
    tree_fields: int = 1500
    tree_leaves: int = 31
    tree_rate: float = 0.15
    star_trees: int = 0
    star_fields: int = 800
    shape: tuple = (256, 256)
    widths: tuple | None = None
    hidden: tuple = (96, 384)
    warm_epochs: int = 4
    epochs: int = 10
    first_epochs: int = 8
    refine_epochs: int = 8
    batch: int = 2048
    rate: float = 2e-3
    refine_rate: float = 2e-3
    first_cut: float | None = None
    start: str = ""
    footprints: str = ""
    pairs: list = field(default_factory=list)
    psfs: str = ""
    backgrounds: list = field(default_factory=list)
    labelled: list = field(default_factory=list)
    background_model: str = ""
    density: tuple = (-4.5, -1.7)
    undecidable: tuple = (3.0, 3.0)
    beside: bool = False
    warm: float = 3.0
    parts: float = 0.0
    varying: float = 0.0
    told_kinds: tuple = ()
    description: str = ""
    data: str = ""
    limits: str = ""

    @classmethod
    def load(cls, path):
        """Read table ``[identify]`` of a TOML file; relative paths start at the file's folder.

        ``${NAME}`` in paths is replaced by the environment's value.
        """
        import os

        path = Path(path)
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("identify", {})
        unknown = set(table) - set(cls.__dataclass_fields__)
        if unknown:
            raise ValueError(f"{path}: unknown keys {sorted(unknown)} in [identify]")

        def place(name):
            return str(path.parent / os.path.expandvars(name)) if name else ""

        for key in _PATHS:
            if key in table:
                table[key] = place(table[key])
        for entry in table.get("backgrounds", []):
            entry["path"] = place(entry["path"])
        for entry in table.get("pairs", []):
            entry["paths"] = [place(path) for path in entry["paths"]]
        if "labelled" in table:
            table["labelled"] = [place(path) for path in table["labelled"]]
        for key in _TUPLES & set(table):
            table[key] = tuple(table[key])
        return cls(**table)

    def digest(self):
        """Return a short fingerprint; work of another configuration is not resumed."""
        table = {k: v for k, v in asdict(self).items() if k not in _WORDS}
        text = json.dumps(table, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Material:
    """Real tracks, point-spread functions and images that fields are made of."""

    footprints: list
    psfs: list
    backgrounds: list
    labelled: list

    @classmethod
    def load(cls, config):
        """Read the files that a configuration names."""
        footprints, psfs = [], []
        if config.footprints:
            with np.load(config.footprints) as archive:
                shapes, values = archive["shapes"], archive["values"]
            parts = np.split(values, np.cumsum(shapes.prod(axis=1))[:-1])
            tracks = [p.reshape(s) for p, s in zip(parts, shapes, strict=True)][::2]
            footprints.append(tracks)
        if config.pairs:
            footprints.append([track for pair in config.pairs for track in _tracks(pair)])
        if config.psfs:
            with np.load(config.psfs) as archive:
                psfs = [archive[k] for k in archive if archive[k].ndim == 2]
        backgrounds = [_background(b, config.background_model) for b in config.backgrounds]
        labelled = [read_truth_frame(path) for path in config.labelled]
        return cls(footprints, psfs, backgrounds, labelled)


def _read(path, entry):
    from ..ingest import read

    return read(path, **({"hdu": entry["hdu"]} if "hdu" in entry else {}))


def _tracks(pair):
    exposures = [
        np.ma.masked_array(np.asarray(ccd.data, dtype=float) * pair["gain"], ccd.mask)
        for ccd in (_read(path, pair) for path in pair["paths"])
    ]
    scales = pair.get("scales", (1.0, 1.0))
    return cut_tracks(*exposures, readnoise=pair["readnoise"], scales=scales)


def _background(entry, model):
    from scipy import ndimage

    from ..identify.inputs import prepare
    from ..identify.judge import hit_probability

    ccd = _read(entry["path"], entry)
    plane = entry.get("plane")
    data = np.asarray(ccd.data if plane is None else ccd.data[plane], dtype=np.float32)
    undecidable = ~np.isfinite(data) if ccd.mask is None else ~np.isfinite(data) | ccd.mask
    if model:
        frame = prepare(data, gain=None, readnoise=None, detector=None, mask=undecidable)
        undecidable |= ndimage.binary_dilation(hit_probability(frame, model=model) > 0.3)
    return data, undecidable, entry["gain"], entry["readnoise"]


_material = None


def _start_worker(config):
    global _material
    _material = Material.load(config)


def _judges_again(seed):
    """Whether a field serves the refinements or what comes after them."""
    return _REFINE_SEEDS <= seed < _WARM_SEEDS


def _draw_field(config, seed):
    rng = np.random.default_rng([config.seed, seed])
    names, shares = zip(*config.kinds.items(), strict=True)
    unknown = set(names) - set(KINDS) - {"real", "labelled"}
    if unknown:
        raise ValueError(f"unknown kinds of fields {sorted(unknown)}; known are {sorted(KINDS)}")
    kind = str(rng.choice(names, p=np.array(shares) / sum(shares)))
    if kind == "real" and not _material.backgrounds:
        raise ValueError('kind "real" needs `backgrounds` in the configuration')
    if kind == "labelled" and not _material.labelled:
        raise ValueError('kind "labelled" needs `labelled` in the configuration')
    made = random_field(
        int(seed) + 1_000_000_007 * config.seed,
        kind,
        shape=config.shape,
        footprints=_material.footprints,
        psfs=_material.psfs,
        backgrounds=_material.backgrounds,
        labelled=_material.labelled[int(_judges_again(seed)) :: 2] or _material.labelled,
        widths=config.widths,
        density=config.density,
        undecidable=config.undecidable,
        beside=config.beside,
        warm=config.warm,
        parts=config.parts,
        varying=config.varying,
    )
    return made, rng


def _make_chunk(config, seeds, path, draw, networks=None):
    """Draw samples of some fields into one file."""
    parts = []
    for seed in seeds:
        made, rng = _draw_field(config, seed)
        parts.append(draw(made, rng, networks))
    joined = Samples.join([p for p in parts if len(p.labels)] or parts)
    partial = path.with_suffix(".part.npz")
    np.savez(partial, **vars(joined))
    partial.replace(path)


def _make_samples(config, folder, name, seeds, workers, report, draw, networks=None):
    """Draw all samples of one purpose, resuming where files are missing; return them joined."""
    size = 50
    chunks = [seeds[i : i + size] for i in range(0, len(seeds), size)]
    paths = [folder / f"{name}-{c[0]}.npz" for c in chunks]
    missing = [(c, p) for c, p in zip(chunks, paths, strict=True) if not p.exists()]
    done = len(chunks) - len(missing)
    report(f"{name}: fields", done, len(chunks))
    if missing and workers > 1:
        with ProcessPoolExecutor(workers, initializer=_start_worker, initargs=(config,)) as pool:
            tasks = [pool.submit(_make_chunk, config, c, p, draw, networks) for c, p in missing]
            for task in tasks:
                task.result()
                done += 1
                report(f"{name}: fields", done, len(chunks))
    elif missing:
        _start_worker(config)
        for c, p in missing:
            _make_chunk(config, c, p, draw, networks)
            done += 1
            report(f"{name}: fields", done, len(chunks))
    parts = []
    for path in paths:
        with np.load(path) as archive:
            parts.append(Samples(**{k: archive[k] for k in archive}))
    return Samples.join(parts)


FIRST_COLUMNS = np.append(
    [r * (2 * NEAR + 1) + c for r in range(NEAR - 3, NEAR + 4) for c in range(NEAR - 3, NEAR + 4)],
    (2 * NEAR + 1) ** 2 + 49,
)


def train_identify(config, output, *, folder=None, workers=1, n_threads=2, report=None):
    """Train an identification model and write its file.

    A run that was stopped continues where it was, as long as the configuration is the same.

    Parameters
    ----------
    config : IdentifyConfig
    output : path-like
        The model file to write; a log goes beside it as ``*.log``.
    folder : path-like, optional
        Where samples and states are kept, by default ``output`` with suffix ``.work``.
    workers : int
        Processes that draw fields.
    n_threads : int
        Threads of the optimizer.
    report : callable, optional
        Called as ``report(step, done, total)``.

    Returns
    -------
    dict
        The model card.

    Raises
    ------
    ImportError
        If PyTorch is missing; the message names the extra.
    ValueError
        If the configuration does not fit together.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from crismis.learning.identification import IdentifyConfig, train_identify
    >>> config = IdentifyConfig(
    ...     name="tiny", warm_fields=4, fields=4, refine_fields=4, held_out_fields=4,
    ...     shape=(128, 128), hidden=(48, 0), warm_epochs=1, epochs=1, first_epochs=1,
    ...     refinements=1, refine_epochs=1)
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "tiny.crm"
    >>> card = train_identify(config, path, n_threads=1)
    >>> card["name"], path.exists()
    ('tiny', True)
    """
    from ..network import load_model, save_model

    if config.start_share and not config.start:
        raise ValueError("start_share is of the model that start= names, and there is none")
    if missing := sorted(set(config.told_kinds) - set(config.kinds)):
        raise ValueError(f"told_kinds names {missing}, which are not among the kinds of fields")
    _check_trees(config)
    load_torch()  # not only after minutes of drawing fields
    output = Path(output)
    folder = Path(folder or output.with_suffix(".work")) / config.digest()
    folder.mkdir(parents=True, exist_ok=True)
    log = _Log(output.with_suffix(".log"), config)
    report = report or (lambda step, done, total: None)
    start = load_model(config.start, task="identify")[0] if config.start else {}

    def fit(name, samples, layers, epochs, columns=None, begin=None, residual=None, rate=None):
        path = folder / f"{name}.npz"
        if path.exists():
            with np.load(path) as archive:
                return dict(archive)

        def progress(epoch, loss):
            report(f"{name}: epochs", epoch, epochs)
            log(f"{name} epoch {epoch} of {epochs}: loss {loss:.5f}")

        state = folder / f"{name}.state.npz"
        arrays = fit_network(
            samples,
            layers,
            columns=columns,
            residual=residual,
            start=begin,
            epochs=epochs,
            rate=rate or config.rate,
            batch=config.batch,
            seed=config.seed,
            progress=progress,
            state=state,
            n_threads=n_threads,
        )
        np.savez(path, **arrays)
        state.unlink(missing_ok=True)
        return arrays

    def draw(name, first_seed, n, how, networks=None, config=config):
        seeds = first_seed + np.arange(n)
        samples = _make_samples(config, folder, name, seeds, workers, report, how, networks)
        log(f"{name}: {len(samples.labels)} samples of {n} fields")
        if not len(samples.labels):
            raise ValueError(f"{name}: no pixel of {n} fields serves; draw more fields")
        return samples

    def started(prefix):
        found = {
            k.removeprefix(prefix): v
            for k, v in start.items()
            if k.startswith(prefix) and (prefix or not k.startswith(_LATER))
        }
        return found or None

    layers = [config.hidden, _SMALL]
    warm = draw("warm", _WARM_SEEDS, config.warm_fields, sample_field)
    fitted = [started("")] if start else []
    begin = fit("begin", warm, layers, config.warm_epochs, begin=started(""))
    first = fit("first", warm, [_SMALL], config.first_epochs, FIRST_COLUMNS, started("first_"))
    full, cut = begin, first_cut(first, begin, warm)
    for k in range(config.rounds):
        networks = {"first": first, "full": full, "cut": cut, "parts": config.parts > 0}
        hard = draw(f"samples{k}", k * config.fields, config.fields, sample_field, networks)
        # Hard cases alone spoil the rest: the mean loss on new fields rises from round to round.
        samples = Samples.join([warm, hard])
        del hard
        full = fit(f"full{k}", samples, layers, config.epochs, begin=full)
        cut = first_cut(first, full, samples.reorder(slice(None, None, 5)))
        fitted.append(full)
        del samples
    averaged = config.average > 1 or config.start_share > 0
    if averaged:
        full = _mean(fitted[-config.average :], fitted[0], config.start_share)
    if config.first_cut is not None:
        cut = config.first_cut
    elif averaged:
        cut = first_cut(first, full, warm)
    del warm
    log(f"first stage passes logits above {cut:.3f}")
    networks = {"first": first, "full": full, "cut": cut, "parts": config.parts > 0}
    refine = []
    for k in range(config.refinements):
        seed = _REFINE_SEEDS + k * config.refine_fields
        networks["refine"] = refine[:k]
        judged = draw(f"judged{k}", seed, config.refine_fields, sample_judged, networks)
        refine.append(_refinement(fit, f"refine{k}", judged, config))
    area = config.held_out_fields * config.shape[0] * config.shape[1]
    held = (_HELD_OUT_SEEDS, config.held_out_fields, sample_judged, networks)
    trees = {}
    if config.trees:
        networks["refine"] = refine
        simulated = replace(config, kinds=_simulated(config))
        seed = _REFINE_SEEDS + config.refinements * config.refine_fields
        drawn = draw("boosted", seed, config.tree_fields, sample_judged, networks, simulated)
        held_out = draw("held_out", *held, simulated)
        trees, logits, held_out, area = _boost(config, folder, drawn, held_out, area, networks, log)
    else:
        held_out = draw("held_out", *held)
        logits = network_logits(refine[-1], held_out, residual=CENTRE_LOGIT)
    table = fit_table(logits, held_out)
    fraction = float(held_out.weights[held_out.labels == 1].sum() / area)
    arrays = full | {f"first_{k}": v for k, v in first.items()}
    for k, again in enumerate(refine):
        arrays |= {f"refine{k}_{name}": v for name, v in again.items()}
    arrays |= {f"trees_{name}": v for name, v in trees.items() if name != "output"}
    arrays["table"] = table
    card = _card(config, fraction, logits, held_out, area)
    log(json.dumps(card["metrics"]))
    if config.star_trees:
        how = (config.star_fields, sample_stars, Judge(arrays, card), _starry(config))
        stars = fit_star_trees(
            draw("stars", _STAR_SEEDS, *how),
            trees=config.star_trees,
            leaves=config.tree_leaves,
            rate=config.tree_rate,
            seed=config.seed,
        )
        log(f"stars: {config.star_trees} trees")
        arrays |= {f"stars_{name}": v for name, v in stars.items() if name != "output"}
    how = (config.held_out_fields, sample_probability, Judge(arrays, card), _like_frames(config))
    card["told_slope"] = fit_slope(draw("told", _TOLD_SEEDS, *how))
    log(f"within images log odds are {card['told_slope']:.3f} times as large")
    save_model(output, arrays, card)
    return card


def _starry(config):
    """Larger fields, of which more have enough stars, and of kinds that have any."""
    kinds = {name: share for name, share in config.kinds.items() if name in _STARRY}
    return replace(config, shape=tuple(2 * n for n in config.shape), kinds=kinds or config.kinds)


def _like_frames(config):
    """Fields labelled as frames with truth are: what is faint, or touches a hit, does not count."""
    kinds = {k: config.kinds[k] for k in config.told_kinds} or _simulated(config) or config.kinds
    return replace(config, kinds=kinds, beside=True, undecidable=(0.0, config.undecidable[1]))


def _refinement(fit, name, judged, config):
    """Fit a refinement, to which the image-wide conditions are not told.

    The first judgement has made its use of them; a refinement that knew them, too, would learn by
    heart what the simulated images are like, and err on real ones.
    """
    judged = replace(judged, conditions=np.zeros_like(judged.conditions))
    how = {"residual": CENTRE_LOGIT, "rate": config.refine_rate}
    arrays = fit(name, judged, [_SMALL], config.refine_epochs, **how)
    arrays["weights1"][-judged.conditions.shape[1] :] = 0
    return arrays


def _simulated(config):
    """The kinds of fields but the labelled ones."""
    return {kind: share for kind, share in config.kinds.items() if kind != "labelled"}


def _check_trees(config):
    most = max(config.trees, config.star_trees)
    least = min(config.trees, config.star_trees)
    leaves = 2 <= config.tree_leaves <= MOST_LEAVES
    if least < 0 or (most and not (leaves and 0 < config.tree_rate <= 1)):
        raise ValueError(
            "trees need trees and star_trees >= 0, tree_leaves from 2 to "
            f"{MOST_LEAVES} and 0 < tree_rate <= 1, got "
            f"{config.trees}, {config.star_trees}, {config.tree_leaves} and {config.tree_rate}"
        )
    if config.trees and (config.tree_fields < 1 or not sum(_simulated(config).values())):
        raise ValueError("trees learn from simulated fields, too; give `tree_fields` and `kinds`")


def _boost(config, folder, drawn, held_out, area, networks, log):
    """Fit the trees; return them with the logits of held-out samples, these and their area.

    Labelled frames are too few to leave any out: each half is judged by trees that were fitted
    to the other one, and the trees that ship are fitted to all.
    """

    def fit(name, labelled):
        path = folder / f"{name}.npz"
        if path.exists():
            with np.load(path) as archive:
                return dict(archive)
        how = {"trees": config.trees, "leaves": config.tree_leaves, "rate": config.tree_rate}
        arrays = fit_trees(drawn, labelled, seed=config.seed, **how)
        np.savez(path, **arrays)
        log(f"{name}: {len(arrays['roots'])} trees")
        return arrays

    share = config.kinds.get("labelled", 0) / sum(config.kinds.values())
    if not share:
        trees = fit("trees", None)
        return trees, tree_logits(trees, held_out), held_out, area
    frames = [_whole(*read_truth_frame(path)) for path in config.labelled]
    labelled = LabelledPixels.gather(frames, networks)
    trees = fit("trees", labelled.samples)
    judged = np.empty(len(labelled.row), np.float32)
    for k, (inside, far) in enumerate(labelled.parts()):
        without = fit(f"trees_without{k}", labelled.samples.reorder(far))
        judged[inside] = tree_logits(without, labelled.samples.reorder(inside))
    logits = np.concatenate([tree_logits(trees, held_out), judged])
    counts = share / (1 - share) * area / labelled.area
    weighted = replace(labelled.samples, weights=np.float32(counts) * labelled.samples.weights)
    return trees, logits, Samples.join([held_out, weighted]), area / (1 - share)


def _whole(image, labels, readnoise):
    """A frame with labels as a field."""
    return Field(image, labels, 1.0, readnoise, np.inf, "labelled", 0, ~np.isfinite(image))


def _mean(networks, start, share):
    """Mean of the weights of networks of which each continued from the one before."""
    return {
        k: np.float32(share * start[k] + (1 - share) * np.mean([n[k] for n in networks], axis=0))
        for k in start
    }


def first_cut(first, full, samples, kept=0.9995):
    """Logit of the small first network that keeps nearly all hits the large one believes in."""
    hits = samples.reorder(samples.labels == 1)
    believed = network_logits(full, hits) > -1
    return float(np.quantile(network_logits(first, hits, FIRST_COLUMNS)[believed], 1 - kept))


def _card(config, fraction, logits, held_out, area):
    hit = held_out.labels == 1
    loss = np.logaddexp(0, np.where(hit, -logits, logits))
    order = np.argsort(-logits)
    clean = np.cumsum(np.where(hit, 0, held_out.weights)[order])
    found = np.cumsum(np.where(hit, held_out.weights, 0)[order])
    metrics = {"loss": float(np.average(loss, weights=held_out.weights))}
    for rate in (1e-4, 1e-3, 5e-3):
        place = np.searchsorted(clean, rate * area)
        metrics[f"tpr_at_{rate:g}"] = float(found[min(place, len(found) - 1)] / found[-1])
    split = "Fields of other seeds for fitting, each refinement, and calibration with figures."
    measured_on = "held-out simulated fields, judged candidates only"
    if config.kinds.get("labelled"):
        measured_on = "held-out simulated fields and labelled frames, judged candidates only"
        if config.trees:
            split += " Each half of the labelled frames there by trees fitted without it."
    return {
        "task": "identify",
        "name": config.name,
        "description": config.description,
        "data": config.data,
        "limits": config.limits,
        "split": split,
        "date": date.today().isoformat(),
        "screen": {
            "floor_snr": FLOOR_SNR,
            "floor_peak": FLOOR_PEAK,
            "first_cut": SCREENED_OUT,
        },
        "parts": config.parts > 0,
        "hit_fraction": fraction,
        "metrics": metrics,
        "metrics_on": measured_on,
        "config": {
            k: Path(v).name if k in _PATHS else v
            for k, v in asdict(config).items()
            if k not in ("backgrounds", "pairs", "labelled", *_WORDS)
        },
        "backgrounds": [Path(b["path"]).name for b in config.backgrounds],
        "pairs": [[Path(path).name for path in pair["paths"]] for pair in config.pairs],
        "labelled": [Path(path).name for path in config.labelled],
    }


class _Log:
    def __init__(self, path, config):
        self.path, self.begun = path, time.time()
        self(f"training of {config.name!r}, configuration {config.digest()}")

    def __call__(self, text):
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{time.time() - self.begun:8.1f} s  {text}\n")
