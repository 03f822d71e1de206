"""The folder of CSV matrices: which files there are, reading them (through the cache) and writing them.

Here: names and shapes, the constants of a folder that has none, and every complaint about files that lack, are torn
or misshapen. Numbers are `decimals`' business, copies `cache`'s, published checkpoints `convert`'s, tokens `bpe`'s.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from threading import Lock

import numpy as np

from sheetgpt import ladder
from sheetgpt.config import CONSTANTS_FILE, REFERENCE_HEAD_SIZE, Config
from sheetgpt.errors import WeightsError
from sheetgpt.files import decimals
from sheetgpt.files.atomic import write_file
from sheetgpt.files.cache import Cache
from sheetgpt.files.journal import UNFINISHED, Journal, unfinished

WTE, WPE, LM_HEAD = "model_wte", "model_wpe", "model_lm_head"
EMBEDDED = "embedded"  # the name of the model that ships with sheetgpt
DTYPES = ("float32", "float64")
READERS = 2  # CSVs read at once: one is parsed while another is read from and written to the disk
AGAIN = "get or convert the model again"
Progress = Callable[[int, int], object]  # what is done, of what in all


class Weights(Mapping[str, np.ndarray]):
    """A model's matrices by name, [rows, columns] each, read-only; large ones are mapped from disk."""

    def __init__(self, matrices: Mapping[str, np.ndarray], config: Config, folder: Path, dtype: str):
        self._matrices, self.config, self.folder, self.dtype = dict(matrices), config, folder, dtype

    def __getitem__(self, name: str) -> np.ndarray:
        return self._matrices[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._matrices)

    def __len__(self) -> int:
        return len(self._matrices)

    def __repr__(self) -> str:
        return f"<Weights {self.folder} {self.dtype}: {len(self)} matrices>"

    @property
    def untied(self) -> bool:
        """Has the language head a matrix of its own?"""
        return LM_HEAD in self._matrices


def embedded_folder() -> Path:
    """The model that ships with sheetgpt."""
    package = Path(__file__).resolve().parent
    for folder in (package / "weights_csv", package.parent / "weights_csv"):
        if folder.is_dir():
            return folder
    raise WeightsError("the model that ships with sheetgpt is not installed: install sheetgpt again, or name a folder")


def folder_name(folder: Path) -> str:
    """What a dump calls the folder: its whole path, or `embedded`, so that dumps are the same wherever it lies."""
    return EMBEDDED if folder.resolve() == embedded_folder().resolve() else str(folder.resolve())


def named_folder(name: str | Path) -> Path:
    """The folder that `folder_name` has named."""
    folder = Path(name)
    return embedded_folder() if str(name) == EMBEDDED and not folder.is_dir() else folder


def matrix_shapes(config: Config, untied: bool = False) -> dict[str, tuple[int, int]]:
    """The name of every matrix -> its (rows, columns), in the files' order.

    >>> list(matrix_shapes(Config(1, 1, 4, 8, 16)).items())[:3]
    [('model_wte', (16, 4)), ('model_wpe', (8, 4)), ('model_h0_ln_1_g', (1, 4))]
    """
    if config.model != "gpt2":
        return ladder.matrix_shapes(config)
    d = config.n_embd
    shapes = {WTE: (config.n_vocab, d)}
    if config.position == "learned":
        shapes[WPE] = (config.n_ctx, d)
    for i in range(config.n_layer):
        h = f"model_h{i}_"
        shapes |= {h + "ln_1_g": (1, d), h + "ln_1_b": (1, d)}
        shapes |= {h + "attn_c_attn_w": (d, 3 * d), h + "attn_c_attn_b": (1, 3 * d)}
        shapes |= {h + "attn_c_proj_w": (d, d), h + "attn_c_proj_b": (1, d)}
        shapes |= {h + "ln_2_g": (1, d), h + "ln_2_b": (1, d)}
        shapes |= {h + "mlp_c_fc_w": (d, 4 * d), h + "mlp_c_fc_b": (1, 4 * d)}
        shapes |= {h + "mlp_c_proj_w": (4 * d, d), h + "mlp_c_proj_b": (1, d)}
    shapes |= {"model_ln_f_g": (1, d), "model_ln_f_b": (1, d)}
    return shapes | ({LM_HEAD: (config.n_vocab, d)} if untied else {})


def read_config(folder: Path) -> Config:
    """The constants in `constants.csv`; without it told from the shapes, the head size being the reference's."""
    _require_model(folder)
    path = folder / CONSTANTS_FILE
    if not path.exists():
        return _inferred_config(folder)
    try:
        return Config.read(path)
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path} cannot be read ({error}): write it again as UTF-8 text") from None


