"""Compressed images of the Voyager CD-ROMs (``.imq``): Huffman codes of first differences.

Neither pdr nor rms-vicar nor planetaryimage decodes them.
"""

import heapq

import numpy as np

from .core import Image, register_format
from .labels import labelled
from .odl import parse_label
from .pds3 import is_compressed_voyager

__all__ = ["voyager_images"]

_LARGEST_FILE = 16 << 20
_WINDOW = 16


@register_format("compressed Voyager image", is_compressed_voyager)
def voyager_images(source):
    """List the image of a compressed Voyager file."""
    if source.size > _LARGEST_FILE:
        raise source.error(f"{source.size} bytes are too many for a compressed Voyager image")
    records = _records(source.path.read_bytes())
    label = parse_label("\n".join(r.decode("latin-1") for r in records[: _label_end(records)]))
    block = label.find("IMAGE")
    lines, samples = (block.get(k) if block else None for k in ("LINES", "LINE_SAMPLES"))
    places = [label.get(f"^{k}") for k in ("ENCODING_HISTOGRAM", "ENGINEERING_TABLE", "IMAGE")]
    whole = all(isinstance(n, int) and 0 < n < 10000 for n in (lines, samples, *places))
    if not whole:
        raise source.error("the label does not say where the image and its codes are")
    histogram, table, first = places
    held = len(records) - (first - 1)
    if held < lines and not source.allow_truncated:
        raise source.error(
            f"truncated: the label promises {lines} lines, the file holds {max(held, 0)}",
            "fetch the file again, or read what is there with allow_truncated=True",
        )

    def load(plane):
        frequencies = np.frombuffer(b"".join(records[histogram - 1 : table - 1])[:2044], "<u4")
        if len(frequencies) < 511:
            raise source.error("truncated: the table of code frequencies is not complete")
        coded = records[first - 1 : first - 1 + lines]
        data, missing = _decode(coded, frequencies, lines, samples)
        found = labelled(data, label.flat())
        if missing.any():
            if not source.allow_truncated:
                raise source.error(
                    f"truncated: only {int((~missing).sum())} of {lines * samples} pixels decode"
                )
            found.hide(missing)
        return found

    return [Image(("IMAGE",), (lines, samples), load)]


def _records(content):
    """Split variable-length records: a length of two bytes, the bytes, padding to even."""
    records, place = [], 0
    while place + 2 <= len(content):
        length = int.from_bytes(content[place : place + 2], "little")
        if place + 2 + length > len(content):
            break
        records.append(content[place + 2 : place + 2 + length])
        place += 2 + length + length % 2
    return records


def _label_end(records):
    for i, record in enumerate(records[:500]):
        if record.strip() == b"END":
            return i + 1
    return min(len(records), 500)


def _codes(frequencies):
    """Huffman codes of the 511 differences: (difference, code, number of bits) each."""
    # Of equal frequencies the youngest sum comes first, then the differences in their order:
    # the encoder kept a sorted list and put each sum in front of its equals.
    queue = [(int(f), i, i) for i, f in enumerate(frequencies) if f]
    heapq.heapify(queue)
    children, serial = {}, len(frequencies)
    while len(queue) > 1:
        (one, _, right), (two, _, left) = heapq.heappop(queue), heapq.heappop(queue)
        children[serial] = (right, left)
        heapq.heappush(queue, (one + two, -serial, serial))
        serial += 1
    codes, stack = [], [(queue[0][2], 0, 0)] if queue else []
    while stack:
        node, code, bits = stack.pop()
        if node in children:
            right, left = children[node]
            stack += [(right, code << 1, bits + 1), (left, code << 1 | 1, bits + 1)]
        else:
            codes.append((255 - node, code, max(bits, 1)))
    return codes


def _decode(coded, frequencies, lines, samples):
    codes = _codes(frequencies)
    step, width = np.zeros(1 << _WINDOW, np.int16), np.zeros(1 << _WINDOW, np.uint8)
    long_codes = {}
    for difference, code, bits in codes:
        if bits > _WINDOW:
            long_codes[bits, code] = difference
            continue
        first = code << (_WINDOW - bits)
        step[first : first + (1 << (_WINDOW - bits))] = difference
        width[first : first + (1 << (_WINDOW - bits))] = bits
    data = np.zeros((lines, samples), np.uint8)
    missing = np.ones((lines, samples), bool)
    for row, record in enumerate(coded):
        values = _decode_line(record, step, width, long_codes, samples)
        data[row, : len(values)] = values
        missing[row, : len(values)] = False
    return data, missing


def _decode_line(record, step, width, long_codes, samples):
    """Decode one line: its first pixel as it is, then the differences."""
    if not record:
        return np.zeros(0, np.uint8)
    bits = np.unpackbits(np.frombuffer(record[1:], np.uint8))
    padded = np.concatenate([bits, np.zeros(_WINDOW, np.uint8)]).astype(np.uint32)
    window = np.zeros(len(bits), np.uint32)
    for i in range(_WINDOW):
        window = window << 1 | padded[i : i + len(bits)]
    steps, widths = step[window].tolist(), width[window].tolist()
    place, end, differences = 0, len(bits), [record[0]]
    while place < end and len(differences) < samples:
        length, difference = widths[place], steps[place]
        if not length:
            length, difference = _long_code(bits, place, long_codes)
            if not length:
                break
        place += length
        if place > end:
            break
        differences.append(difference)
    return np.cumsum(differences).astype(np.uint8)


def _long_code(bits, place, long_codes):
    code = 0
    for length, bit in enumerate(bits[place : place + 64].tolist(), 1):
        code = code << 1 | bit
        if (length, code) in long_codes:
            return length, long_codes[length, code]
    return 0, 0
