"""Asks Python's `re` which patterns match which names. Standard library only, Python 3.11 or newer.

    python3 Fixtures/patterns/make.py

Writes cases.json beside this file: rows of pattern, name, whether `re.match` and whether
`re.fullmatch` finds something; for a pattern that `re` refuses, the name and both answers are null.
"""

import json
import os
import re
import warnings

HERE = os.path.dirname(os.path.abspath(__file__))

PROJ = "model.layers.10.self_attn.q_proj"
GATE = "model.layers.3.mlp.experts.17.gate_proj"
HEAD = "lm_head"

MATCHED = [
    # As configs write them.
    (r"model\.layers\.\d+\.self_attn\.q_proj", [PROJ, GATE, "model.layers.x.self_attn.q_proj"]),
    (r"model\.layers\.(?:[0-9]|1[0-9])\..*", [PROJ, GATE, "model.layers.25.mlp"]),
    (r".*\.(q|k|v|o)_proj$", [PROJ, GATE, PROJ + "\n", PROJ + ".x"]),
    (r".*lm_head", [HEAD, "model.lm_head.weight", PROJ]),
    (r".*experts\.\d+\.(gate|up|down)_proj.*", [GATE, GATE + ".0", PROJ]),
    (r"^(?!.*(self_attn|mlp)).*$", [HEAD, PROJ, "model.norm"]),
    (r".*(?<!shared_)experts\..*", [GATE, "mlp.shared_experts.0"]),
    (r".*(?<=_)proj", [PROJ, "proj", "a.proj"]),
    (r"model.*\.layers\.(\d|1[0-5])(?=\.mlp)", [GATE, PROJ]),
    (r"(?i)MODEL\.LAYERS\.[0-9]+\.MLP.*", [GATE, PROJ, "Model.Layers.0.Mlp"]),
    (r".*\.block_sparse_moe\.gate$", ["model.layers.0.block_sparse_moe.gate", PROJ]),
    (r"vision_tower|.*visual\.", ["vision_tower.0", "model.visual.blocks", "model.vision"]),
    # Literals and escapes.
    (r"", ["", "a"]),
    (r"abc", ["abc", "abcd", "ab", "xabc"]),
    (r"a\.b\-c\/d\_e", ["a.b-c/d_e", "axb-c/d_e"]),
    (r"\n\t\r\f\v\a", ["\n\t\r\f\v\a", "nt"]),
    (r"\x61\u0062\U00000063", ["abc", "x61"]),
    (r"a{b}", ["a{b}", "ab"]),
    (r"a{}", ["a{}", "a"]),
    (r"{a}", ["{a}"]),
    (r"a{1", ["a{1", "a"]),
    (r"a{1,x}", ["a{1,x}", "a"]),
    (r"]}", ["]}"]),
    (r"é+", ["éé", "e\u0301"]),
    # Classes.
    (r"[a-c]+", ["abc", "abcd", "d"]),
    (r"[^a-c]+", ["def", "a", "\n"]),
    (r"[]a]+", ["]a]", "b"]),
    (r"[^]a]+", ["bc", "]"]),
    (r"[a\]b-]+", ["a]b-", "c"]),
    (r"[\d.\-_]+", ["1.2-3_", "x"]),
    (r"[^\W\d]+", ["abc_", "1", "é"]),
    (r"[a-]", ["-", "b"]),
    (r"[-a]", ["-", "b"]),
    (r"[\w-]+", ["a-b", "."]),
    (r"[\b]", ["\b", "b"]),
    (r"[(|)*.^$]+", ["(|)*.^$", "a"]),
    (r"[c-eb-da]+", ["abcde", "f"]),
    (r"\d+", ["123", "\u0663", "\u00b2", "x"]),
    (r"\D+", ["abc", "1"]),
    (r"\w+", ["a_1é", "\u00b2", "-"]),
    (r"\W+", ["-. ", "a"]),
    (r"\s+", [" \t\n\x1c\x85\u3000", "a", "\u200b"]),
    (r"\S+", ["abc", " "]),
    (r".+", ["abc", "a\nb", "\n"]),
    # Anchors.
    (r"^a$", ["a", "a\n", "a\n\n", "ba"]),
    (r"a\Z", ["a", "a\n"]),
    (r"\Aa", ["a", "ba"]),
    (r"a$b", ["ab", "a\nb"]),
    (r"a$\n", ["a\n", "a"]),
    (r"a\b.b", ["a.b", "aab"]),
    (r"a\Bb", ["ab", "a"]),
    (r"\ba\b", ["a", "ab", "a-"]),
    (r"(?m)a$\n^b", ["a\nb", "ab"]),
    (r"(?s)a.b", ["a\nb", "ab"]),
    (r"(?sm)a.^b", ["a\nb", "axb"]),
    (r"(?i)(?s)A.", ["a\n", "b\n"]),
    (r"(?u)\w", ["é"]),
    # Groups and alternatives.
    (r"a|ab", ["a", "ab", "b"]),
    (r"(a|ab)(c|bcd)", ["abcd", "ac", "ab"]),
    (r"(?:a|b)c", ["ac", "bc", "c"]),
    (r"(?P<kind>q|k)_proj", ["q_proj", "v_proj"]),
    (r"a(|b)c", ["ac", "abc", "abbc"]),
    (r"()", ["", "a"]),
    (r"|a", ["a", ""]),
    (r"(((((a)))))", ["a"]),
    # Repetitions.
    (r"a*b", ["b", "aaab", "aac"]),
    (r"a+b", ["b", "aaab"]),
    (r"a?b", ["b", "ab", "aab"]),
    (r"a{2}", ["a", "aa", "aaa"]),
    (r"a{2,}", ["a", "aa", "aaaa"]),
    (r"a{,2}b", ["b", "aab", "aaab"]),
    (r"a{1,3}", ["", "a", "aaa", "aaaa"]),
    (r"a{,}", ["", "aaa"]),
    (r"a{0}b", ["b", "ab"]),
    (r"a*?b", ["aab", "b"]),
    (r"a+?", ["aa", ""]),
    (r"a??b", ["ab", "b"]),
    (r"a{1,2}?b", ["aab", "aaab"]),
    (r"(ab){2,3}c", ["ababc", "abababc", "abc", "ababababc"]),
    (r"(?:a{2}){2}", ["aaaa", "aaa"]),
    (r"(a*)*", ["", "aaa", "b"]),
    (r"(a*)+b", ["b", "aab", "aac"]),
    (r"(a|b*)*c", ["abbac", "c", "abx"]),
    (r"(a?b?)*?c", ["abbac", "c", "x"]),
    (r"(|a){2,}b", ["aaab", "b"]),
    (r"((a*)*b?)*c", ["aabbac", "d"]),
    (r"(?:)*a", ["a"]),
    (r"(\b|a)+-", ["aa-", "-", "b-"]),
    # Atomic groups and possessive repetitions.
    (r"a*+a", ["aaa", "a"]),
    (r"a++b", ["aab", "b"]),
    (r"a?+a", ["a", "aa"]),
    (r"a{1,2}+a", ["aa", "aaa"]),
    (r"(?>a|ab)c", ["ac", "abc"]),
    (r"(?>.*)c", ["abc"]),
    (r"(?>a*?)b", ["b", "ab"]),
    (r"(?>(?:|a)*)b", ["b", "ab"]),
    (r"(?>a+|b)*c", ["aabac", "aab"]),
    (r"(?:(?>a|ab)b?)*c", ["abac", "abbac", "ababc"]),
    # Looking ahead and behind.
    (r"a(?=b)", ["ab", "ac", "a"]),
    (r"a(?=b)b", ["ab"]),
    (r"a(?!b)", ["ab", "ac", "a"]),
    (r"(?=.*b)(?!.*c)a", ["ab", "abc", "a"]),
    (r".*(?<=ab)c", ["abc", "aac"]),
    (r".*(?<!ab)c", ["abc", "aac", "c"]),
    (r"(?<=a)b", ["b", "ab"]),
    (r"(?<!a)b", ["b", "ab"]),
    (r".*(?<=a|b)c", ["xbc", "xc"]),
    (r".*(?<=(?=ab)..)c", ["abc", "bbc"]),
    (r"(?=(a*)*b).*", ["aab", "aac"]),
    (r"(?!(a|b?)*c).*", ["abac", "abad"]),
    (r"(?:.(?=(?:a|b?)*c))+.", ["xbabc", "xbabd"]),
    (r"(?=a){2}a", ["a", "b"]),
    # The part that looks is asked at 1 before 0, and its loop goes on from where one ended.
    (r".?(?=(?:|a|b)*c)bac", ["bac", "abac"]),
    (r".?(?=(?:|a|(?:|b)*)*c)bbac", ["bbac", "abbac"]),
    (r".?(?!(?:|a|b)*c)bac", ["bac"]),
    # Without regard to case.
    (r"(?i)abc", ["ABC", "aBc", "abd"]),
    (r"(?i)[A-C]+", ["abc", "xyz"]),
    (r"(?i)[^a]", ["A", "b"]),
    (r"(?i)é", ["É", "e"]),
    (r"(?i)k", ["\u212a"]),
]

