# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Fit the judge's networks; PyTorch does the arithmetic, and only here."""

import itertools
import warnings
from pathlib import Path

import numpy as np

from ..identify import _kernels
from ..identify.sampling import CONDITIONS
from .dataset import orientations, orientations_refine

__all__ = ["fit_network", "network_logits"]
__doctest_requires__ = {("fit_network",): ["torch"]}


def load_torch():
    """Import PyTorch, or say how to install it."""
    try:
        import torch
    except ImportError:
        raise ImportError(
            "training needs PyTorch: install it with `pip install crismis[train]`"
        ) from None
    return torch


def fit_network(
    samples,
    layers,
    *,
    columns=None,
    residual=None,
    start=None,
    epochs=12,
    rate=2e-3,
    batch=2048,
    decay=1e-5,
    seed=1,
    progress=lambda epoch, loss: None,
    state=None,
    n_threads=2,
):
    """Fit a small network that is blind to turns and reflections to samples.

    Parameters
    ----------
    samples : `crismis.learning.dataset.Samples`
    layers : sequence of (int, int)
        Hidden units of each layer: those that come in eights, for every orientation one, and
        those that are symmetric themselves.
    columns : ndarray, optional
        Which inputs the network sees; all by default.
    residual : int, optional
        Input to which the network's output is added.
    start : dict of str to ndarray, optional
        Arrays of an earlier fit to continue from.
    epochs, rate, batch, decay, seed
        Of the Adam optimizer with a one-cycle learning rate.
    progress : callable
        Called with the epoch and its mean loss.
    state : path-like, optional
        File that holds the state after every epoch; where it exists, the fit goes on from it.
    n_threads : int

    Returns
    -------
    dict of str to ndarray
        ``weights1`` (inputs, then conditions), ``bias1``, ``weights2`` ...; float32.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.learning.dataset import sample_field
    >>> from crismis.learning.fields import random_field
    >>> from crismis.learning.training import fit_network
    >>> field = random_field(1, "stars", shape=(128, 128))
    >>> samples = sample_field(field, np.random.default_rng(1), hits=200, others=200)
    >>> arrays = fit_network(samples, [(8, 8)], epochs=1)
    >>> sorted(arrays)
    ['bias1', 'bias2', 'weights1', 'weights2']
    """
    torch = load_torch()
    torch.set_num_threads(n_threads)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    n = samples.inputs.shape[1]
    columns = np.arange(n) if columns is None else np.asarray(columns)
    every = orientations() if n == _kernels.INPUTS else orientations_refine()
    turns = [_within(t, columns) for t in every]
    # Shuffled once, then read in contiguous batches.
    order = rng.permutation(len(samples.labels))
    samples = samples.reorder(order)
    inputs = torch.from_numpy(np.ascontiguousarray(samples.inputs[:, columns]))
    conditions = torch.from_numpy(samples.conditions)
    field = torch.from_numpy(samples.field.astype(np.int64))
    target = torch.from_numpy(samples.labels.astype(np.float32))
    weight = torch.from_numpy(np.minimum(samples.weights, 25).astype(np.float32))
    mean, scale = _moments(samples, columns, turns)
    network = _SymmetricNetwork(torch, turns, layers, start, mean, scale)
    mean_t, scale_t = torch.from_numpy(mean), torch.from_numpy(1 / scale)
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay)
    steps = -(-len(target) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=steps * epochs + 1, pct_start=0.15
    )
    first = _resume(torch, network, optimizer, schedule, state, steps)
    for epoch in range(first, epochs):
        total, rng = 0.0, np.random.default_rng([seed, epoch])
        for k in rng.permutation(steps):
            chosen = slice(k * batch, (k + 1) * batch)
            x = torch.cat([inputs[chosen].float(), conditions[field[chosen]]], 1)
            output = network((x - mean_t) * scale_t)
            if residual is not None:
                output = output + x[:, residual]
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                output, target[chosen], weight[chosen]
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        if state is not None:
            _save_state(state, epoch + 1, network, optimizer)
        progress(epoch + 1, total / steps)
    return network.arrays(mean, scale)


