"""Parameter groups of an optimizer: other learning rates for the trunk, layer by layer if asked; no decay of norms.

As published, one group holds everything. The heads come last; the learning rate that is logged is theirs.
"""

from typing import Any

from torch import nn


def parameter_groups(net: nn.Module, args) -> list[dict]:
    """The parameters of net that require a gradient, as groups with `lr` and `weight_decay`.

    A parameter of the trunk has --lr times --lr_trunk_mult, and with --layer_decay d times d^(n - i) in layer i of the
    n layers that timm tells, the first one 0 (Clark et al., ICLR 2020, arXiv 2003.10555). --no_decay_norms: vectors,
    which are the scales and shifts of norms and biases, have no weight decay.

    Raises ValueError where there is no trunk, or --layer_decay and a trunk whose layers timm does not tell.
    """
    factors = _trunk_factors(net, args)
    groups: dict[tuple, list] = {}
    for parameter in net.parameters():
        if parameter.requires_grad:
            is_head = id(parameter) not in factors
            rate = args.lr * factors.get(id(parameter), 1.0)
            decay = 0.0 if args.no_decay_norms and parameter.ndim < 2 else args.weight_decay
            groups.setdefault((is_head and bool(factors), rate, decay), []).append(parameter)
    return [
        {'params': parameters, 'lr': rate, 'weight_decay': decay}
        for (_, rate, decay), parameters in sorted(groups.items(), key=lambda pair: pair[0])
    ]


def _trunk_factors(net: Any, args) -> dict[int, float]:
    """The factor on --lr of each parameter of the trunk, by id; empty where all have the same."""
    if args.lr_trunk_mult == args.layer_decay == 1:
        return {}
    flag = '--lr_trunk_mult' if args.lr_trunk_mult != 1 else '--layer_decay'
    trunk = list(net.trunk_parameters())
    if not trunk:
        raise ValueError(f'{flag}: {net.arch} has no trunk; leave the flag out')
    factors = {id(parameter): args.lr_trunk_mult for parameter in trunk}
    if args.layer_decay != 1:
        layers = _timm_layers(net)
        for parameter, layer in layers.values():
            factors[id(parameter)] *= args.layer_decay ** (1 + max(number for _, number in layers.values()) - layer)
    return factors


def _timm_layers(net: Any) -> dict[str, tuple[nn.Parameter, int]]:
    """{name: (parameter, number of its layer)} of a trunk of timm, the layer at the input being 0."""
    model: Any = getattr(getattr(net, 'backbone', None), 'model', None)
    if not hasattr(model, 'group_matcher'):
        raise ValueError(
            f'--layer_decay: the layers of the trunk {net.trunk_name} are not known; take a trunk of timm that tells'
            ' them, such as timm/vit_small_patch14_dinov2, or --lr_trunk_mult'
        )
    from timm.models import group_parameters

    numbers = group_parameters(model, model.group_matcher(coarse=False), reverse=True)
    return {name: (parameter, numbers[name]) for name, parameter in model.named_parameters()}
