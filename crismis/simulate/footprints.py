"""Footprints: the pixels and charges of many events, held in flat columns."""

import numpy as np

__all__ = ["Footprints"]


class Footprints:
    """Charge that events left in pixels, each event on its own.

    Parameters
    ----------
    offsets : ndarray of int64
        Event ``i`` owns pixels ``offsets[i]`` to ``offsets[i + 1]``; shape (events + 1,).
    rows, columns : ndarray of int64
        Pixel positions, shape (pixels,).
    charge : ndarray of float32
        Electrons in each pixel, shape (pixels,).

    Examples
    --------
    >>> import numpy as np
    >>> from crismis.simulate import Footprints
    >>> prints = Footprints.from_images([np.array([[0, 90.0], [40, 0]]), np.ones((1, 3))])
    >>> len(prints), prints.n_pixels.tolist(), prints.total.tolist()
    (2, [2, 3], [130.0, 3.0])
    >>> prints.stamp(0)
    array([[ 0., 90.],
           [40.,  0.]], dtype=float32)
    """

    def __init__(self, offsets, rows, columns, charge):
        self.offsets = np.asarray(offsets, dtype=np.int64)
        self.rows = np.asarray(rows, dtype=np.int64)
        self.columns = np.asarray(columns, dtype=np.int64)
        self.charge = np.asarray(charge, dtype=np.float32)
        if not self.rows.shape == self.columns.shape == self.charge.shape == (self.offsets[-1],):
            raise ValueError(
                f"offsets end at {self.offsets[-1]}, but there are {self.rows.size} rows, "
                f"{self.columns.size} columns and {self.charge.size} charges"
            )

    @classmethod
    def from_images(cls, images):
        """Gather the positive pixels of small images, one image per event."""
        images = [np.asarray(image) for image in images]
        places = [np.nonzero(image > 0) for image in images]
        sizes = [rows.size for rows, _ in places]
        return cls(
            np.concatenate([[0], np.cumsum(sizes)]),
            np.concatenate([rows for rows, _ in places] or [[]]),
            np.concatenate([columns for _, columns in places] or [[]]),
            np.concatenate([i[p] for i, p in zip(images, places, strict=True)] or [[]]),
        )

    @classmethod
    def from_table(cls, pixels, n=None):
        """Rebuild footprints from the table that `to_table` makes.

        Parameters
        ----------
        pixels : `~astropy.table.Table`
            Columns ``label`` (from 1), ``x``, ``y`` and ``charge``.
        n : int, optional
            Number of events; the largest label by default.
        """
        label = np.asarray(pixels["label"]) - 1
        order = np.argsort(label, kind="stable")
        n = int(label.max(initial=-1)) + 1 if n is None else n
        offsets = np.concatenate([[0], np.cumsum(np.bincount(label, minlength=n))])
        columns = (np.asarray(pixels[name])[order] for name in ("y", "x", "charge"))
        return cls(offsets, *columns)

    def to_table(self):
        """Return one row per pixel: ``label`` of the event (from 1), ``x``, ``y``, ``charge``."""
        from astropy import units as u
        from astropy.table import QTable

        return QTable(
            {
                "label": (self.label + 1).astype(np.int32),
                "x": self.columns.astype(np.int32),
                "y": self.rows.astype(np.int32),
                "charge": self.charge * u.electron,
            }
        )

    def __len__(self):
        return self.offsets.size - 1

    def __repr__(self):
        return f"<Footprints: {len(self)} events, {self.charge.size} pixels>"

    @property
    def label(self):
        """Index of the event that each pixel belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @property
    def n_pixels(self):
        """Number of pixels of each event."""
        return np.diff(self.offsets)

    @property
    def total(self):
        """Electrons of each event."""
        return np.bincount(self.label, self.charge, len(self))

    def select(self, events):
        """Return the footprints of some events, in the order of their indices or a mask."""
        events = np.arange(len(self))[events]
        sizes = self.n_pixels[events]
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        pixels = np.arange(offsets[-1]) + np.repeat(self.offsets[events] - offsets[:-1], sizes)
        return Footprints(offsets, self.rows[pixels], self.columns[pixels], self.charge[pixels])

    def above(self, threshold):
        """Return the footprints without the pixels of ``threshold`` electrons or less."""
        keep = self.charge > threshold
        sizes = np.bincount(self.label[keep], minlength=len(self))
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        return Footprints(offsets, self.rows[keep], self.columns[keep], self.charge[keep])

    def shifted(self, rows, columns):
        """Return the footprints moved by whole pixels, one shift per event or one for all."""
        label = self.label
        rows = np.broadcast_to(rows, len(self))[label]
        columns = np.broadcast_to(columns, len(self))[label]
        return Footprints(self.offsets, self.rows + rows, self.columns + columns, self.charge)

    def inside(self, shape):
        """Return the footprints without the pixels that lie outside an image."""
        keep = (self.rows >= 0) & (self.rows < shape[0])
        keep &= (self.columns >= 0) & (self.columns < shape[1])
        sizes = np.bincount(self.label[keep], minlength=len(self))
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        return Footprints(offsets, self.rows[keep], self.columns[keep], self.charge[keep])

    def image(self, shape):
        """Return the summed charge of all events as a float32 image; what lies outside is cut."""
        inside = self.inside(shape)
        flat = inside.rows * shape[1] + inside.columns
        image = np.zeros(shape, dtype=np.float32)
        np.add.at(image.reshape(-1), flat, inside.charge)
        return image

    def stamp(self, event, size=None):
        """Return one event as a small image.

        Parameters
        ----------
        event : int
            Index of the event.
        size : tuple of int, optional
            Shape of the image, the event's charge-weighted centre at its middle; by default
            the event's bounding box.

        Returns
        -------
        ndarray of float32
            Electrons.
        """
        pixels = slice(self.offsets[event], self.offsets[event + 1])
        rows, columns, charge = self.rows[pixels], self.columns[pixels], self.charge[pixels]
        if not rows.size:
            return np.zeros(size or (0, 0), dtype=np.float32)
        if size is None:
            rows, columns = rows - rows.min(), columns - columns.min()
            size = (rows.max() + 1, columns.max() + 1)
        else:
            rows = rows - int(np.average(rows, weights=charge)) + size[0] // 2
            columns = columns - int(np.average(columns, weights=charge)) + size[1] // 2
        keep = (rows >= 0) & (rows < size[0]) & (columns >= 0) & (columns < size[1])
        stamp = np.zeros(size, dtype=np.float32)
        stamp[rows[keep], columns[keep]] = charge[keep]
        return stamp

    def stamps(self, size=None):
        """Iterate over `stamp` for every event."""
        return (self.stamp(event, size) for event in range(len(self)))
