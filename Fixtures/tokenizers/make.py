"""Tokenizers of many kinds, and what the peer makes of a page of awkward text with each.

    python Fixtures/tokenizers/make.py GOLDENS

needs pip tokenizers; GOLDENS is a folder with text/train.txt to train on, and any number of
checkpoints with a tokenizer.json. Texts are written in hexadecimal, so that they may hold any bytes.
"""

import hashlib
import json
import pathlib
import sys

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers as pre
from tokenizers import processors, trainers

HERE = pathlib.Path(__file__).parent

GPT4 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = GPT4.replace(r"\p{N}{1,3}", r"\p{N}")
CL100K = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*+"
    r"|\s++(?!\S)|\s*[\r\n]|\s+"
)
O200K = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+",
])
DEEPSEEK = [
    r"\p{N}{1,3}", r"[一-龥぀-ゟ゠-ヿ]+",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
]

PAGE = [text.encode() for text in [
    "", " ", "a", "Hello, world!", " leading and trailing ", "  two", "line\nline\r\nline\r\r\n\n",
    "\t\ttabs\t and   runs" + " " * 40 + "x" + " " * 7, "\n \n  \n   a\n\t\n", "don't I'LL we've 'tis 'S 'ſ x'D",
    "0 12 345 6789 3.14159 1e-05 ١٢٣ ½ Ⅷ ²", "naïve café cafe\u0301 e\u0301\u0323 Å Å Ω ﬁ ﬀ ①",
    "\u1112\u1161\u11ab 한글 각 \u1100\u1161\u11a8", "日本語のテキスト、中文字符。繁體 𠀀𠮷",
    "العربية: مَرْحَبًا بِالعَالَم", "עִבְרִית नमस्ते दुनिया ไทย ភាសាខ្មែរ தமிழ்", "Русский ЁЖ Ελληνικά İıſß ǅ",
    "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇩🇪 ☺️ ✨", "a\u200db\u200cc\u200bd\ufeffe\u00a0f\u2003g\u3000h\u0085i\u2028j\u2029k",
    "def f(x):\n    return {\"a\": [x ** 2, 'b'], **k}  # ok\n\n\nclass A:\n\tpass\n",
    "https://example.org/a?b=c&d=%20#e <b>x</b> C:\\dir\\file $1,234.56 a_b-c", "a" * 300, "ab" * 100 + " " + "é" * 99,
    "!?!?...---===" * 7, "\x00\x01\x1b[0m\x7f\x80\x9f", "▁a ▁▁b▁c ▁", "<0x41><0x0A> <unk> [UNK]",
    "<s>x</s> </s><s><s>  y <|endoftext|><|im_start|>user\nhi<|im_end|>\n<|begin_of_text|>z<|eot_id|>",
    "  <mask>  and<mask>.  <mask>x  \n<mask> ", "word wordy sword word_ word. éword word", "one Two ONE  TWO  one",
    "\u0301 starts with a mark", "x\u0300\u0301\u0302 Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G", "\ud7a3\ue000\uf8ff\ufffd\U0010ffff\U000e0001",
    "The quick brown fox jumps over the lazy dog. " * 5, "if (a<b&&c>=d){e=f;}//g\r\n/*h*/",
    "Ǆ ǅ ǆ ʰ ª º ⅷ ㊀ ㈠ 一二三 〇 𝟘𝟙 𝒜𝓑", "camelCase HTTPServer snake_case XMLHttpRequest2 ЖжЖ",
]] + [
    b"\xff\xfe\xfa broken \xc3 \xe2\x82 \xf0\x9f\x98 end", b"\xc0\x80 \xed\xa0\x80 \xf4\x90\x80\x80 \x80\xbf",
    b"caf\xe9 latin", b"\xe2\x96", b"ok\xf0\x9f\x91",
]


def trained(pre_tokenizer, size, text, specials=(), alphabet=(), normalizer=None):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer:
        tokenizer.normalizer = normalizer
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(specials), initial_alphabet=list(alphabet), show_progress=False)
    tokenizer.train_from_iterator([text], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(merge) for merge in model["merges"]]


def byte_level(text, pre_tokenizer, size=700, specials=(), **options):
    vocab, merges = trained(pre_tokenizer, size, text, specials, pre.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, **options))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def special(tokenizer, *contents):
    tokenizer.add_special_tokens([AddedToken(c, normalized=False, special=True) for c in contents])


