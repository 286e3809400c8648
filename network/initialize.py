"""Weight initialisation other than torch's own."""

from torch import nn


def kaiming(module: nn.Module) -> nn.Module:
    """Kaiming-normal (fan-in, gain sqrt 2) convolutions and linear layers with zero biases; norms to 1 and 0. Returns
    module."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(part.weight, nonlinearity='relu')
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.modules.batchnorm._BatchNorm):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
    return module
