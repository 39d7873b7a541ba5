"""Tables of records as the texts of their topics: JSON, a record a line, and CSV. Whole columns at a time. Pure."""

import orjson
import pyarrow as pa
import pyarrow.compute as pc

_TO_ESCAPE = r'[\x00-\x1f"\\]'
_FOR_CSV = r'[",\r\n]'
_WIDE = pa.decimal256(60, 22)
_ZERO, _ONE, _TINY = (pa.scalar(text).cast(_WIDE) for text in ("0", "1", "0.000001"))


def json_lines(rows: pa.Table, *, omits_null: bool) -> bytes:
    """A line a record, each with its end; decimals are strings."""
    if not len(rows):
        return b""
    columns = [_json_field(rows, name, omits_null=omits_null) for name in rows.column_names]
    inner = pc.binary_join_element_wise(*columns, "", null_handling="skip")
    # Each field begins with a comma; of the first one it is left out.
    lines = pc.binary_join_element_wise("{", pc.utf8_slice_codeunits(inner, 1), "}\n", "")
    return _joined(lines)


def json_values(rows: pa.Table, *, omits_null: bool) -> list[bytes]:
    """Each record as its topic's JSON."""
    return json_lines(rows, omits_null=omits_null).splitlines()


def csv_lines(rows: pa.Table, *, is_first: bool) -> bytes:
    """A line a record, as RFC 4180 has it but with LF; before the first the names. What has no value is empty."""
    names = ",".join(rows.column_names) + "\n" if is_first else ""
    if not len(rows):
        return names.encode()
    columns = [_csv_text(rows[name]) for name in rows.column_names]
    lines = pc.binary_join_element_wise(pc.binary_join_element_wise(*columns, ","), "\n", "")
    return names.encode() + _joined(lines)


def decimal_texts(amounts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Plain decimals without zeros at their ends."""
    size = pc.abs(amounts)
    texts = size.cast(pa.string())
    is_tiny = pc.less(size, _TINY.cast(amounts.type))
    if pc.any(is_tiny).as_py():  # Arrow writes these with an exponent: with 1 added it does not
        shifted = pc.add(size.cast(_WIDE), _ONE).cast(pa.string())
        texts = pc.if_else(is_tiny, pc.utf8_replace_slice(shifted, 0, 1, "0"), texts)
    texts = pc.utf8_rtrim(pc.utf8_rtrim(texts, "0"), ".")
    return pc.if_else(pc.less(amounts, _ZERO.cast(amounts.type)), pc.binary_join_element_wise("-", texts, ""), texts)


def _json_field(rows: pa.Table, name: str, *, omits_null: bool) -> pa.ChunkedArray:
    """``,"name":value``; null where a record has no value and its topic leaves it out."""
    values = _json_text(rows[name])
    if not omits_null:
        values = pc.fill_null(values, "null")
    return pc.binary_join_element_wise(f',"{name}":', values, "")


def _json_text(values: pa.ChunkedArray) -> pa.ChunkedArray:
    type_ = values.type
    if pa.types.is_integer(type_):
        return values.cast(pa.string())
    if pa.types.is_decimal(type_):
        return pc.binary_join_element_wise('"', decimal_texts(values), '"', "")
    if pa.types.is_map(type_):
        return _amounts_texts(values)
    if pc.any(pc.match_substring_regex(values, _TO_ESCAPE)).as_py():
        texts = [None if text is None else orjson.dumps(text).decode() for text in values.to_pylist()]
        return pa.chunked_array([pa.array(texts, pa.string())])
    return pc.binary_join_element_wise('"', values, '"', "")


def _csv_text(values: pa.ChunkedArray) -> pa.ChunkedArray:
    type_ = values.type
    if pa.types.is_decimal(type_):
        texts = decimal_texts(values)
    elif pa.types.is_map(type_):
        texts = _amounts_texts(values)
    else:
        texts = values.cast(pa.string())
    texts = pc.fill_null(texts, "")
    quoted = pc.binary_join_element_wise('"', pc.replace_substring(texts, '"', '""'), '"', "")
    return pc.if_else(pc.match_substring_regex(texts, _FOR_CSV), quoted, texts)


def _amounts_texts(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Amounts by name as JSON."""
    texts = []
    for chunk in values.chunks:
        ends, keys, amounts = chunk.offsets.to_pylist(), chunk.keys, decimal_texts(pa.chunked_array([chunk.items]))
        for row in range(len(chunk)):
            pairs = zip(keys[ends[row] : ends[row + 1]], amounts[ends[row] : ends[row + 1]], strict=True)
            texts.append(orjson.dumps({key.as_py(): amount.as_py() for key, amount in pairs}).decode())
    return pa.chunked_array([pa.array(texts, pa.string())])


def _joined(texts: pa.ChunkedArray) -> bytes:
    whole = texts.combine_chunks()
    return pc.binary_join(pa.ListArray.from_arrays([0, len(whole)], whole), "")[0].as_buffer().to_pybytes()  # type: ignore[no-any-return]