def sentence_piece(text, size=500):
    vocab, merges = trained(pre.Metaspace(), size, text, alphabet="▁")
    names = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    names += [token for token in sorted(vocab, key=vocab.get) if token not in names]
    model = models.BPE(
        vocab={name: number for number, name in enumerate(names)}, merges=merges, unk_token="<unk>",
        fuse_unk=True, byte_fallback=True)
    tokenizer = Tokenizer(model)
    special(tokenizer, "<unk>", "<s>", "</s>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])
    return tokenizer


def split(pattern, behavior="isolated", invert=False):
    return pre.Split(Regex(pattern), behavior, invert=invert)


def plain_bytes():
    return pre.ByteLevel(add_prefix_space=False, use_regex=False)


def pipelines(text):
    t = byte_level(text, pre.ByteLevel(add_prefix_space=False), specials=["<s>", "<pad>", "</s>", "<unk>"])
    special(t, "<s>", "<pad>", "</s>", "<unk>")
    t.post_processor = processors.TemplateProcessing(
        single="</s> $A", pair="</s> $A </s> $B", special_tokens=[("</s>", 2)])
    yield "gpt2-opt", t

    t = byte_level(text, pre.ByteLevel(add_prefix_space=True), specials=["<s>", "<pad>", "</s>", "<unk>"])
    special(t, "<s>", "<pad>", "</s>", "<unk>")
    t.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False, special=True)])
    t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    yield "roberta", t

    t = byte_level(text, pre.Sequence([split(GPT4), plain_bytes()]), ignore_merges=True)
    special(t, "<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>")
    begin = t.token_to_id("<|begin_of_text|>")
    t.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(
            single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A $B",
            special_tokens=[("<|begin_of_text|>", begin)])])
    yield "llama3", t

    t = byte_level(text, pre.Sequence([split(QWEN2), plain_bytes()]))
    t.normalizer = normalizers.NFC()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    special(t, "<|endoftext|>", "<|im_start|>", "<|im_end|>")
    yield "qwen2", t

    yield "cl100k", byte_level(text, pre.Sequence([split(CL100K, "removed", True), plain_bytes()]))
    yield "o200k", byte_level(text, pre.Sequence([split(O200K), plain_bytes()]), ignore_merges=True)
    yield "deepseek", byte_level(text, pre.Sequence([split(p) for p in DEEPSEEK] + [plain_bytes()]))
    t = byte_level(text, pre.Sequence([pre.Digits(individual_digits=True), pre.ByteLevel(add_prefix_space=False)]))
    t.add_tokens(["  ", "    ", AddedToken("\n\n", normalized=True)])
    yield "digits", t

    t = sentence_piece(text)
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    yield "llama2", t

    t = sentence_piece(text)
    t.pre_tokenizer = pre.Metaspace(prepend_scheme="first", split=False)
    t.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    special(t, "[INST]", "[/INST]")
    yield "mistral", t

    for scheme in ["always", "first", "never"]:
        t = sentence_piece(text)
        t.pre_tokenizer = pre.Metaspace(prepend_scheme=scheme)
        t.decoder = decoders.Metaspace(prepend_scheme=scheme)
        yield f"metaspace-{scheme}", t

    # Unknown characters, letter case, accents; no decoder.
    folded = normalizers.Sequence([
        normalizers.NFD(), normalizers.Lowercase(), normalizers.StripAccents(), normalizers.Strip()])
    for fuse in [False, True]:
        vocab, merges = trained(split(r"\s+", "removed"), 300, text, ["[UNK]"], normalizer=folded)
        t = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="[UNK]", fuse_unk=fuse))
        t.normalizer = folded
        t.pre_tokenizer = split(r"\s+", "removed")
        special(t, "[UNK]")
        yield "unknown-fused" if fuse else "unknown", t

    for form in [normalizers.NFKC(), normalizers.NFKD()]:
        t = byte_level(text, pre.ByteLevel(add_prefix_space=False), size=400)
        t.normalizer = form
        yield type(form).__name__.lower(), t

    # Added tokens of every kind.
    t = byte_level(text, pre.ByteLevel(add_prefix_space=True), size=400)
    t.normalizer = normalizers.Lowercase()
    t.add_tokens([
        AddedToken("word", single_word=True, normalized=False), AddedToken("One", normalized=True),
        AddedToken("TWO", normalized=False, lstrip=True, rstrip=True), AddedToken("lin", rstrip=True),
        AddedToken("line", normalized=True), "<mas", AddedToken("<mask>", rstrip=True, normalized=False),
        AddedToken("é ", normalized=False)])
    yield "added", t

    for behavior in ["removed", "merged_with_previous", "merged_with_next", "contiguous"]:
        for invert in [False, True]:
            t = byte_level(text, pre.Sequence([split(r"\p{P}|\s", behavior, invert), plain_bytes()]), size=400)
            yield f"{behavior}{'-inverted' if invert else ''}", t


