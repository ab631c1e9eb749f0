"""Fitted scikit-learn trees as flat arrays, so that no model file holds code."""

import numpy as np

__all__ = ["average_trees", "flatten_trees"]


def flatten_trees(estimator):
    """Turn a forest or gradient-boosted trees into arrays.

    Parameters
    ----------
    estimator : fitted classifier
        `~sklearn.ensemble.ExtraTreesClassifier`, `~sklearn.ensemble.RandomForestClassifier`
        or `~sklearn.ensemble.HistGradientBoostingClassifier`, fitted on float32 features
        without categories or missing values.

    Returns
    -------
    arrays : dict of str to ndarray
        See `crismis.events.EventClassifier`.
    link : str
        ``"mean"`` or ``"softmax"``.

    Raises
    ------
    TypeError
        For any other estimator.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from crismis.learning.trees import flatten_trees
    >>> x = np.random.default_rng(1).normal(size=(100, 3)).astype("f4")
    >>> forest = RandomForestClassifier(5, max_depth=3, random_state=1).fit(x, x[:, 0] > 0)
    >>> arrays, link = flatten_trees(forest)
    >>> link
    'mean'
    """
    if hasattr(estimator, "_predictors"):
        return _flatten_boosting(estimator), "softmax"
    if hasattr(estimator, "estimators_") and hasattr(estimator.estimators_[0], "tree_"):
        return _flatten_forest(estimator), "mean"
    raise TypeError(f"cannot flatten {type(estimator).__name__}; wanted a forest or boosted trees")


def average_trees(first, second):
    """Join boosted trees to such that score the mean of what they do.

    Parameters
    ----------
    first, second : dict of str to ndarray
        Arrays of `flatten_trees` of two boosted estimators for the same classes.

    Returns
    -------
    dict of str to ndarray
        The trees of both.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import HistGradientBoostingClassifier
    >>> from crismis.learning.trees import average_trees, flatten_trees
    >>> x = np.random.default_rng(1).normal(size=(100, 3)).astype("f4")
    >>> few, many = (
    ...     flatten_trees(HistGradientBoostingClassifier(max_iter=n).fit(x, x[:, 0] > 0))[0]
    ...     for n in (2, 3)
    ... )
    >>> len(average_trees(few, many)["roots"])
    5
    """
    n_nodes, n_leaves = len(first["feature"]), len(first["leaves"])
    leaf = second["feature"] < 0
    moved = {
        "left": second["left"] + np.where(leaf, n_leaves, n_nodes),
        "right": np.where(leaf, -1, second["right"] + n_nodes),
        "roots": second["roots"] + n_nodes,
    }
    joined = {
        name: np.concatenate([array, moved.get(name, second[name])]).astype(array.dtype)
        for name, array in first.items()
    }
    joined["leaves"] /= 2
    joined["start"] = (first["start"] + second["start"]) / 2
    return joined


def _flatten_forest(forest):
    trees = []
    for member in forest.estimators_:
        tree = member.tree_
        leaf = tree.children_left < 0
        values = tree.value[leaf, 0]
        trees.append(
            {
                "leaf": leaf,
                "feature": tree.feature,
                "threshold": tree.threshold,
                "left": tree.children_left,
                "right": tree.children_right,
                "leaves": values / values.sum(axis=1, keepdims=True),
                "output": -1,
            }
        )
    return _join(trees, np.zeros(forest.n_classes_))


def _flatten_boosting(boosting):
    single = boosting.n_trees_per_iteration_ == 1
    trees = []
    for iteration in boosting._predictors:
        for output, predictor in enumerate(iteration):
            nodes = predictor.nodes
            leaf = nodes["is_leaf"].astype(bool)
            trees.append(
                {
                    "leaf": leaf,
                    "feature": nodes["feature_idx"],
                    "threshold": nodes["num_threshold"],
                    "left": nodes["left"],
                    "right": nodes["right"],
                    "leaves": nodes["value"][leaf, None],
                    "output": output + single,
                }
            )
    start = np.zeros(len(boosting.classes_))
    start[1 if single else 0 :] = np.ravel(boosting._baseline_prediction)
    return _join(trees, start)


def _join(trees, start):
    nodes = np.cumsum([0] + [len(t["leaf"]) for t in trees])
    leaves = np.cumsum([0] + [int(t["leaf"].sum()) for t in trees])
    left, right, feature, threshold = [], [], [], []
    for tree, first_node, first_leaf in zip(trees, nodes, leaves, strict=False):
        leaf = tree["leaf"]
        number = np.cumsum(leaf) - 1
        left.append(np.where(leaf, first_leaf + number, first_node + tree["left"].astype(int)))
        right.append(np.where(leaf, -1, first_node + tree["right"].astype(int)))
        feature.append(np.where(leaf, -1, tree["feature"].astype(int)))
        threshold.append(np.where(leaf, 0.0, tree["threshold"]))
    return {
        "feature": np.concatenate(feature).astype(np.int16),
        "threshold": _round_down(np.concatenate(threshold)),
        "left": np.concatenate(left).astype(np.int32),
        "right": np.concatenate(right).astype(np.int32),
        "roots": nodes[:-1].astype(np.int32),
        "output": np.array([t["output"] for t in trees], dtype=np.int8),
        "leaves": np.concatenate([t["leaves"] for t in trees]).astype(np.float32),
        "start": start.astype(np.float32),
    }


def _round_down(values):
    """Largest float32 not above each value: float32 features then take the same branches."""
    rounded = values.astype(np.float32)
    return np.where(rounded > values, np.nextafter(rounded, np.float32(-np.inf)), rounded)
