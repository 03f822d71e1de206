"""A matrix as lines of decimals and back."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from sheetgpt.errors import CellError, WeightsError
from sheetgpt.files import decimals, parse
from sheetgpt.files.decimals import count_shape, read_matrix, to_lines, to_text

MATRIX = np.float32([[0.1, -2, 1e-7], [3.5, 1e10, -0.0]])
PLAIN = "0.1,-2,0.0000001\n3.5,1e10,-0\n"


def matrices(dtype, width):
    floats = st.floats(width=width, allow_nan=False, allow_infinity=False)
    return arrays(dtype, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=floats)


def read(tmp_path, text, dtype="float32"):
    path = tmp_path / "m.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_matrix(path, dtype)


def fault(tmp_path, text, dtype="float32"):
    with pytest.raises(WeightsError) as error:
        read(tmp_path, text, dtype)
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(str(tmp_path / "m.csv"))
    return message.removeprefix(str(tmp_path / "m.csv"))


@pytest.fixture(params=["simdjson", "orjson"])
def parser(request, monkeypatch):
    """Both ways of parsing: on Pythons without simdjson there is only the second."""
    if request.param == "orjson":
        monkeypatch.setattr(parse, "_json_parser", lambda: parse._by_orjson)
    else:
        assert parse._json_parser() is parse._by_simdjson


@pytest.mark.usefixtures("parser")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(matrix=matrices(np.float32, 32) | matrices(np.float64, 64))
def test_every_matrix_comes_back_bit_for_bit(matrix, tmp_path_factory):
    path = tmp_path_factory.mktemp("m") / "m.csv"
    path.write_bytes(b"".join(to_text(matrix)))
    back = read_matrix(path, matrix.dtype)
    assert back.flags.c_contiguous
    assert back.dtype == matrix.dtype
    assert back.tobytes() == matrix.tobytes()


@pytest.mark.parametrize(("dtype", "bits"), [(np.float32, np.uint32), (np.float64, np.uint64)])
def test_no_decimal_could_be_shorter(dtype, bits):
    any_bits = np.random.default_rng(5).integers(0, np.iinfo(bits).max, 20_000, dtype=bits).view(dtype)
    numbers = any_bits[np.isfinite(any_bits)].reshape(1, -1)

    def digits(text):
        return text.lower().lstrip("-").partition("e")[0].replace(".", "").strip("0")

    ours = to_lines(numbers)[0].decode().split(",")
    assert [digits(text) for text in ours] == [digits(str(number)) for number in numbers[0]]


SPELLED = (
    "0.0 -0.0 1.0 -2.0 0.1 0.0001 0.00001 1.5e-7 1e-7 12345.678 16777216.0 10000000000.0 1e+16 -1e+22 3.4e+38 1.5e-38"
).split()


@pytest.mark.parametrize(
    ("dtype", "more"),
    [
        (np.float32, "0.000001 0.00001234 1e+15 1.2345679e+17 3.4028235e+38 1e-45"),
        (np.float64, "1e-6 0.00001234 1000000000000000.0 1.2345678901234568e+17 1.7976931348623157e+308 5e-324"),
    ],
)
def test_a_number_is_always_spelled_the_same(dtype, more):
    spelled = SPELLED + more.split()
    for count in (1, len(spelled), 10 * len(spelled)):  # short rows and long ones are made in two ways
        texts = (spelled * 10)[: len(spelled) * 10 // count * count]
        matrix = np.array(texts, np.float64).astype(dtype).reshape(-1, count)
        assert b",".join(to_lines(matrix)).decode().split(",") == texts


@pytest.mark.parametrize("columns", [3, 300])
def test_what_is_not_finite_is_written_where_it_stands(columns):
    row = [1.5, np.inf, -np.inf, np.nan, -0.0, -np.nan] * (columns // 3)
    lines = to_lines(np.array([row, [0.25] * len(row)]), b";", allow_nonfinite=True)
    assert lines[0] == b";".join([b"1.5;inf;-inf;NaN;-0.0;NaN"] * (columns // 3))
    assert lines[1] == b";".join([b"0.25"] * len(row))


@pytest.mark.parametrize("columns", [2, 200])
def test_a_matrix_may_lie_in_memory_as_it_likes(columns):
    matrix = np.random.default_rng(3).standard_normal((2 * columns, 7)).astype(np.float32)
    bytes_apart = np.frombuffer(b"x" + matrix.tobytes(), np.float32, matrix.size, 1).reshape(matrix.shape)
    read_only = matrix.copy()
    read_only.flags.writeable = False
    for same in (np.asfortranarray(matrix), np.repeat(matrix, 2, axis=0)[::2], bytes_apart, read_only):
        assert to_lines(same) == to_lines(matrix)
        assert to_lines(same.T) == to_lines(matrix.T.copy())


@pytest.mark.usefixtures("parser")
def test_float32_is_parsed_as_float32_and_not_rounded_twice(tmp_path):
    just_below_the_middle = "1.00000017881393432617187499"
    assert np.float32(float(just_below_the_middle)) == np.float32(1.0000002)  # a tie, to even
    assert read(tmp_path, just_below_the_middle)[0, 0] == np.float32(1.0000001)
    among_others = ",".join(["0.5", just_below_the_middle, "-" + just_below_the_middle, "1e-46", "8e-46", "+2."])
    expected = np.float32([0.5, 1.0000001, -1.0000001, 0, 1e-45, 2])
    assert read(tmp_path, among_others).tobytes() == expected.tobytes()


@pytest.mark.parametrize("shape", [(7, 1), (1, 5000), (5000, 3), (3, 0), (0, 3)])
def test_lines_and_text_agree_whatever_the_blocks(shape, monkeypatch):
    monkeypatch.setattr(decimals, "BLOCK_NUMBERS", 100)
    matrix = np.random.default_rng(1).standard_normal(shape)
    lines = to_lines(matrix, b";")
    assert len(lines) == shape[0]
    assert b"".join(to_text(matrix, b";")) == b"".join(line + b"\n" for line in lines)
    assert [[float(cell) for cell in line.split(b";") if cell] for line in lines] == matrix.tolist()


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_blocks_of_any_size_read_the_same(size, tmp_path, monkeypatch):
    matrix = np.random.default_rng(2).standard_normal((200, 7))
    path = tmp_path / "m.csv"
    path.write_bytes(b"".join(to_text(matrix)))
    monkeypatch.setattr(decimals, "BLOCK_BYTES", size)
    monkeypatch.setattr(decimals, "TAIL_BYTES", 50)
    np.testing.assert_array_equal(read_matrix(path, "float64"), matrix)
    with path.open("rb") as file:
        assert count_shape(file) == (200, 7)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_unless_it_is_asked_for(value):
    matrix = np.array([[1.0, 2.0], [3.0, value]])
    with pytest.raises(ValueError, match="row 2, column 2"):
        to_lines(matrix)
    last = to_lines(matrix, allow_nonfinite=True)[1].partition(b",")[2]
    np.testing.assert_array_equal(float(last), value)


@pytest.mark.parametrize("matrix", [np.arange(4), np.zeros((2, 2), int), np.zeros((2, 2), np.float16)])
def test_only_matrices_of_floats_are_written(matrix):
    with pytest.raises(TypeError, match="float32 or float64 matrix"):
        to_lines(matrix)


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.rstrip("\n"),
        PLAIN.replace("\n", "\r\n"),
        "\ufeff" + PLAIN,
        PLAIN.replace("\n", ",\r\n"),
        PLAIN.replace("\n", ",,,\r\n"),
        PLAIN + "\n\n",
        PLAIN + ",,\r\n,,\r\n",
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", ";").replace(".", ","),
        "\ufeff" + PLAIN.replace(",", ";").replace(".", ",").replace("\n", ";;\r\n"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace(",", " , ").replace("\n", " \n"),
        PLAIN.replace("-2", '"-2"'),
        PLAIN.replace("1e10", "+1.0E+10"),
    ],
)
def test_what_spreadsheet_programs_save_reads_the_same(tmp_path, text):
    assert read(tmp_path, text).tobytes() == MATRIX.tobytes()
    with (tmp_path / "m.csv").open("rb") as file:
        assert count_shape(file) == MATRIX.shape


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2\n3,x\n", ", row 2, column 2 holds 'x', which is no number: correct it, or get or convert the file again"),
        ("1,2\n3,#NAME?\n", ", row 2, column 2 holds '#NAME?', which is no number"),
        ("1,2\n3,1_0\n", ", row 2, column 2 holds '1_0', which is no number"),
        ("1,2\n3,[4]\n", ", row 2, column 2 holds '[4]', which is no number"),
        ("1,2\n3],[4\n", ", row 2, column 1 holds '3]', which is no number"),
        ("1,2\n3,true\n", ", row 2, column 2 holds 'true', which is no number"),
        ("1,2\n3,false\n", ", row 2, column 2 holds 'false', which is no number"),
        ("1,2\n3,null\n", ", row 2, column 2 holds 'null', which is no number"),
        ("1,2\n3,{}\n", ", row 2, column 2 holds '{}', which is no number"),
        ("1,2\n3,0x1\n", ", row 2, column 2 holds '0x1', which is no number"),
        ("1,2\n3,1 2\n", ", row 2, column 2 holds '1 2', which is no number"),
        ("1,2\nnan,4\n", ", row 2, column 1 holds 'nan', which is no finite number"),
        ("1,2\n3,-Infinity\n", ", row 2, column 2 holds '-Infinity', which is no finite number"),
        ("1,2\n3,1e39\n", ", row 2, column 2 holds '1e39', which is too large"),
        ("1,2\n,4\n", ", row 2, column 1 is blank"),
        ("1,2\n3,\n5,6\n", ", row 2, column 2 is blank"),
        ("a,b\n1,2\n", ", row 1, column 1 holds 'a': weight files have no header; delete row 1"),
        ("1,2\n3,4,5\n", ", row 2 has 3 numbers, row 1 has 2: a row was damaged"),
        ("1,2,3\n4,5\n6,7,8,9\n", ", row 2 has 2 numbers, row 1 has 3: a row was damaged"),
        ("1,2,3\n4,5,6\n7,8", ", row 3 has 2 numbers, row 1 has 3: the file is torn; get or convert it again"),
        ("1,2\n\n3,4\n", ", row 2 follows or is a blank row"),
        ("", " holds no numbers: the file is empty or torn; get or convert it again"),
        ("\n\n", " holds no numbers"),
        ("1,2\n3,4\x00\n", ", row 2, column 2 holds '4\\x00', which is no number"),
        ("1;2\n3;4.000,5\n", ", row 2, column 2 holds '4.000.5', which is no number"),
        ("1,2\n".encode("utf-16").decode("latin-1").encode("latin-1"), ", row 1, column 1 holds"),
    ],
)
def test_what_is_no_matrix_is_told_by_row_and_column(tmp_path, text, message):
    assert fault(tmp_path, text).startswith(message)


@pytest.mark.parametrize("row", [1, 2, 500, 1000])
def test_a_fault_is_found_in_any_block(tmp_path, monkeypatch, row):
    monkeypatch.setattr(decimals, "BLOCK_BYTES", 256)
    lines = ["1.5,2.5,3.5"] * 1000
    lines[row - 1] = "1.5,2.5,oops"
    assert fault(tmp_path, "\n".join(lines) + "\n").startswith(f", row {row}, column 3 holds 'oops'")


def test_blank_rows_may_not_stand_between_blocks_either(tmp_path, monkeypatch):
    monkeypatch.setattr(decimals, "BLOCK_BYTES", 8)
    assert "blank row" in fault(tmp_path, "1,2\n" * 20 + "\n" * 20 + "3,4\n" * 20)


def test_a_number_too_large_for_float32_is_a_fine_double(tmp_path):
    assert read(tmp_path, "1e39\n", "float64")[0, 0] == 1e39


NUMBERS = st.from_regex(r"[+-]?([0-9]{1,30}\.?[0-9]{0,30}|\.[0-9]{1,30})([eE][+-]?[0-9]{1,3})?", fullmatch=True)


def between_floats(values):
    """Decimals on, a little above and a little below the middle of two neighbouring floats."""
    first, (shift, sign) = values
    middle = (Decimal(float(first)) + Decimal(float(np.nextafter(first, np.float32(np.inf))))) / 2
    return f"{sign}{middle + shift * middle.copy_abs() / 10**25:f}"


MIDDLES = st.tuples(
    st.floats(width=32, min_value=0, max_value=2.0**100).map(np.float32),
    st.tuples(st.sampled_from([-1, 0, 1]), st.sampled_from(["", "-"])),
).map(between_floats)


def nearest_float32(text):
    """The float whose exact value is nearest to the decimal; of two, the one whose last bit is 0."""
    exact = abs(Fraction(text))
    guess = np.float32(min(float(exact), float(np.finfo(np.float32).max)))
    near = [guess, np.nextafter(guess, np.float32(0)), np.nextafter(guess, np.float32(np.inf))]
    best = min(near, key=lambda one: (abs(Fraction(float(one)) - exact), int(one.view(np.uint32)) & 1))
    return -best if text.startswith("-") else best


@pytest.mark.usefixtures("parser")
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cells=st.lists(NUMBERS | MIDDLES, min_size=1, max_size=4))
@example(cells=["-0"])
@example(cells=["0", "-0", "-0.0", "-0e5", "-00"])
@example(cells=["1e-45", "7e-46", "1.1754943157898258e-38"])
@example(cells=["18446744073709551617", "9223372036854775809"])
def test_every_decimal_becomes_the_nearest_number(cells, tmp_path_factory):
    path = tmp_path_factory.mktemp("m") / "m.csv"
    path.write_text(",".join(cells) + "\n")
    doubles = np.array([[float(cell) for cell in cells]])
    if np.isfinite(doubles).all():
        assert read_matrix(path, "float64").tobytes() == doubles.tobytes()
    if (np.abs(doubles) < 3e38).all():
        assert read_matrix(path, "float32").tobytes() == np.array([[nearest_float32(cell) for cell in cells]]).tobytes()


@pytest.mark.usefixtures("parser")
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text('0123456789+-.eE,,,,\n\n"[]{}: tfn', min_size=1, max_size=30))
def test_whatever_stands_there_is_read_as_it_stands_or_refused(text, tmp_path_factory):
    path = tmp_path_factory.mktemp("m") / "m.csv"
    path.write_text(text, newline="")
    try:
        matrix = read_matrix(path, "float64")
    except WeightsError:
        return
    rows = [line.replace('"', "").strip(" ,") for line in text.split("\n")]
    expected = [[float(cell) for cell in row.split(",")] for row in rows if row]
    assert matrix.tobytes() == np.array(expected).tobytes()


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ('1."099,2\n3,4\n', '1."099'),
        ('1,2\n3,4"\n', '4"'),
        ('1,"2"5\n3,4\n', '"2"5'),
        ('"1,2"\n', '"1'),
        ('1,2\n"",4\n', ""),
        ('1,2\n3,"4\n', '"4'),
        ('"1""5",2\n', '"1""5"'),
    ],
)
def test_a_quote_inside_a_number_is_none(tmp_path, text, cell):
    (tmp_path / "m.csv").write_text(text, encoding="utf-8")
    with pytest.raises(CellError) as error:
        decimals.read_matrix(tmp_path / "m.csv", "float64")
    assert error.value.cell == cell


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_quotes_around_whole_cells_are_read(tmp_path, separator, end):
    rows = [["1.5", '"2"', '"-3e4"'], ['"4"', '"5"', "6"]]
    text = end.join(separator.join(row) for row in rows) + end
    (tmp_path / "m.csv").write_bytes(text.replace(".", "," if separator == ";" else ".").encode())
    assert decimals.read_matrix(tmp_path / "m.csv", "float64").tolist() == [[1.5, 2, -3e4], [4, 5, 6]]
