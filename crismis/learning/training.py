# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Fit the judge's networks; PyTorch does the arithmetic, and only here."""

import itertools

import numpy as np

from ..identify import _kernels
from ..identify.sampling import CONDITIONS
from .dataset import orientations

__all__ = ["fit_network", "network_logits"]


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
    start=None,
    epochs=12,
    rate=2e-3,
    batch=2048,
    decay=1e-5,
    seed=1,
    progress=lambda epoch, loss: None,
    resume=None,
    checkpoint=lambda state: None,
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
    start : dict of str to ndarray, optional
        Arrays of an earlier fit to continue from.
    epochs, rate, batch, decay, seed
        Of the Adam optimizer with a one-cycle learning rate.
    progress : callable
        Called with the epoch and its mean loss.
    resume : dict, optional
        A state that ``checkpoint`` was given.
    checkpoint : callable
        Called with the whole state after every epoch.
    n_threads : int

    Returns
    -------
    dict of str to ndarray
        ``weights1`` (inputs, then conditions), ``bias1``, ``weights2`` ...; float32.
    """
    torch = _torch()
    torch.set_num_threads(n_threads)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    columns = np.arange(_kernels.INPUTS) if columns is None else np.asarray(columns)
    turns = [torch.from_numpy(t[columns].astype(np.int64)) for t in orientations()]
    inputs = torch.from_numpy(samples.inputs)
    conditions = torch.from_numpy(samples.conditions)
    field = torch.from_numpy(samples.field.astype(np.int64))
    target = torch.from_numpy(samples.labels.astype(np.float32))
    weight = torch.from_numpy(np.minimum(samples.weights, 12).astype(np.float32))
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
    first = 0
    if resume is not None:
        first = resume["epoch"]
        network.load_state_dict(resume["network"])
        optimizer.load_state_dict(resume["optimizer"])
        schedule.load_state_dict(resume["schedule"])
        rng.bit_generator.state = resume["rng"]
    for epoch in range(first, epochs):
        order = torch.from_numpy(rng.permutation(len(target)))
        total = 0.0
        for k in range(steps):
            chosen = order[k * batch : (k + 1) * batch]
            x = inputs[chosen][:, turns[rng.integers(8)]].float()
            x = (torch.cat([x, conditions[field[chosen]]], 1) - mean_t) * scale_t
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                network(x)[:, 0], target[chosen], weight[chosen]
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        progress(epoch + 1, total / steps)
        checkpoint(
            {
                "epoch": epoch + 1,
                "network": network.state_dict(),
                "optimizer": optimizer.state_dict(),
                "schedule": schedule.state_dict(),
                "rng": rng.bit_generator.state,
            }
        )
    return _arrays(network, mean, scale)


def _moments(samples, columns, turns):
    """Mean and scatter of the inputs, the same for inputs that a turn exchanges."""
    some = slice(None, None, max(1, len(samples.labels) // 40000))
    x = samples.inputs[some].astype(np.float32)
    mean, square = x.mean(0), (x**2).mean(0)
    mean = np.mean([mean[t.numpy()] for t in turns], axis=0)
    square = np.mean([square[t.numpy()] for t in turns], axis=0)
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


def network_logits(arrays, samples, columns=None):
    """Logits of a fitted network for samples, in NumPy."""
    columns = slice(None) if columns is None else columns
    x = np.concatenate(
        [samples.inputs[:, columns].astype(np.float32), samples.conditions[samples.field]], axis=1
    )
    layers = len(arrays) // 2
    for i in range(1, layers + 1):
        x = x @ arrays[f"weights{i}"] + arrays[f"bias{i}"]
        if i < layers:
            x = np.maximum(x, 0)
    return x[:, 0]
