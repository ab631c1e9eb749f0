"""Small files in every format, written by hand from their definitions."""

import heapq
import itertools
from importlib.util import find_spec

import numpy as np
import pytest

MISSING = [name for name in ("PIL", "pdr", "vicar") if find_spec(name) is None]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Skip what asks for an extra, if a package of it is indeed missing."""
    try:
        return (yield)
    except BaseException as error:
        if MISSING and "crismis[missions]" in str(error):
            pytest.skip(f"needs {', '.join(MISSING)}")
        raise


@pytest.fixture
def image():
    """A 12 x 16 image of 16-bit numbers with every byte used."""
    return np.random.default_rng(7).integers(0, 4096, (12, 16)).astype(np.uint16)


def label_text(lines):
    return "".join(f"{line}\r\n" for line in lines)


def pds3_bytes(data, *, keywords=(), block=(), record=512, sample_type="MSB_UNSIGNED_INTEGER"):
    """An attached PDS3 label and its image, in records of fixed length."""
    pixels = data.tobytes()
    head = ["PDS_VERSION_ID = PDS3", "RECORD_TYPE = FIXED_LENGTH", f"RECORD_BYTES = {record}"]
    records = -(-len(pixels) // record)
    rows, columns = data.shape[-2:]
    body = [*keywords, "OBJECT = IMAGE", f"LINES = {rows}", f"LINE_SAMPLES = {columns}"]
    body += [f"SAMPLE_TYPE = {sample_type}", f"SAMPLE_BITS = {8 * data.dtype.itemsize}"]
    body += [*block, "END_OBJECT = IMAGE", "END"]
    labels = -(-len(label_text(head + body)) // record) + 1
    places = [f"FILE_RECORDS = {labels + records}", f"LABEL_RECORDS = {labels}"]
    text = label_text([*head, *places, f"^IMAGE = {labels + 1}", *body]).encode("latin-1")
    return text.ljust(labels * record) + pixels.ljust(records * record, b"\0")


def vicar_bytes(data, *, extra="", prefix=0, form="HALF"):
    """A VICAR file, little-endian, with line prefixes if wanted."""
    rows, columns = data.shape
    record = prefix + columns * data.dtype.itemsize
    fields = (
        f"FORMAT='{form}' TYPE='IMAGE' BUFSIZ={record} DIM=3 EOL=0 RECSIZE={record} ORG='BSQ' "
        f"NL={rows} NS={columns} NB=1 N1={rows} N2={columns} N3=1 N4=0 NBB={prefix} NLB=0 "
        "HOST='X86-LINUX' INTFMT='LOW' REALFMT='RIEEE' BHOST='X86-LINUX' BINTFMT='LOW' "
        f"BREALFMT='RIEEE' BLTYPE='' {extra} TASK='TEST' USER='X' DAT_TIM='Mon Jan 1 2001'"
    )
    size = -(-(len(fields) + 20) // record) * record
    label = f"LBLSIZE={size:<10d} {fields}".encode().ljust(size, b"\0")
    return label + b"".join(b"\xaa" * prefix + row.tobytes() for row in data)


def isis_bytes(data, *, kind="UnsignedWord", tile=None, groups="", scale=(0.0, 1.0)):
    """An ISIS cube, band-sequential or tiled."""
    start = 4096
    bands, rows, columns = data.shape if data.ndim == 3 else (1, *data.shape)
    form = f"Format = Tile\n TileSamples = {tile[1]}\n TileLines = {tile[0]}" if tile else ""
    label = f"""Object = IsisCube
  Object = Core
    StartByte = {start + 1}
    {form or "Format = BandSequential"}
    Group = Dimensions
      Samples = {columns}
      Lines = {rows}
      Bands = {bands}
    End_Group
    Group = Pixels
      Type = {kind}
      ByteOrder = Lsb
      Base = {scale[0]}
      Multiplier = {scale[1]}
    End_Group
  End_Object
{groups}
End_Object
Object = Label
  Bytes = {start}