def load_weights(folder: Path, dtype: str = "float64", *, progress: Progress | None = None) -> Weights:
    """Every matrix of a folder; `progress` is told of bytes where CSVs must be read because the cache lacks them.

    float64: the CSV's decimals as doubles, as a spreadsheet has them; float32: as PyTorch has them.
    """
    folder, dtype = named_folder(folder), np.dtype(dtype).name
    if dtype not in DTYPES:
        raise WeightsError(f"numbers are read as {' or '.join(DTYPES)}, not {dtype}")
    with told(folder):
        config = read_config(folder)
        shapes = matrix_shapes(config, untied=(folder / f"{LM_HEAD}.csv").exists())
        require_files(folder, shapes)
        cache = Cache(folder, dtype)
        matrices = {name: cache.get(folder / f"{name}.csv") for name in shapes}
        lacking = {name: folder / f"{name}.csv" for name in shapes if matrices[name] is None}
        total, done, one_at_a_time = sum(path.stat().st_size for path in lacking.values()), 0, Lock()

        def advance(count: int) -> None:
            nonlocal done
            with one_at_a_time:
                done = min(done + count, total)  # a file that changes while it is read is read twice
                if progress:
                    progress(done, total)

        with (
            ThreadPoolExecutor(READERS) as pool,
            closing(pool.map(lambda path: cache.read(path, advance), lacking.values())) as read,
        ):
            for name, shape in shapes.items():  # the first fault in this order is told, and ends reading
                if name in lacking:
                    matrices[name] = next(read)
                require_shape(folder / f"{name}.csv", matrices[name].shape, shape)
    return Weights(matrices, config, folder, dtype)


def require_files(folder: Path, names: Iterable[str]) -> None:
    lacking = [f"{name}.csv" for name in names if not (folder / f"{name}.csv").exists()]
    if lacking:
        others = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        raise WeightsError(f"{folder} lacks {lacking[0]}{others}: {AGAIN}, or correct {CONSTANTS_FILE}")


def require_shape(csv: Path, shape: tuple[int, int], expected: tuple[int, int]) -> None:
    """Raises WeightsError that says what is probably wrong: a header, an index, a torn file."""
    if shape == expected:
        return
    first = first_row(csv)
    if shape[0] == expected[0] + 1 and is_header(first):
        raise WeightsError(f"{csv}, row 1 is a header (0, 1, 2, ...): weight files have none; delete it")
    if shape[1] == expected[1] + 1 and shape[0] > 1 and first[0] == 0:
        raise WeightsError(f"{csv}, column 1 is an index (0, 1, 2, ...): weight files have none; delete it")
    hint = AGAIN
    if shape == expected[::-1]:
        hint = "it is transposed; matrices are [in, out], used as x @ w"
    elif shape[1] == expected[1] and shape[0] < expected[0]:
        hint = f"the file is torn; {AGAIN}, or correct {CONSTANTS_FILE}"
    raise WeightsError(f"{csv} is {shape[0]:,} x {shape[1]:,}, not {expected[0]:,} x {expected[1]:,}: {hint}")


def first_row(csv: Path) -> list[float]:
    """The numbers of a file's first row, without reading the rest; empty where they are no numbers."""
    with csv.open("rb") as file:
        line = file.readline()
    try:
        return [float(cell) for cell in decimals.Layout.of(line).plain(line).split(b",")]
    except ValueError:
        return []


def is_header(row: list[float]) -> bool:
    """0, 1, 2, ...: what pandas writes above a matrix without column names."""
    return len(row) > 2 and row == list(range(len(row)))


def _require_model(folder: Path) -> None:
    if not folder.is_dir():
        raise WeightsError(f"{folder} is no folder: name the folder that holds {WTE}.csv")
    if (folder / UNFINISHED).exists():
        raise WeightsError(f"{folder} is unfinished, writing it was interrupted: run the command that writes it again")
    if not any((folder / name).exists() for name in (f"{WTE}.csv", CONSTANTS_FILE)):
        if (folder / "config.json").exists():
            raise WeightsError(f"{folder} is a Hugging Face folder: first `sheetgpt convert-weights {folder} DEST`")
        raise WeightsError(f"{folder} lacks {WTE}.csv, so it holds no model: name another folder")


def _inferred_config(folder: Path) -> Config:
    caches = [Cache(folder, dtype) for dtype in DTYPES]

    def shape(name: str) -> tuple[int, int]:
        csv = folder / f"{name}.csv"
        known = next(filter(None, (cache.shape(csv) for cache in caches)), None)
        if known is None and is_header(first_row(csv)):
            raise WeightsError(f"{csv}, row 1 is a header (0, 1, 2, ...): weight files have none; delete it")
        if known is None:
            with csv.open("rb") as file:
                return decimals.count_shape(file)
        return known

    return infer_config(folder, {path.stem for path in folder.glob("model_*.csv")}, shape)


