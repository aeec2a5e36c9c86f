#!/usr/bin/env python3
"""Writes CountryCodes.swift and the example numbers of the tests from the data of the `phonenumbers` package (PyPI), the
Python edition of Google's libphonenumber. Run it after an update of the package:

    python3 -m venv /tmp/phones && /tmp/phones/bin/pip install phonenumbers
    /tmp/phones/bin/python tools/country_codes.py
"""

import json
from collections import defaultdict
from pathlib import Path
from re import _parser as parser  # Python 3.11 and later

import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumberFormat, PhoneNumberType

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "Sources/Leads/CountryCodeTable.swift"
EXAMPLES = ROOT / "Tests/Cases/tables/phone-examples.json"# Argentina writes a mobile number with 15 after the area code within the country, and with 9 before it from abroad.
OTHERWISE_WRITTEN = {"+5491123456789"}


def regions(code):
    return phonenumbers.COUNTRY_CODE_TO_REGION_CODE[code]


def metadata(code):
    """The main region's data first."""
    return [PhoneMetadata.metadata_for_region_or_calling_code(code, region) for region in regions(code)]


# ── The lengths of the national numbers that begin with a prefix ──

def steps(tree, starts):
    """The states after a sequence of patterns. A state is (number of digits, the first three digits)."""
    for kind, what in tree:
        name = str(kind)
        if name == "LITERAL":
            starts = put(starts, {chr(what)})
        elif name == "IN":
            starts = put(starts, digits_of(what))
        elif name == "SUBPATTERN":
            starts = steps(what[-1], starts)
        elif name == "BRANCH":
            starts = set().union(*(steps(branch, starts) for branch in what[1]))
        elif name == "MAX_REPEAT":
            least, most, inner = what
            for _ in range(least):
                starts = steps(inner, starts)
            out = set(starts)
            for _ in range(most - least):
                starts = steps(inner, starts)
                out |= starts
            starts = out
        else:
            raise ValueError(f"unknown pattern {name}")
    return starts


def put(states, digits):
    return {(length + 1, first + digit if len(first) < 5 else first)
            for length, first in states for digit in (digits if len(first) < 5 else {"0"})}


def digits_of(items):
    out = set()
    for kind, what in items:
        if str(kind) == "LITERAL":
            out.add(chr(what))
        elif str(kind) == "RANGE":
            out |= {chr(code) for code in range(what[0], what[1] + 1)}
        elif str(kind) == "CATEGORY":
            out |= set("0123456789")
        else:
            raise ValueError(f"unknown class {kind}")
    return out


def numbers(code):
    """The lengths and first five digits of the valid national numbers of a country code."""
    found = set()
    for data in metadata(code):
        descriptions = [
            data.fixed_line, data.mobile, data.toll_free, data.premium_rate, data.shared_cost, data.personal_number, data.voip,
            data.pager, data.uan, data.voicemail]
        for description in descriptions:
            if description and description.national_number_pattern:
                lengths = set(description.possible_length or data.general_desc.possible_length)
                found |= {state for state in steps(parser.parse(description.national_number_pattern), {(0, "")}) if state[0] in lengths}
    return found


def mask_text(lengths):
    """`6-12` or `7,9-10`."""
    out, ordered = [], sorted(lengths)
    for length in ordered:
        if out and out[-1][1] == length - 1:
            out[-1][1] = length
        else:
            out.append([length, length])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in out)


def kept(states, prefix):
    """What begins with a prefix and is no trunk prefix: the shortest beginnings with the lengths of their numbers."""
    by_lengths = defaultdict(set)
    for length, first in states:
        if first.startswith(prefix):
            by_lengths[first[:len(prefix) + 1] if prefix in ("0", "8") else prefix].add(length)
    merged = defaultdict(list)
    for beginning, lengths in sorted(by_lengths.items()):
        merged[mask_text(lengths)].append(beginning)
    out = []
    for lengths, beginnings in merged.items():
        if {beginning[:-1] for beginning in beginnings} == {prefix} and len(beginnings) == 10:
            beginnings = [prefix]
        out += [f"{beginning}:{lengths}" for beginning in beginnings]
    return out


def row(code):
    """CODE LENGTHS TRUNK KEPT, where KEPT is what must not be taken for a prefix."""
    states = numbers(code)
    lengths = {length for length, _ in states if length <= 15}
    trunk = metadata(code)[0].national_prefix or "0"
    prefixes = ["0", *([trunk] if trunk != "0" else []), str(code)]
    keeps = [entry for prefix in dict.fromkeys(prefixes) for entry in kept({s for s in states if s[0] <= 15}, prefix)]
    return f"{code} {mask_text(lengths)} {trunk} {' '.join(keeps)}".rstrip()


# ── Example numbers ──

def examples():
    """[E.164, national writing after the country code, international writing, RFC 3966] for each region and kind."""
    out = []
    found = set()
    kinds = [kind for kind in PhoneNumberType.values() if kind != PhoneNumberType.UNKNOWN]
    wanted = [(region, kind) for region in sorted(phonenumbers.SUPPORTED_REGIONS) for kind in kinds]
    wanted += [(code, None) for code in sorted(phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS)]
    for region, kind in wanted:
        if kind is None:
            number = phonenumbers.example_number_for_non_geo_entity(region)
        else:
            number = phonenumbers.example_number_for_type(region, kind)
        if number is None or (text := phonenumbers.format_number(number, PhoneNumberFormat.E164)) in found or len(text) > 16:
            continue
        if len(text) < 8:  # shorter than PhoneNumber accepts
            continue
        found.add(text)
        national = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
        out.append([
            text, None if text in OTHERWISE_WRITTEN else f"+{number.country_code} {national}",
            phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL),
            phonenumbers.format_number(number, PhoneNumberFormat.RFC3966)])
    return out


def main():
    rows = "\n".join(f"    {row(code)}" for code in sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE))
    TABLE.write_text(f'''\
// Generated by tools/country_codes.py from phonenumbers {phonenumbers.__version__}. Do not edit.

extension CountryCode {{
  /// A line for each country code: the code, the lengths of its national numbers, the prefix that is dialled only
  /// within the country, and what begins with such a prefix or with the code itself, with the lengths.
  static let table = """
{rows}
    """
}}
''')
    lines = ",\n".join("  " + json.dumps(example) for example in examples())
    EXAMPLES.write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