End_Object
End
"""
    stored = data
    if tile:
        down, across = -(-rows // tile[0]), -(-columns // tile[1])
        whole = np.zeros((down * tile[0], across * tile[1]), data.dtype)
        whole[:rows, :columns] = data
        stored = whole.reshape(down, tile[0], across, tile[1]).swapaxes(1, 2)
    return label.encode().ljust(start, b"\0") + np.ascontiguousarray(stored).tobytes()


def pds4_text(name, data, *, data_type="UnsignedLSB2", extra="", element=""):
    """A PDS4 label of one image."""
    rows, columns = data.shape
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Product_Observational xmlns="http://pds.nasa.gov/pds4/pds/v1">
 <Observation_Area>
  <Time_Coordinates><start_date_time>2020-01-02T03:04:05Z</start_date_time></Time_Coordinates>
  <Observing_System><Observing_System_Component><name>CAMERA</name><type>Instrument</type>
  </Observing_System_Component></Observing_System>
  <exposure_duration unit="ms">250</exposure_duration>
 </Observation_Area>
 <File_Area_Observational>
  <File><file_name>{name}</file_name></File>
  <Array_2D_Image>
   <local_identifier>PICTURE</local_identifier>
   <offset unit="byte">64</offset>
   <axes>2</axes>
   <axis_index_order>Last Index Fastest</axis_index_order>
   <Element_Array><data_type>{data_type}</data_type>{element}</Element_Array>
   <Axis_Array><axis_name>Line</axis_name><elements>{rows}</elements>
    <sequence_number>1</sequence_number></Axis_Array>
   <Axis_Array><axis_name>Sample</axis_name><elements>{columns}</elements>
    <sequence_number>2</sequence_number></Axis_Array>
   {extra}
  </Array_2D_Image>
 </File_Area_Observational>
</Product_Observational>
"""


def imq_bytes(data):
    """A compressed Voyager image: label, histograms and lines as variable-length records."""
    rows, columns = data.shape
    steps = [int(b) - int(a) for line in data for a, b in itertools.pairwise(line)]
    frequencies = np.bincount([255 - s for s in steps], minlength=511).astype("<u4")
    codes = huffman(frequencies)
    places = {"HISTOGRAM": 20, "ENCODING": 21, "ENGINEERING": 22, "IMAGE": 23}
    lines = ["CCSD3ZF0000100000001NJPL3IF0PDS200000001 = SFDU_LABEL"]
    lines += ["RECORD_TYPE = VARIABLE_LENGTH", f"^IMAGE_HISTOGRAM = {places['HISTOGRAM']}"]
    lines += [f"^ENCODING_HISTOGRAM = {places['ENCODING']}"]
    lines += [f"^ENGINEERING_TABLE = {places['ENGINEERING']}", f"^IMAGE = {places['IMAGE']}"]
    lines += ["SPACECRAFT_NAME = VOYAGER_2", "EXPOSURE_DURATION = 0.96 <SECONDS>"]
    lines += ["OBJECT = IMAGE", "ENCODING_TYPE = HUFFMAN_FIRST_DIFFERENCE", f"LINES = {rows}"]
    lines += [f"LINE_SAMPLES = {columns}", "SAMPLE_BITS = 8", "END_OBJECT", "END"]
    records = [line.encode() for line in lines]
    records += [b" "] * (places["HISTOGRAM"] - 1 - len(records))
    records += [b"\0" * 1024, frequencies.tobytes(), b"\0" * 242]
    for line in data:
        bits = "".join(codes[int(b) - int(a)] for a, b in itertools.pairwise(line))
        packed = int(bits.ljust(-(-len(bits) // 8) * 8, "0") or "0", 2)
        records.append(bytes([line[0]]) + packed.to_bytes(-(-len(bits) // 8), "big"))
    return b"".join(
        len(r).to_bytes(2, "little") + r + b"\0" * (len(r) % 2) for r in map(bytes, records)
    )


def huffman(frequencies):
    """Codes of the differences: a sum goes before its equals, the second child is bit 1."""
    queue = [(int(f), i, 255 - i) for i, f in enumerate(frequencies) if f]
    heapq.heapify(queue)
    serial = 600
    while len(queue) > 1:
        zero, one = heapq.heappop(queue), heapq.heappop(queue)
        heapq.heappush(queue, (zero[0] + one[0], -serial, (zero[2], one[2])))
        serial += 1
    codes, stack = {}, [(queue[0][2], "")]
    while stack:
        node, code = stack.pop()
        if isinstance(node, tuple):
            stack += [(node[0], code + "0"), (node[1], code + "1")]
        else:
            codes[node] = code or "0"
    return codes