def infer_config(where: Path, names: Collection[str], shape: Callable[[str], tuple[int, int]]) -> Config:
    """The constants told by the matrices there are and the shapes of two of them, as the reference has it."""
    lacking = [name for name in (WTE, WPE) if name not in names]
    blocks = [int(found[1]) for found in (re.match(r"model_h(\d+)_", name) for name in names) if found]
    if lacking or not blocks:
        raise WeightsError(f"{where} lacks {(lacking or ['model_h0_ln_1_g'])[0]}.csv: {AGAIN}")
    n_vocab, n_embd = shape(WTE)
    if n_embd % REFERENCE_HEAD_SIZE:
        raise WeightsError(
            f"{where} has no {CONSTANTS_FILE}, and its n_embd {n_embd} is no multiple of {REFERENCE_HEAD_SIZE}, "
            f"the reference's head size: write {CONSTANTS_FILE} with n_layer, n_head, n_embd, n_ctx and n_vocab"
        )
    return Config(max(blocks) + 1, n_embd // REFERENCE_HEAD_SIZE, n_embd, shape(WPE)[0], n_vocab)


@contextmanager
def told(folder: Path):
    """What the system refuses, as one line."""
    try:
        yield
    except OSError as error:
        raise WeightsError(f"{error.filename or folder} cannot be read: {error.strerror or error}") from None


def write_weights(
    folder: Path,
    config: Config,
    matrices: Mapping[str, np.ndarray] | Iterable[tuple[str, np.ndarray]],
    *,
    progress: Progress | None = None,
    journal: Journal | None = None,
) -> None:
    """Write the CSVs and `constants.csv`, one matrix at a time; `progress` is told of numbers.

    Until all is written the folder says that it is unfinished. Matrices that another model left there are removed.
    With a journal that an interrupted call began, the files it finished are kept, and a mapping isn't asked for them.
    """
    folder = Path(folder)
    if journal is None:
        with unfinished(folder) as own:
            write_weights(folder, config, matrices, progress=progress, journal=own)
        return
    is_mapping = isinstance(matrices, Mapping)
    shapes = matrix_shapes(config, untied=LM_HEAD in matrices if is_mapping else True)
    remove_others(folder, shapes)
    total, done, written = sum(rows * columns for rows, columns in shapes.values()), 0, set()

    def advance(numbers: int) -> None:
        nonlocal done
        done += numbers
        if progress:
            progress(done, total)

    for name, get in (
        ((name, partial(matrices.__getitem__, name)) for name in shapes) if is_mapping else _late(matrices)
    ):
        path = folder / f"{name}.csv"
        if journal.has(path):
            advance(int(np.prod(shapes[name])))
        else:
            write_matrix(path, _checked(name, get(), shapes), advance)
            journal.add(path)
        written.add(name)
    lacking = [name for name in shapes if name not in written | {LM_HEAD}]
    if lacking:
        raise WeightsError(f"{folder} was to be written without {lacking[0]}: a model has all its matrices")
    write_constants(folder, config)


def write_matrix(path: Path, matrix: np.ndarray, progress: Callable[[int], object] | None = None) -> None:
    """One CSV, in bounded memory; `progress` is told of numbers."""

    def blocks():
        for block in decimals.to_text(matrix):
            yield block
            if progress:
                progress(block.count(b"\n") * matrix.shape[1])

    try:
        write_file(path, blocks())
    except ValueError as error:
        raise WeightsError(f"{path.stem}, {error}: a model holds finite numbers only") from None


def _late(pairs: Iterable[tuple[str, np.ndarray]]):
    for name, matrix in pairs:
        yield name, lambda matrix=matrix: matrix


def _checked(name: str, matrix: np.ndarray, shapes: Mapping[str, tuple[int, int]]) -> np.ndarray:
    if matrix.shape != shapes.get(name):
        expected = " x ".join(map(str, shapes[name])) if name in shapes else "no matrix of this model"
        raise WeightsError(f"{name} is {' x '.join(map(str, matrix.shape))}, not {expected}: it was not written")
    return matrix


def write_constants(folder: Path, config: Config) -> None:
    rows = [("name", "value"), *config.rows()]
    write_file(folder / CONSTANTS_FILE, [f"{name},{value}\n".encode() for name, value in rows])


def remove_others(folder: Path, names: Iterable[str]) -> None:
    """Take away the matrices and constants of another model."""
    keep = {f"{name}.csv" for name in names}
    for path in folder.glob("model_*.csv"):
        if path.name not in keep:
            path.unlink()
    (folder / CONSTANTS_FILE).unlink(missing_ok=True)
