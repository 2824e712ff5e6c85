"""The checksum CRC-32C (Castagnoli), fast enough for files of weights.

NumPy works on 1,024 parts of the data side by side. A checksum is linear over GF(2), so those of
the parts are combined by one matrix, which appends as many zero bytes as a part is long.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_POLYNOMIAL = np.uint32(0x82F63B78)  # bits reversed
_PARTS = 1024
_ALL = np.uint32(0xFFFFFFFF)


def _table() -> NDArray[np.uint32]:
    values: NDArray[np.uint32] = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        values = (values >> np.uint32(1)) ^ (values & np.uint32(1)) * _POLYNOMIAL
    return values


_TABLE = _table()


def crc32c(data: bytes) -> int:
    """Return the CRC-32C of some bytes."""
    length = len(data) // _PARTS
    parts = np.frombuffer(data, np.uint8, length * _PARTS).reshape(_PARTS, length)
    registers = np.zeros(_PARTS, dtype=np.uint32)
    registers[0] = _ALL
    for column in np.ascontiguousarray(parts.T):
        registers = _appended(registers, column)
    register = registers[:1]
    if length:
        # Column j: what becomes of bit j when the zero bytes of one part are appended.
        matrix = np.uint32(1) << np.arange(32, dtype=np.uint32)
        for _ in range(length):
            matrix = _appended(matrix, np.uint8(0))
        for following in registers[1:]:
            bits = (register >> np.arange(32, dtype=np.uint32)) & 1
            register = np.bitwise_xor.reduce(matrix[bits == 1], keepdims=True) ^ following
    else:
        register = np.array([_ALL])
    for byte in data[length * _PARTS :]:
        register = _appended(register, np.uint8(byte))
    return int(register[0] ^ _ALL)


def masked_crc32c(data: bytes) -> int:
    """Return the CRC-32C as TensorFlow stores it: rotated by 15 bits, plus a constant."""
    value = crc32c(data)
    return (((value >> 15) | (value << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _appended(
    registers: NDArray[np.uint32], column: NDArray[np.uint8] | np.uint8
) -> NDArray[np.uint32]:
    """Return registers after one more byte each."""
    following: NDArray[np.uint32] = _TABLE[(registers ^ column) & 0xFF] ^ (registers >> 8)
    return following
