"""The one tolerance file: how far a number may be from its oracle, by dtype and quantity, and why.

    from tolerances import TOLERANCE
    torch.testing.assert_close(ours, oracle, **TOLERANCE[torch.float64, "value"])

quantity
  value       an output or state against an independent oracle
  gradient    a gradient against an independent oracle
  weight      the gradient of a weight: a sum over all steps and rows, so its noise grows with their number
  invariance  the same row computed in another batch, padding or cut: the order of sums inside a product may differ
  difference  an analytic gradient against a finite difference (only float64 makes sense)

float64: 1e-10 is the project's promise; its own noise is about 1e-15 times the number of operations in a row.
float32: torch's own layers are 1e-7 to 4e-7 (values), 6e-7 (gradients) and 1.2e-6 (weights) away from float64; at most
twice that is wanted, and some room is left for longer sums.
bfloat16, float16: 8 and 11 bits of mantissa; judged against float64, at most twice plain torch in the same dtype.
"""

from __future__ import annotations

import torch

TOLERANCE: dict[tuple[torch.dtype, str], dict[str, float]] = {
    (torch.float64, "value"): {"rtol": 1e-10, "atol": 1e-10},
    (torch.float64, "gradient"): {"rtol": 1e-10, "atol": 1e-10},
    (torch.float64, "weight"): {"rtol": 1e-10, "atol": 1e-10},
    (torch.float64, "invariance"): {"rtol": 1e-12, "atol": 1e-12},
    (torch.float64, "difference"): {"rtol": 1e-6, "atol": 1e-7},
    (torch.float32, "value"): {"rtol": 1e-5, "atol": 2e-6},
    (torch.float32, "gradient"): {"rtol": 1e-5, "atol": 5e-6},
    (torch.float32, "weight"): {"rtol": 2e-5, "atol": 1e-5},
    (torch.float32, "invariance"): {"rtol": 1e-5, "atol": 1e-6},
    (torch.bfloat16, "value"): {"rtol": 2e-2, "atol": 2e-2},
    (torch.bfloat16, "gradient"): {"rtol": 5e-2, "atol": 5e-2},
    (torch.bfloat16, "weight"): {"rtol": 5e-2, "atol": 5e-2},
    (torch.float16, "value"): {"rtol": 2e-3, "atol": 2e-3},
    (torch.float16, "gradient"): {"rtol": 5e-3, "atol": 5e-3},
    (torch.float16, "weight"): {"rtol": 5e-3, "atol": 5e-3},
}

# The native engine against the autograd loop in float64: the largest difference relative to a tensor's largest element.
# Both round differently at every operation; what is measured is 1e-15 to 1e-14.
NATIVE = 1e-12
