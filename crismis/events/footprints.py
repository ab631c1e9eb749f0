"""The pixels of all events as flat arrays, sorted by event, so that sums need no loop."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Footprints"]


@dataclass(frozen=True)
class Footprints:
    """Pixels of labelled events in columnar form.

    Parameters
    ----------
    labels : ndarray of int32, shape (n_events,)
        Label of each event, increasing.
    starts : ndarray of int64, shape (n_events + 1,)
        Event ``i`` owns the pixels ``starts[i]:starts[i + 1]``.
    y, x : ndarray of int32, shape (n_pixels,)
        Row and column of each pixel.

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.events import Footprints
    >>> pixels = Footprints.from_labels(np.array([[1, 1, 0], [0, 0, 2]]))
    >>> pixels.sum(np.array([3.0, 4.0, 5.0]))
    array([7., 5.])
    """

    labels: np.ndarray
    starts: np.ndarray
    y: np.ndarray
    x: np.ndarray

    @classmethod
    def from_labels(cls, image):
        """Collect the pixels of a label image (2-D integers, 0 for none)."""
        image = np.asarray(image)
        flat = np.flatnonzero(image)
        values = image.ravel()[flat]
        order = np.argsort(values, kind="stable")
        flat, values = flat[order], values[order]
        first = np.flatnonzero(np.diff(values, prepend=0))
        y, x = np.divmod(flat, image.shape[1])
        return cls(
            labels=values[first].astype(np.int32),
            starts=np.append(first, len(values)).astype(np.int64),
            y=y.astype(np.int32),
            x=x.astype(np.int32),
        )

    def __len__(self):
        return len(self.labels)

    @property
    def n_pixels(self):
        """Number of pixels per event."""
        return np.diff(self.starts)

    def sum(self, values):
        """Sum per event of one value per pixel."""
        return self._reduce(np.add, values)

    def min(self, values):
        """Smallest value per event."""
        return self._reduce(np.minimum, values)

    def max(self, values):
        """Largest value per event."""
        return self._reduce(np.maximum, values)

    def any(self, values):
        """Whether any pixel of the event is true."""
        return self._reduce(np.logical_or, values)

    def spread(self, values):
        """Repeat one value per event for each of its pixels."""
        return np.repeat(values, self.n_pixels)

    def _reduce(self, function, values):
        if len(self) == 0:
            return np.asarray(values)[:0]
        return function.reduceat(np.asarray(values), self.starts[:-1])
