"""Wire arrays: what goes in comes out, within what the dtype promises."""

import math

import numpy as np
import pytest

from neurowidget.export import arrays


def test_square_root_quantisation_by_hand():
    codes, scale = arrays.quantise(np.array([[0.0, 4.0, -4.0, 1.0, np.nan]], np.float32))
    assert scale.tolist() == [4.0]
    # 1 / 4 has the square root 1 / 2: 63.5 rounds to 64 above the zero at 128.
    assert codes.tolist() == [[128, 255, 1, 192, 0]]
    back = arrays.dequantise(codes, scale)
    assert back[0, :3].tolist() == [0.0, 4.0, -4.0]
    assert back[0, 3] == pytest.approx(4 * (64 / 127) ** 2)
    assert math.isnan(back[0, 4])


def test_uint8_error_is_bounded_as_documented():
    values = np.random.default_rng(0).normal(size=(3, 5, 40)).astype(np.float32)
    values[:, 0, 0] = 50
    back = arrays.decode(arrays.encode(values, "uint8"))
    scale = np.abs(values).max(axis=(1, 2), keepdims=True)
    bound = np.sqrt(np.abs(values) * scale) / 127 + scale / 127**2
    assert (np.abs(back - values) <= bound + 1e-6).all()


@pytest.mark.parametrize("dtype", ["float32", "float16", "int32"])
def test_plain_dtypes_round_trip(dtype):
    values = np.arange(-6, 6, dtype=np.float32).reshape(2, 3, 2)
    wire = arrays.encode(values, dtype)
    assert len(wire["data"]) == values.size * np.dtype(dtype).itemsize
    assert np.array_equal(arrays.decode(wire), values)


def test_a_value_past_float16_is_an_error_not_an_infinity():
    with pytest.raises(ValueError, match="65,504"):
        arrays.encode(np.array([[70_000.0]]), "float16")


@pytest.mark.parametrize(
    "wire",
    [
        {"data": b"abc", "dtype": "float32", "shape": [1]},
        {"data": b"abcd", "dtype": "object", "shape": [1]},
        {"data": "not base64!", "dtype": "uint8", "shape": [1], "scale": [1]},
    ],
)
def test_mismatched_arrays_are_refused(wire):
    with pytest.raises(ValueError, match=r".+"):
        arrays.decode(wire)


def test_preview_is_text_and_bounded():
    big = np.zeros((30, 100_000), np.float32)
    big[3, 77_777] = -5
    shown = arrays.preview(big)
    assert isinstance(shown["data"], str)
    assert shown["shape"][0] == 30
    assert shown["shape"][0] * shown["shape"][1] <= arrays.MAX_PREVIEW_CELLS
    assert shown["columns"] == 100_000
    # pooling keeps the strongest value of each pool, with its sign
    assert arrays.decode(shown).min() == -5


def test_signed_max_keeps_the_sign():
    assert arrays.signed_max(np.array([[1.0, -3.0, 2.0], [np.nan, 0.5, np.nan]]), axis=1).tolist() == [
        -3.0,
        0.5,
    ]
