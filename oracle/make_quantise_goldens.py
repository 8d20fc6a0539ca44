"""Blocks as ggml's own quantisers make them: test/golden/gguf-quantised.safetensors.

  python oracle/make_quantise_goldens.py PATH/libggml-base.so

The library comes with any build of llama.cpp; here that of the npm package @node-llama-cpp/linux-x64 3.22.1. Needs numpy and safetensors.
"""

import ctypes
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

TYPES = {"Q4_0": (2, 32, 18), "Q5_0": (6, 32, 22), "Q5_1": (7, 32, 24), "Q8_0": (8, 32, 34), "Q4_K": (12, 256, 144), "Q5_K": (13, 256, 176), "Q6_K": (14, 256, 210)}


def values() -> np.ndarray:
    """Rows of 256: weights as models have them, and rows that are hard to quantise."""
    rng = np.random.default_rng(0)
    i = np.arange(256)
    rows = [
        *rng.normal(0, 0.05, (8, 256)),
        *rng.standard_t(3, (4, 256)) * 0.02,
        rng.normal(0.3, 0.01, 256),
        np.zeros(256),
        np.full(256, 0.5),
        np.full(256, -0.25),
        np.where(i == 7, 100, np.sin(i)),
        1e-20 * i,
        np.abs(np.sin(i)),
        -np.abs(np.cos(i)) - 3,
        1e3 * np.sin(i * i),
    ]
    return np.stack(rows).astype(np.float32)


def main() -> None:
    ggml = ctypes.CDLL(sys.argv[1])
    quantize = ggml.ggml_quantize_chunk
    quantize.restype = ctypes.c_size_t
    quantize.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 3, ctypes.c_void_p]
    x = values()
    out = {"values": x}
    for name, (number, per_block, block_bytes) in TYPES.items():
        made = np.zeros(x.size // per_block * block_bytes, dtype=np.uint8)
        written = quantize(number, x.ctypes.data, made.ctypes.data, 0, x.shape[0], x.shape[1], None)
        assert written == made.size
        out[name] = made
    save_file(out, Path(__file__).parent.parent / "test/golden/gguf-quantised.safetensors")


if __name__ == "__main__":
    main()