class _SymmetricNetwork:
    """A network whose answer is the same for the eight turns and reflections of its windows.

    Some hidden units of a layer come in eights: turned and mirrored copies of one filter, whose
    weights to the next layer depend on the relative orientation only (Cohen & Welling 2016,
    "Group equivariant convolutional networks"). The others are symmetric themselves; those of
    the first layer see sums over rings of inputs. Written out, it is a plain network.
    """

    def __init__(self, torch, turns, layers, start, mean, scale):
        if any(turned % 8 for turned, _ in layers):
            raise ValueError(f"units that come in eights must be multiples of 8, got {layers}")
        self.torch = torch
        n = len(turns[0]) + CONDITIONS
        rest = np.arange(len(turns[0]), n)
        self.back = [torch.from_numpy(np.append(np.argsort(t), rest)) for t in turns]
        self.relative = torch.from_numpy(_relative_orientations(turns))
        rings = np.append(np.min(turns, axis=0), rest)
        rings = np.unique(rings, return_inverse=True)[1]
        self.rings = torch.from_numpy(rings)
        self.sums = torch.nn.functional.one_hot(self.rings).float()
        turned, symmetric = [a // 8 for a, _ in layers], [b for _, b in layers]
        shapes = [{"turned": (turned[0], n), "symmetric": (symmetric[0], self.sums.shape[1])}]
        for (a, b), (c, d) in zip(
            itertools.pairwise(turned), itertools.pairwise(symmetric), strict=True
        ):
            shapes.append({"tt": (b, a, 8), "st": (b, c), "ts": (d, a), "ss": (d, c)})
        shapes.append({"turned": (1, turned[-1]), "symmetric": (1, symmetric[-1])})
        outputs = [a + b for a, b in zip(turned, symmetric, strict=True)] + [1]
        self.weights, self.biases = [], []
        widths = [n, *(sum(layer) for layer in layers)]
        for kinds, size, inputs in zip(shapes, outputs, widths, strict=True):
            reach = inputs**-0.5
            self.weights.append(
                {k: (torch.rand(shape) * 2 - 1) * reach for k, shape in kinds.items()}
            )
            self.biases.append((torch.rand(size) * 2 - 1) * reach)
        self.weights[0]["symmetric"] /= self.sums.sum(0).sqrt()
        if start is not None:
            self._begin_with(start, mean, scale)
        for parameter in self.parameters():
            parameter.requires_grad_()

    def parameters(self):
        return [w for kinds in self.weights for w in kinds.values()] + self.biases

    def _copies(self):
        """Weights and biases of the units of the first layer that come in eights."""
        first = self.weights[0]["turned"]
        bias = self.biases[0][: len(first)].repeat(8)
        return self.torch.cat([first[:, back] for back in self.back]), bias

    def _later(self):
        """Weights ``(outputs, inputs)`` and biases of all layers but the first."""
        cat = self.torch.cat
        _, *middle, last = self.weights
        for weights, bias in zip(middle, self.biases[1:-1], strict=True):
            b, a, _ = weights["tt"].shape
            related = weights["tt"][:, :, self.relative]  # b, a, orientation out, orientation in
            related = related.permute(2, 0, 3, 1).reshape(8 * b, 8 * a)
            upper = cat([related, weights["st"].repeat(8, 1)], 1)
            lower = cat([weights["ts"].repeat(1, 8) / 8, weights["ss"]], 1)
            yield cat([upper, lower]), cat([bias[:b].repeat(8), bias[b:]])
        yield cat([last["turned"].repeat(1, 8) / 8, last["symmetric"]], 1), self.biases[-1]

    def plain(self):
        """Weights ``(outputs, inputs)`` and biases of the plain network."""
        cat = self.torch.cat
        first = self.weights[0]
        copies, bias = self._copies()
        even = self.biases[0][len(first["turned"]) :]
        yield cat([copies, first["symmetric"][:, self.rings]]), cat([bias, even])
        yield from self._later()

    def __call__(self, x):
        linear = self.torch.nn.functional.linear
        first = self.weights[0]
        even = linear(x @ self.sums, first["symmetric"], self.biases[0][len(first["turned"]) :])
        x = self.torch.cat([linear(x, *self._copies()), even], 1)
        for weights, bias in self._later():
            x = linear(x.relu(), weights, bias)
        return x[:, 0]

    def arrays(self, mean, scale):
        """Plain weights with the normalization of the inputs folded in, inputs first."""
        out = {}
        for i, (weights, bias) in enumerate(self.plain(), 1):
            weights = weights.detach().numpy().astype(np.float64).T
            bias = bias.detach().numpy().astype(np.float64)
            if i == 1:
                weights = weights / scale[:, None]
                bias = bias - mean @ weights
            out[f"weights{i}"] = np.ascontiguousarray(weights, dtype=np.float32)
            out[f"bias{i}"] = np.ascontiguousarray(bias, dtype=np.float32)
        return out

    def _begin_with(self, arrays, mean, scale):
        """Take over the weights of an earlier fit."""
        last = len(self.weights)
        inputs = 0
        for i, kinds in enumerate(self.weights, 1):
            weights, bias = arrays[f"weights{i}"], np.asarray(arrays[f"bias{i}"])
            if i == 1:
                bias = bias + mean @ weights
                weights = (weights * scale[:, None]).T
                turned = len(kinds["turned"])
                even = weights[8 * turned :] @ self.sums.numpy() / self.sums.sum(0).numpy()
                found = {"turned": weights[:turned], "symmetric": even}
            elif i == last:
                copies = weights[:inputs].reshape(1, 8, -1).sum(1)
                found = {"turned": copies, "symmetric": weights[inputs:].T}
            else:
                turned = len(kinds["tt"])
                upper, lower = weights.T[:turned], weights.T[8 * turned :]
                found = {
                    "tt": upper[:, :inputs].reshape(turned, 8, -1).transpose(0, 2, 1),
                    "st": upper[:, inputs:],
                    "ts": lower[:, :inputs].reshape(len(lower), 8, -1).sum(1),
                    "ss": lower[:, inputs:],
                }
            for kind, array in found.items():
                if array.shape != kinds[kind].shape:
                    raise ValueError("the network to start from has other widths")
                kinds[kind] = self.torch.from_numpy(np.array(array, np.float32))
            inputs = 8 * turned
            if i < last:
                bias = np.append(bias[:turned], bias[8 * turned :])
            self.biases[i - 1] = self.torch.from_numpy(np.array(bias, np.float32))


def _relative_orientations(turns):
    """Table of which turn leads from one orientation to another."""
    number = {tuple(t): k for k, t in enumerate(turns)}
    inverse = [number[tuple(np.argsort(t))] for t in turns]
    return np.array([[number[tuple(turns[inverse[a]][t])] for t in turns] for a in range(8)])


def _save_state(path, epoch, network, optimizer):
    arrays = {"epoch": np.array(epoch)}
    for i, parameter in enumerate(network.parameters()):
        moments = optimizer.state[parameter]
        arrays[f"value{i}"] = parameter.detach().numpy()
        arrays[f"mean{i}"] = moments["exp_avg"].numpy()
        arrays[f"square{i}"] = moments["exp_avg_sq"].numpy()
        arrays[f"step{i}"] = np.array(float(moments["step"]))
    partial = Path(path).with_suffix(".part.npz")
    np.savez(partial, **arrays)
    partial.replace(path)


def _resume(torch, network, optimizer, schedule, path, steps):
    """Continue from a state file, if there is one; return the epochs done."""
    if path is None or not Path(path).exists():
        return 0
    with np.load(path) as arrays, torch.no_grad():
        for i, parameter in enumerate(network.parameters()):
            parameter.copy_(torch.from_numpy(arrays[f"value{i}"]))
            optimizer.state[parameter] = {
                "exp_avg": torch.from_numpy(arrays[f"mean{i}"]),
                "exp_avg_sq": torch.from_numpy(arrays[f"square{i}"]),
                "step": torch.tensor(float(arrays[f"step{i}"])),
            }
        epoch = int(arrays["epoch"])
    with warnings.catch_warnings():
        # The optimizer's steps were taken before the stop.
        warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
        for _ in range(epoch * steps):
            schedule.step()
    return epoch


def _within(turn, columns):
    """A permutation of all inputs, restricted to the inputs that the network sees."""
    place = np.full(len(turn), -1)
    place[columns] = np.arange(len(columns))
    return place[turn[columns]]


def _moments(samples, columns, turns):
    """Mean and scatter of the inputs, the same for inputs that a turn exchanges."""
    some = slice(None, None, max(1, len(samples.labels) // 40000))
    x = samples.inputs[some][:, columns].astype(np.float32)
    mean, square = x.mean(0), (x**2).mean(0)
    mean = np.mean([mean[t] for t in turns], axis=0)
    square = np.mean([square[t] for t in turns], axis=0)
    scale = np.sqrt(np.maximum(square - mean**2, 1e-4))
    c = samples.conditions
    mean = np.concatenate([mean, c.mean(0)]).astype(np.float32)
    scale = np.concatenate([scale, np.maximum(c.std(0), 0.05)]).astype(np.float32)
    return mean, scale


def network_logits(arrays, samples, columns=None, residual=None):
    """Logits of a fitted network for samples, in NumPy; arguments as for `fit_network`.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.learning.dataset import Samples
    >>> from crismis.learning.training import network_logits
    >>> rng = np.random.default_rng(1)
    >>> samples = Samples(rng.normal(size=(4, 3)), np.zeros((1, 2), "f4"), np.zeros(4, int),
    ...                   np.ones(4, "u1"), np.ones(4, "f4"))
    >>> network = {"weights1": np.ones((5, 1), "f4"), "bias1": np.zeros(1, "f4")}
    >>> network_logits(network, samples).shape
    (4,)
    """
    columns = slice(None) if columns is None else columns
    x = np.concatenate(
        [samples.inputs[:, columns].astype(np.float32), samples.conditions[samples.field]], axis=1
    )
    layers = len(arrays) // 2
    added = 0 if residual is None else x[:, residual]
    for i in range(1, layers + 1):
        x = x @ arrays[f"weights{i}"] + arrays[f"bias{i}"]
        if i < layers:
            x = np.maximum(x, 0)
    return x[:, 0] + added