REFUSED = [
    "(", ")", "a)", "(a", "(?:a", "(?P<n>a", "(?P<1>a)", "(?P<>a)", "(?P<n>a)(?P<n>b)", "(?", "(?P",
    "[", "[a", "[]", "[^]", "[a-", "[b-a]", "[a-\\d]", "[\\d-a]", "\\", "[\\", "*", "+a", "?", "a|*",
    "(*a)", "{1}", "a**", "a{1}{2}", "a*??", "a+++", "^*", "$+", "\\b*", "a{2,1}", "\\x6", "\\xgg",
    "\\u12", "\\U00110000", "\\q", "\\y", "[\\q]", "a(?i)b", "(?=a", "(?<=a",
]


def row(pattern, name):
    warnings.simplefilter("ignore")
    compiled = re.compile(pattern)
    return [pattern, name, bool(compiled.match(name)), bool(compiled.fullmatch(name))]


def refused(pattern):
    try:
        re.compile(pattern)
    except re.error:
        return [pattern, None, None, None]
    raise SystemExit(f"re takes {pattern!r}")


def main():
    rows = [row(pattern, name) for pattern, names in MATCHED for name in names]
    rows += [refused(pattern) for pattern in REFUSED]
    with open(os.path.join(HERE, "cases.json"), "w", encoding="utf-8") as file:
        file.write("[\n" + ",\n".join("  " + json.dumps(row) for row in rows) + "\n]\n")


if __name__ == "__main__":
    main()
