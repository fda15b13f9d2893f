"""transformers: AutoModelForCausalLM.from_pretrained, which must find every tensor it wants."""

import torch
from transformers import AutoModelForCausalLM

import jobs


def load(folder):
    model, info = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float16, device_map="cpu", output_loading_info=True)
    strays = {kind: sorted(keys) for kind, keys in info.items() if keys}
    if strays:
        raise ValueError(f"keys that do not fit: {strays}")
    return model, {}


if __name__ == "__main__":
    jobs.main(["transformers", "optimum", "gptqmodel", "torch"], load)