def expected(tokenizer):
    cases = []
    for data in PAGE:
        text = data.decode("utf-8", errors="replace")
        ids = tokenizer.encode(text).ids
        cases.append({
            "ids": ids, "plain": tokenizer.encode(text, add_special_tokens=False).ids,
            "decoded": tokenizer.decode(ids).encode().hex(),
            "kept": tokenizer.decode(ids, skip_special_tokens=False).encode().hex()})
    return cases


def dump(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")


def classes():
    """The ranges of scalars that the peer's \\p{L}, \\p{N} and \\s hold, and the marks of StripAccents."""
    answer = {}
    scalars = "".join(chr(c) for c in range(1, 0x110000) if not 0xD800 <= c < 0xE000)
    for name in [r"\p{L}", r"\p{N}", r"\s"]:
        cut = pre.Split(Regex(name + "+"), "removed", invert=True)
        ranges = []
        for piece, _ in cut.pre_tokenize_str(scalars):
            ranges.append([ord(piece[0]), ord(piece[-1])])
        answer[name] = ranges
    strip = normalizers.StripAccents()
    marks = []
    for value in map(ord, scalars):
        if strip.normalize_str(chr(value)) == "":
            if marks and marks[-1][1] == value - 1:
                marks[-1][1] = value
            else:
                marks.append([value, value])
    answer["marks"] = marks
    return answer


def invalid(base):
    """What must be refused, named after the rule that it breaks."""

    def case(name, change):
        value = json.loads(json.dumps(base))
        change(value)
        dump(HERE / "invalid" / f"{name}.json", value)

    token = {"id": 900, "content": "x", "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": True}
    split = {"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Isolated", "invert": False}

    def regex(pattern):
        return {**split, "pattern": {"Regex": pattern}}

    case("TK-1-no-model", lambda t: t.pop("model"))
    case("TK-1-null-model", lambda t: t.update(model=None))
    case("TK-1-no-vocab", lambda t: t["model"].pop("vocab"))
    case("TK-1-vocab-list", lambda t: t["model"].update(vocab=[]))
    case("TK-1-merges-text", lambda t: t["model"].update(merges="a b"))
    case("TK-1-flag-text", lambda t: t["model"].update(ignore_merges="yes"))
    case("TK-1-added-list", lambda t: t.update(added_tokens={}))
    case("TK-1-token-without-id", lambda t: t["added_tokens"].append({"content": "x"}))
    for model in ["Unigram", "WordPiece", "WordLevel"]:
        case(f"TK-2-{model}", lambda t: t["model"].update(type=model))
    case("TK-3-dropout", lambda t: t["model"].update(dropout=0.1))
    case("TK-3-prefix", lambda t: t["model"].update(continuing_subword_prefix="##"))
    case("TK-3-suffix", lambda t: t["model"].update(end_of_word_suffix="</w>"))
    case("TK-4-negative-id", lambda t: t["model"]["vocab"].update(zz=-1))
    case("TK-4-same-id", lambda t: t["model"]["vocab"].update(zz=5))
    case("TK-4-far-id", lambda t: t["model"]["vocab"].update(zz=1 << 40))
    case("TK-4-fraction", lambda t: t["model"]["vocab"].update(zz=1.5))
    case("TK-5-one-part", lambda t: t["model"]["merges"].append("ab"))
    case("TK-5-three-parts", lambda t: t["model"]["merges"].append("a b c"))
    case("TK-5-list-of-one", lambda t: t["model"]["merges"].append(["a"]))
    case("TK-5-unknown-part", lambda t: t["model"]["merges"].append(["a", "日"]))
    case("TK-5-unknown-union", lambda t: t["model"]["merges"].append(["<", "ÿ"]))
    case("TK-6-unknown", lambda t: t["model"].update(unk_token="<none>"))
    case("TK-7-gap", lambda t: t["added_tokens"].append({**token, "content": "new"}))
    case("TK-7-other-id", lambda t: t["added_tokens"].append(token))
    case("TK-8-empty", lambda t: t["added_tokens"].append({**token, "content": ""}))
    case("TK-8-long", lambda t: t["added_tokens"].append({**token, "content": "x" * 257}))
    case("TK-9-Precompiled", lambda t: t.update(normalizer={"type": "Precompiled", "precompiled_charsmap": ""}))
    case("TK-9-BertNormalizer", lambda t: t.update(normalizer={"type": "BertNormalizer"}))
    nested = {"type": "NFC"}
    for _ in range(12):
        nested = {"type": "Sequence", "normalizers": [nested]}
    case("TK-9-nested", lambda t: t.update(normalizer=nested))
    case("TK-10-Whitespace", lambda t: t.update(pre_tokenizer={"type": "Whitespace"}))
    case("TK-10-behind-ByteLevel", lambda t: t.update(pre_tokenizer={
        "type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}, split]}))
    case("TK-10-behavior", lambda t: t.update(pre_tokenizer={**split, "behavior": "Other"}))
    for name, pattern in {
        "backreference": r"(a)\1", "lazy": "a+?", "anchor": "^a", "word": r"\w+", "look-behind": "(?<=a)b",
        "empty": "a*", "class": r"\p{Greek}", "nested-set": "[a[b]]", "repeated-group": "(?:ab)+",
        "open-group": "(?:ab", "open-set": "[ab", "backslash": "a\\", "flags": "(?i)a", "long": "a" * 5000,
        "range": "[z-a]", "repeat": "a{3,1}",
    }.items():
        case(f"TK-11-{name}", lambda t: t.update(pre_tokenizer=regex(pattern)))
    case("TK-13-unknown", lambda t: t.update(post_processor={"type": "Other"}))
    case("TK-13-no-token", lambda t: t.update(post_processor={
        "type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}], "pair": [],
        "special_tokens": {}}))
    case("TK-13-no-id", lambda t: t.update(post_processor={
        "type": "RobertaProcessing", "sep": ["</s>", 90000], "cls": ["<s>", 0]}))
    case("TK-14-WordPiece", lambda t: t.update(decoder={"type": "WordPiece", "prefix": "##", "cleanup": True}))


def main():
    goldens = pathlib.Path(sys.argv[1])
    text = (goldens / "text/train.txt").read_text()[:200_000]
    dump(HERE / "page.json", [data.hex() for data in PAGE])
    dump(HERE / "classes.json", classes())
    for name, tokenizer in pipelines(text):
        saved = json.loads(tokenizer.to_str())
        # The spelling of merges before tokenizers 0.20.
        if name in ("gpt2-opt", "qwen2", "llama2"):
            saved["model"]["merges"] = [" ".join(merge) for merge in saved["model"]["merges"]]
        dump(HERE / "valid" / f"{name}.json", saved)
        again = Tokenizer.from_file(str(HERE / "valid" / f"{name}.json"))
        dump(HERE / "expected" / f"{name}.json", expected(again))
        if name == "gpt2-opt":
            small = ["<s>", "<pad>", "</s>", "<unk>", "a", "b", "<", "ÿ", "x"]
            saved["model"].update(vocab={t: i for i, t in enumerate(small)}, merges=[])
            invalid(saved)
    known = {}
    for path in sorted(goldens.rglob("tokenizer.json")):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        known.setdefault(digest, []).append(str(path.relative_to(goldens)))
        if len(known[digest]) == 1:
            tokenizer = Tokenizer.from_file(str(path))
            tokenizer.no_truncation()
            tokenizer.no_padding()
            dump(HERE / "goldens" / f"{digest}.json", expected(tokenizer))
    dump(HERE / "goldens.json", known)
    print(tokenizers.__version__)


main()
