"""AutoAWQ's own search on a small MLP: losses of each ratio, scales, clips.

    PYTHON make.py        needs autoawq 0.2.9 and torch, on a CPU

Writes search.safetensors. `losses` are those of its loop as it runs on a CPU, where it measures scaled
weights from the second ratio on (its copy of the weights is no copy there); `restored` are those of the
same loop with the weights restored, as on a GPU.
"""
import copy
from types import MethodType, SimpleNamespace

import torch
from awq.quantize.quantizer import AwqQuantizer
from safetensors.torch import save_file

torch.manual_seed(5)
HIDDEN, FEED, TOKENS, GROUP = 64, 128, 600, 32


class MLP(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.gate_proj = torch.nn.Linear(HIDDEN, FEED, bias=False)
        self.up_proj = torch.nn.Linear(HIDDEN, FEED, bias=False)
        self.down_proj = torch.nn.Linear(FEED, HIDDEN, bias=False)

    def forward(self, x):
        return self.down_proj(torch.nn.functional.silu(self.gate_proj(x)) * self.up_proj(x))


def quantizer():
    peer = SimpleNamespace(w_bit=4, group_size=GROUP, zero_point=True, duo_scaling=True,
                           max_chunk_memory=1 << 30, n_parallel_calib_samples=None)
    for name in ["pseudo_quantize_tensor", "_compute_best_scale", "_compute_loss",
                 "_module_forward", "_compute_best_clip"]:
        method = getattr(AwqQuantizer, name)
        setattr(peer, name, method if isinstance(AwqQuantizer.__dict__[name], staticmethod)
                else MethodType(method, peer))
    return peer


def search(mlp, x, restores):
    peer, losses = quantizer(), []
    inner = peer._compute_loss
    peer._compute_loss = lambda *a: losses.append(inner(*a)) or losses[-1]
    layers = [mlp.gate_proj, mlp.up_proj]
    weight = torch.cat([l.weight for l in layers]).view(-1, GROUP)
    shares = (weight.abs() / (weight.abs().amax(1, keepdim=True) + 1e-6)).view(-1, HIDDEN).mean(0)
    means = x.abs().view(-1, HIDDEN).mean(0)
    if restores:
        # What a GPU does: `.cpu()` makes a copy.
        plain = torch.Tensor.cpu
        torch.Tensor.cpu = lambda t, *a, **k: plain(t, *a, **k).clone()
    with torch.no_grad():
        scales = peer._compute_best_scale(x, shares, means, mlp, layers, mlp(x), {})
    if restores:
        torch.Tensor.cpu = plain
    return torch.tensor(losses, dtype=torch.float32), scales


mlp = MLP().half().float()
for parameter in mlp.parameters():
    parameter.requires_grad_(False)
x = (torch.randn(3, TOKENS // 3, HIDDEN) * torch.rand(HIDDEN).mul(4).exp().mul(0.1)).half().float()
gate = mlp.gate_proj.weight.clone()
out = {"x": x.half(), "gate": gate.half(), "up": mlp.up_proj.weight.clone().half(),
       "down": mlp.down_proj.weight.clone().half()}
out["restored"], out["scales"] = search(copy.deepcopy(mlp), x, True)
out["losses"], _ = search(copy.deepcopy(mlp), x, False)
peer = quantizer()
out["clip_all"] = peer._compute_best_clip(gate, x, n_sample_token=10**6).view(FEED, -1)
out["clip_200"] = peer._compute_best_clip(gate, x, n_sample_token=200).view(FEED, -1)
rounded, scales, zeros = peer.pseudo_quantize_tensor(gate)
out["rounded"], out["rounded_scales"], out["rounded_zeros"] = rounded, scales, zeros
peer.zero_point = False
out["symmetric"], out["symmetric_scales"], _ = peer.pseudo_quantize_tensor(gate)
save_file({k: v.contiguous() for k, v in out.items()}, "search.safetensors")
