"""The image before repair can be had back from a repaired one."""

import numpy as np
import pytest

from crismis import CosmicRayCCDData, Flag


def test_original_puts_replaced_values_back():
    flags = np.zeros((2, 3), np.uint8)
    flags[0, 1] = flags[1, 2] = Flag.HIT | Flag.REPAIRED
    ccd = CosmicRayCCDData(np.ones((2, 3)), unit="adu", flags=flags, replaced=[50.0, 70.0])
    assert ccd.original.tolist() == [[1, 50, 1], [1, 1, 70]]
    assert ccd.data.max() == 1


def test_replaced_needs_one_value_for_each_repaired_pixel():
    with pytest.raises(ValueError, match="0 repaired pixels"):
        CosmicRayCCDData(np.ones((2, 3)), unit="adu", replaced=[50.0])
