"""Writes Sources/Tokenizers/CompatibilityTable.swift: the peer's compatibility decompositions that are
not canonical ones.

    python Fixtures/tokenizers/mappings.py

needs pip tokenizers.
"""

import pathlib
import textwrap

from tokenizers import normalizers

TARGET = pathlib.Path(__file__).parent / "../../Sources/Tokenizers/CompatibilityTable.swift"

HEAD = '''/// Scalars that normal forms KC and KD replace, and by what (Unicode data of pip tokenizers 0.23.3; written
/// by `Fixtures/tokenizers/mappings.py`).
///
/// Hexadecimal: `a>b.c` is a scalar and what stands for it; `a+n>b` is n scalars in a row from a, which
/// n scalars in a row from b stand for; `a=n>b` is n scalars in a row from a, all replaced by b.
enum CompatibilityTable {
  static let text = """
'''
TAIL = '''    """
}
'''


def mappings():
    compatible, canonical = normalizers.NFKD(), normalizers.NFD()
    answer = []
    for value in range(1, 0x110000):
        if 0xD800 <= value < 0xE000:
            continue
        new = compatible.normalize_str(chr(value))
        if new != canonical.normalize_str(chr(value)):
            answer.append((value, [ord(c) for c in new]))
    return answer


def runs(entries):
    """[first, count, step, mapping]"""
    rows = []
    for value, new in entries:
        if rows and len(new) == 1 and len(rows[-1][3]) == 1:
            first, count, step, start = rows[-1]
            if first + count == value:
                for each in ([step] if step is not None else [1, 0]):
                    if start[0] + each * count == new[0]:
                        rows[-1][1:3] = [count + 1, each]
                        break
                else:
                    rows.append([value, 1, None, new])
                continue
        rows.append([value, 1, None, new])
    return rows


def word(first, count, step, new):
    sign = {None: "", 1: f"+{count:x}", 0: f"={count:x}"}[step]
    return f"{first:x}{sign}>{'.'.join(f'{c:x}' for c in new)}"


words = " ".join(word(*row) for row in runs(mappings()))
lines = textwrap.wrap(words, 94, break_long_words=False, break_on_hyphens=False)
TARGET.resolve().write_text(HEAD + "".join(f"    {line} \\\n" for line in lines[:-1]) + f"    {lines[-1]}\n" + TAIL)
