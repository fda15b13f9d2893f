"""Cuts checkpoints as their writers saved them down to a layer or two. Standard library only.

    python3 Fixtures/trim.py GOLDENS [--sums]

GOLDENS is a folder of full checkpoints, each with the tensors that its writer's own code reads
out of some of its layers in `expected.safetensors`. Writes the golden/ folders of layouts beside
this file, and demo-model/, from scratch; bytes of tensors and configs are not touched. With
--sums it prints the table of provenance of README.md.
"""

import hashlib
import json
import os
import shutil
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))

K_PROJ = "model.layers.0.self_attn.k_proj"
Q_PROJ = "model.decoder.layers.0.self_attn.q_proj"
DOWN_PROJ = "model.layers.1.mlp.down_proj"

# Folder of fixtures, checkpoint, its layers. A second layer is kept without its weights.
CHECKPOINTS = [
    ("gptq", "autoround-llamanano-w4g32-sym-autogptq", [K_PROJ]),
    ("gptq", "gptq-llama256-w4g128-sym-desc", [K_PROJ]),
    ("gptq", "gptq-llamanano-w2g64-sym-v2", [K_PROJ]),
    ("gptq", "gptq-llamanano-w3g128-sym", [K_PROJ, DOWN_PROJ]),
    ("gptq", "gptq-llamanano-w4g32-asym", [K_PROJ]),
    ("gptq", "gptq-llamanano-w4g64-sym-shards", [K_PROJ, DOWN_PROJ]),
    ("gptq", "gptq-llamanano-w8gcol-sym", [K_PROJ]),
    ("gptq", "gptq-opt256-w4g128-sym", [Q_PROJ]),
    ("gptq", "gptq-optnano-w4gcol-asym-v2", [Q_PROJ]),
    ("gptq", "gptq-optnano-w8g64-asym", [Q_PROJ]),
    ("gptq", "quality-gptq-w3g128", [K_PROJ]),
    ("awq", "awq-llama256-w4g128-gemm", [K_PROJ]),
    ("awq", "awq-llamanano-w4g32-sym-gemm-gptqmodel", [K_PROJ]),
    ("awq", "awq-llamanano-w4g64-gemm", [K_PROJ, DOWN_PROJ]),
    ("awq_gemv", "awq-llamanano-w4g32-gemv", [K_PROJ, DOWN_PROJ]),
    ("awq_gemv_fast", "awq-llamanano-w4g64-gemvfast", [K_PROJ, DOWN_PROJ]),
    ("autoround", "autoround-llamanano-w2g32-asym-autoround", [K_PROJ]),
    ("hqq", "hqq-llamanano-w2g32-axis0", [K_PROJ]),
    ("hqq", "hqq-llamanano-w4g64", [K_PROJ]),
    ("mlx", "mlx-llamanano-mxfp4", [K_PROJ]),
    ("mlx", "mlx-llamanano-q3g64", [K_PROJ]),
    ("mlx", "mlx-llamanano-q5g32", [K_PROJ]),
    ("compressed-tensors", "ct-llamanano-w4a16-g32-asym", [K_PROJ, DOWN_PROJ]),
    ("compressed-tensors", "ct-llamanano-w4a16-g64-actorder-group", [K_PROJ]),
    ("compressed-tensors", "ct-llamanano-w8a16-channel", [K_PROJ]),
    ("compressed-tensors", "ct-optnano-int8-w8a8", [Q_PROJ]),
    ("compressed-tensors", "ct-optnano-w8a16-g32-asym", [Q_PROJ]),
    ("fp8", "ct-llamanano-fp8-dynamic", [K_PROJ]),
    ("nvfp4", "ct-llamanano-nvfp4a16", [K_PROJ]),
    ("bitsandbytes", "bnb-llama256-nf4-dq", [K_PROJ]),
    ("bitsandbytes", "bnb-llamanano-int8", [K_PROJ]),
    ("bitsandbytes", "bnb-llamanano-nf4", [K_PROJ]),
    ("bitsandbytes", "bnb-optnano-fp4", [Q_PROJ]),
]

# Folder of fixtures, golden, the prefixes and the parts of the tensors to keep.
LAYERS = [
    (
        "gptq", "layers-gptq-pack", [f"b{bits}{kind}" for bits in (2, 3, 4, 8) for kind in "as"],
        ["qweight", "qzeros_v1", "qzeros_v2", "scales_fp16", "zero", "dequant_f32"],
    ),
    (
        "awq", "layers-awq", ["p1"],
        ["gemm.qweight", "gemm.qzeros", "gemm.scales", "gemm.dequant_f32", "zeros"],
    ),
    (
        "awq_gemv", "layers-awq", ["p0", "p1", "p2"],
        ["gemv.qweight", "gemv.qzeros", "gemv.scales", "scales", "zeros"],
    ),
    (
        "awq_gemv_fast", "layers-awq", ["p0", "p1", "p2"],
        ["gemvfast.qweight", "gemvfast.qzeros", "gemvfast.scales", "scales", "zeros"],
    ),
    (
        "mlx", "layers-mlx", [f"m{case}" for case in range(1, 6)],
        ["wq", "scales", "biases", "dequant"],
    ),
    (
        "bitsandbytes", "layers-bnb", ["q4_1", "q4_2", "q4_3", "q4_4", "i8_1"],
        [
            "packed", "absmax_dequant", "dequant", "CB", "SCB", "state_dict.absmax",
            "state_dict.quant_map", "state_dict.nested_absmax", "state_dict.nested_quant_map",
            "state_dict.quant_state.bitsandbytes__nf4", "state_dict.quant_state.bitsandbytes__fp4",
        ],
    ),
]

