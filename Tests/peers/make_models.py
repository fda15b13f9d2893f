"""Makes the tiny checkpoints of Fixtures/models: random ones of every architecture, with the logits that
transformers computes. One folder a case: config.json, model.safetensors, expected.safetensors.

    python Tests/peers/make_models.py [name…]

Versions: Fixtures/README.md. Float32, eager attention; the same seed gives the same files.
"""
import json
import os
import shutil
import sys

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

ROOT = os.path.join(os.path.dirname(__file__), "..", "..", "Fixtures", "models")
SMALL = dict(vocab_size=48, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=False,
             bos_token_id=1, eos_token_id=2, pad_token_id=0)


def small(model_type, **changes):
    return dict(SMALL, model_type=model_type, **changes)


OPT = dict(model_type="opt", vocab_size=48, hidden_size=16, ffn_dim=24, num_hidden_layers=2, num_attention_heads=4,
           max_position_embeddings=64, word_embed_proj_dim=16, bos_token_id=1, eos_token_id=2, pad_token_id=0)
GPT2 = dict(model_type="gpt2", vocab_size=48, n_embd=16, n_layer=2, n_head=4, n_positions=64, bos_token_id=1, eos_token_id=2)
LLAMA3 = dict(rope_type="llama3", rope_theta=10000.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=16)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=16)
LONG = dict(rope_type="longrope", rope_theta=10000.0, partial_rotary_factor=0.5,
            short_factor=[1.0, 1.1], long_factor=[1.5, 2.5])

CASES = {
    "opt": OPT,
    "opt-post-norm": dict(OPT, do_layer_norm_before=False, word_embed_proj_dim=12),
    "llama": small("llama", rope_parameters=dict(rope_type="default", rope_theta=5000.0)),
    "llama-bias-tied": small("llama", attention_bias=True, mlp_bias=True, tie_word_embeddings=True, head_dim=6),
    "llama3-rope": small("llama", rope_parameters=LLAMA3),
    "llama-linear": small("llama", rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=3.0)),
    "llama-dynamic": small("llama", max_position_embeddings=16,
                           rope_parameters=dict(rope_type="dynamic", rope_theta=10000.0, factor=2.0)),
    "llama-yarn": small("llama", rope_parameters=YARN),
    "mistral": small("mistral", sliding_window=7),
    "qwen2": small("qwen2"),
    "qwen2-window": small("qwen2", use_sliding_window=True, sliding_window=5, max_window_layers=1),
    "qwen3": small("qwen3", head_dim=8),
    "gemma": small("gemma", head_dim=8, tie_word_embeddings=True),
    "gemma2": small("gemma2", head_dim=8, query_pre_attn_scalar=24, sliding_window=6, attn_logit_softcapping=2.0,
                    final_logit_softcapping=3.0, tie_word_embeddings=True),
    "gemma3": small("gemma3_text", head_dim=8, query_pre_attn_scalar=24, sliding_window=6, num_hidden_layers=3,
                    sliding_window_pattern=3, tie_word_embeddings=True,
                    rope_parameters=dict(full_attention=dict(rope_type="linear", factor=8.0, rope_theta=1000000.0),
                                         sliding_attention=dict(rope_type="default", rope_theta=10000.0))),
    "gpt2": GPT2,
    "gpt2-scaled": dict(GPT2, scale_attn_by_inverse_layer_idx=True, n_inner=20, activation_function="gelu"),
    "phi3": small("phi3", sliding_window=9),
    "phi3-longrope": small("phi3", num_attention_heads=2, num_key_value_heads=1, rope_parameters=LONG, original_max_position_embeddings=16),
    "mixtral": small("mixtral", num_local_experts=4, num_experts_per_tok=2),
    "mixtral-fused": small("mixtral", num_local_experts=4, num_experts_per_tok=2),
    "qwen2-moe": small("qwen2_moe", num_experts=4, num_experts_per_tok=2, moe_intermediate_size=12,
                       shared_expert_intermediate_size=20, decoder_sparse_step=2, norm_topk_prob=False),
    "qwen3-moe": small("qwen3_moe", num_experts=4, num_experts_per_tok=2, moe_intermediate_size=12, head_dim=8,
                       norm_topk_prob=True, mlp_only_layers=[0]),
}


def randomise(model):
    """Weights larger than a new model's, so that attention and norms matter; nothing is 0 or 1."""
    torch.manual_seed(7)
    with torch.no_grad():
        for name, tensor in sorted(model.named_parameters()):
            if tensor.ndim == 1:
                base = 1.0 if "norm" in name or "ln_" in name else 0.0
                if "gemma" in model.config.model_type:
                    base = 0.0
                tensor.copy_(base + 0.2 * torch.randn_like(tensor))
            else:
                tensor.copy_(torch.randn_like(tensor) * (0.5 if "embed" in name or "wte" in name else 0.35))


def make(name, fields):
    config = AutoConfig.for_model(**fields)
    config.architectures = None
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
    randomise(model)
    model.tie_weights()
    folder = os.path.join(ROOT, name)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    generation = os.path.join(folder, "generation_config.json")
    if os.path.exists(generation):
        os.remove(generation)
    torch.manual_seed(11)
    ids = torch.randint(0, fields["vocab_size"], (2, 24))
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    if name.endswith("-fused"):
        save_file(model.state_dict(), os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    with torch.no_grad():
        logits = model(ids, use_cache=False).logits
    # The last eight positions of both sequences.
    save_file({"input_ids": ids.to(torch.int32), "logits": logits[:, -8:].contiguous()},
              os.path.join(folder, "expected.safetensors"))
    for file in os.listdir(folder):
        os.chmod(os.path.join(folder, file), 0o644)
    files = load_file(os.path.join(folder, "model.safetensors"))
    size = sum(os.path.getsize(os.path.join(folder, file)) for file in os.listdir(folder))
    print(f"{name}: {len(files)} tensors, {size} bytes, logits up to {logits.abs().max():.2f}, "
          f"spread {logits.std():.2f}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    wanted = sys.argv[1:]
    for name, fields in CASES.items():
        if not wanted or name in wanted:
            make(name, fields)
