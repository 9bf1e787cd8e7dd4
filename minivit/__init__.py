"""minivit: the Vision Transformer written from scratch with arrays, readable and checked tensor by tensor.

    import minivit
    model = minivit.load("deit_tiny.safetensors")        # official .npz, Hugging Face, timm/DeiT; or "demo"
    model.classify("cat.jpg")                            # the five most probable classes
    model.trace("cat.jpg")["block3.attn.probs"]          # any intermediate tensor, by name

Start reading with models/vit.py (the model), then ops/*/ref.py (its functions), then names/ (its tensors).
"""

from .config import VARIANTS, ViTConfig, variant
from .errors import InputError
from .loading import load
from .model import Model, Prediction
from .trace import Trace

__version__ = "0.1.0"
__all__ = ["VARIANTS", "InputError", "Model", "Prediction", "Trace", "ViTConfig", "load", "variant"]
