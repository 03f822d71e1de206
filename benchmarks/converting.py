"""Converting a Hugging Face folder to CSV, against only writing the same matrices as CSV with polars; and its memory.

    python benchmarks/converting.py [small|xl] [rounds]

Random numbers in GPT-2 small's or XL's shapes, written one tensor at a time. Ours is the whole process
`sheetgpt convert-weights`; the peer's time counts the writing alone, not the reading. XL needs 50 GB of disk.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path

import numpy as np

import harness
import models
from sheetgpt.convert.export import tensor_names, tensor_shape
from sheetgpt.convert.huggingface import open_folder
from sheetgpt.models.config import Config
from sheetgpt.models.kinds import weights_of

SIZES = {"small": models.GPT2_SMALL, "xl": Config(n_layer=48, n_head=25, n_embd=1600, n_ctx=1024, n_vocab=50257)}
CONVERT = "import sys; from sheetgpt.cli import main; main(['convert-weights', *sys.argv[1:], '--force'])"
SETTINGS = {
    "n_layer": "n_layer",
    "n_head": "n_head",
    "n_embd": "n_embd",
    "n_positions": "n_ctx",
    "vocab_size": "n_vocab",
}


def main(size: str, rounds: int) -> None:
    harness.print_machine("orjson", "polars", "safetensors")
    folder = models.made(f"gpt2_{size}_safetensors", lambda place: write_random(place, SIZES[size]))
    out, peer = models.FOLDER / f"converted_{size}", models.FOLDER / f"written_{size}.csv"
    convert = harness.process(sys.executable, "-m", "sheetgpt", "convert-weights", folder, out, "--force")
    try:
        results = harness.in_turn(rounds, warm_up=0, ours=convert, polars=lambda: write_with_polars(folder, peer))
        harness.report(f"convert-weights, GPT-2 {size}", results, {})
        shutil.rmtree(out)
        most = harness.peak_memory(CONVERT, folder, out)
        files = list(out.glob("model_*.csv"))
        written = sum(file.stat().st_size for file in files) / 1e9
        print(f"peak memory {most / 1e6:.0f} MB; {len(files)} files of {written:.1f} GB together")
    finally:
        shutil.rmtree(out, ignore_errors=True)
        peer.unlink(missing_ok=True)


def write_random(folder: Path, config: Config) -> None:
    """A Hugging Face folder of random numbers, one tensor in memory at a time."""
    weights, names, header, end = weights_of(config), tensor_names(config), {}, 0
    for name, weight in weights.items():
        start, end = end, end + 4 * weight.shape[0] * weight.shape[1]
        header[names[name]] = {"dtype": "F32", "shape": tensor_shape(weight), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    rng = np.random.default_rng(7)
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for weight in weights.values():
            file.write(rng.standard_normal(weight.shape, np.float32) * np.float32(0.02))
    settings = {theirs: getattr(config, ours) for theirs, ours in SETTINGS.items()}
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2", **settings}), encoding="utf-8")


def write_with_polars(folder: Path, file: Path) -> float:
    """Seconds that polars takes to write every matrix of the folder as CSV, each over the one before."""
    import polars as pl

    seconds = 0.0
    for matrix in open_folder(folder).matrices.values():
        frame = pl.DataFrame(matrix)
        start = time.perf_counter()
        frame.write_csv(file, include_header=False)
        seconds += time.perf_counter() - start
    return seconds


if __name__ == "__main__":
    chosen = sys.argv[1] if len(sys.argv) > 1 else "small"
    main(chosen, int(sys.argv[2]) if len(sys.argv) > 2 else 3)
