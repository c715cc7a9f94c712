"""riverrun: recurrent neural networks, trained on your own sequences, seen from inside, put to work.

Nothing heavy is imported before it is needed: `import riverrun` does not import torch.
"""

from __future__ import annotations

__version__ = "0.1.0"
