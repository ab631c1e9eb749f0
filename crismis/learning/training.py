# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Fit the judge's networks; PyTorch does the arithmetic, and only here."""

import itertools
from pathlib import Path

import numpy as np

from ..identify import _kernels
from ..identify.sampling import CONDITIONS
from .dataset import orientations, orientations_refine

__all__ = ["fit_network", "network_logits"]
__doctest_requires__ = {("fit_network",): ["torch"]}


def _torch():
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
    """Fit a small network to samples, each batch turned or mirrored at random.

    Parameters
    ----------
    samples : `crismis.learning.dataset.Samples`
    layers : sequence of int
        Widths of the hidden layers.
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
    >>> arrays = fit_network(samples, [8], epochs=1)
    >>> sorted(arrays)
    ['bias1', 'bias2', 'weights1', 'weights2']
    """
    torch = _torch()
    torch.set_num_threads(n_threads)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    n = samples.inputs.shape[1]
    columns = np.arange(n) if columns is None else np.asarray(columns)
    every = orientations() if n == _kernels.INPUTS else orientations_refine()
    turns = [_within(t, columns) for t in every]
    rest = torch.arange(len(columns), len(columns) + CONDITIONS)
    turned = [torch.cat([torch.from_numpy(t), rest]) for t in turns]
    # Shuffled once, then read in contiguous batches; turning the first layer's weights
    # instead of the inputs costs next to nothing.
    order = rng.permutation(len(samples.labels))
    samples = samples.reorder(order)
    inputs = torch.from_numpy(np.ascontiguousarray(samples.inputs[:, columns]))
    conditions = torch.from_numpy(samples.conditions)
    field = torch.from_numpy(samples.field.astype(np.int64))
    target = torch.from_numpy(samples.labels.astype(np.float32))
    weight = torch.from_numpy(np.minimum(samples.weights, 25).astype(np.float32))
    sizes = [len(columns) + CONDITIONS, *layers, 1]
    modules = []
    for a, b in itertools.pairwise(sizes):
        modules += [torch.nn.Linear(a, b), torch.nn.ReLU()]
    network = torch.nn.Sequential(*modules[:-1])
    mean, scale = _moments(samples, columns, turns)
    if start is not None:
        _load(torch, network, start, mean, scale)
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
            turn = turned[rng.integers(8)]
            hidden = torch.nn.functional.linear(
                (x - mean_t) * scale_t, network[0].weight[:, turn], network[0].bias
            )
            output = network[1:](hidden)[:, 0]
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
        progress(epoch + 1, total / steps)
        if state is not None:
            _save_state(state, epoch + 1, network, optimizer)
    return _arrays(network, mean, scale)


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


def _arrays(network, mean, scale):
    """Weights with the normalization of the inputs folded in, inputs first."""
    out = {}
    linear = [m for m in network if hasattr(m, "weight")]
    for i, module in enumerate(linear, 1):
        weights = module.weight.detach().numpy().astype(np.float64).T
        bias = module.bias.detach().numpy().astype(np.float64)
        if i == 1:
            weights = weights / scale[:, None]
            bias = bias - mean @ weights
        out[f"weights{i}"] = np.ascontiguousarray(weights, dtype=np.float32)
        out[f"bias{i}"] = np.ascontiguousarray(bias, dtype=np.float32)
    return out


def _load(torch, network, arrays, mean, scale):
    linear = [m for m in network if hasattr(m, "weight")]
    with torch.no_grad():
        for i, module in enumerate(linear, 1):
            weights, bias = arrays[f"weights{i}"], arrays[f"bias{i}"]
            if i == 1:
                bias = bias + mean @ weights
                weights = weights * scale[:, None]
            module.weight.copy_(torch.from_numpy(weights.T.copy()))
            module.bias.copy_(torch.from_numpy(np.asarray(bias)))


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