CONFIGS = ["config.json", "quantize_config.json", "quantization_config.json"]
DEMO = "gptq-llamanano-w4g32-asym"
DEMO_TOKENIZER = "models/llama-nano"


def read(path):
    """The metadata of a safetensors file and its tensors: name -> (dtype, shape, bytes)."""
    with open(path, "rb") as file:
        content = file.read()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    metadata = header.pop("__metadata__", None)
    data = memoryview(content)[8 + length :]
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = (entry["dtype"], entry["shape"], bytes(data[begin:end]))
    return metadata, tensors


def write(path, metadata, tensors):
    header = {} if metadata is None else {"__metadata__": metadata}
    offset = 0
    for name, (dtype, shape, data) in tensors.items():
        end = offset + len(data)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, _, data in tensors.values():
            file.write(data)


def belongs(name, layers):
    return any(name.startswith(layer + ".") for layer in layers)


def is_first_norm(name, names):
    norms = [name for name in sorted(names) if "norm" in name and name.endswith(".weight")]
    return name == norms[0]


def trim_files(source, target, layers):
    """The weight files with the layers and one norm; returns the names of all tensors kept."""
    files = sorted(
        name for name in os.listdir(source)
        if name.endswith(".safetensors") and name != "expected.safetensors"
    )
    contents = {file: read(os.path.join(source, file)) for file in files}
    names = [name for _, tensors in contents.values() for name in tensors]
    kept = {}
    for file, (metadata, tensors) in contents.items():
        part = {
            name: tensor for name, tensor in tensors.items()
            if belongs(name, layers) or is_first_norm(name, names)
        }
        if part:
            kept[file] = (metadata, part)
    renamed = {
        file: f"model-{position:05}-of-{len(kept):05}.safetensors" if len(kept) > 1 else file
        for position, file in enumerate(kept, 1)
    }
    for file, (metadata, part) in kept.items():
        write(os.path.join(target, renamed[file]), metadata, part)
    if len(kept) > 1:
        write_index(target, {renamed[file]: part for file, (_, part) in kept.items()})


def write_index(target, files):
    size = sum(len(data) for part in files.values() for _, _, data in part.values())
    index = {
        "metadata": {"total_size": size},
        "weight_map": {name: file for file, part in files.items() for name in part},
    }
    with open(os.path.join(target, "model.safetensors.index.json"), "w") as file:
        json.dump(index, file, indent=2)
        file.write("\n")


def trim_expected(source, target, layers):
    """What the writer's own code reads: parts of all layers, weights of the first."""
    _, tensors = read(os.path.join(source, "expected.safetensors"))
    kept = {
        name: tensor for name, tensor in tensors.items()
        if name.startswith("part:") and belongs(name[5:], layers)
        or name == f"dequant:{layers[0]}.weight"
    }
    write(os.path.join(target, "expected.safetensors"), None, kept)


def trim_checkpoint(goldens, folder, name, layers):
    source = os.path.join(goldens, name)
    target = fresh(folder, "golden", name)
    trim_files(source, target, layers)
    trim_expected(source, target, layers)
    for config in CONFIGS:
        if os.path.exists(os.path.join(source, config)):
            shutil.copyfile(os.path.join(source, config), os.path.join(target, config))


def trim_layers(goldens, folder, name, prefixes, parts):
    target = fresh(folder, "golden", name)
    _, tensors = read(os.path.join(goldens, name, "layers.safetensors"))
    names = [f"{prefix}.{part}" for prefix in prefixes for part in parts]
    kept = {name: tensors[name] for name in names if name in tensors}
    write(os.path.join(target, "layers.safetensors"), None, kept)


def copy_demo(goldens):
    target = fresh("demo-model")
    source = os.path.join(goldens, DEMO)
    for file in sorted(os.listdir(source)):
        if not file.startswith("expected."):
            shutil.copyfile(os.path.join(source, file), os.path.join(target, file))
    for file in ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]:
        shutil.copyfile(os.path.join(goldens, DEMO_TOKENIZER, file), os.path.join(target, file))


def fresh(*parts):
    path = os.path.join(HERE, *parts)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def print_sums(goldens):
    print("| fixture | peer | settings | source file | sha256 |")
    print("|---|---|---|---|---|")
    names = [(folder, name) for folder, name, *_ in CHECKPOINTS + LAYERS]
    for folder, name in names:
        source = os.path.join(goldens, name)
        with open(os.path.join(source, "expected.json")) as file:
            facts = json.load(file)
        settings = ", ".join(f"{key} {value}" for key, value in facts.get("settings", {}).items())
        for file in sorted(os.listdir(source)):
            if file.endswith(".safetensors") and file != "expected.safetensors":
                digest = sha256(os.path.join(source, file))
                print(f"| `{folder}/golden/{name}` | {facts['peer']} | {settings} | `{file}` "
                      f"| `{digest}` |")


def main():
    goldens = sys.argv[1]
    for entry in CHECKPOINTS:
        trim_checkpoint(goldens, *entry)
    for entry in LAYERS:
        trim_layers(goldens, *entry)
    copy_demo(goldens)
    if "--sums" in sys.argv[2:]:
        print_sums(goldens)


if __name__ == "__main__":
    main()
