"""How ClickHouse has to write JSON so that it is as our codec writes it; decimals are without zeros at their ends."""

JSON_FORM = {
    "output_format_json_quote_decimals": 1,
    "output_format_json_quote_64bit_integers": 0,
    "output_format_json_escape_forward_slashes": 0,
}
