"""Flags that the network of a run has no part for: said, not ignored."""

from network import options_read
from utils.settings import SETTINGS

SECTION = 'MODEL.'
LAST_ALONE = '.FPN'  # ViTDet's simple pyramid: the trunk gives several depths, of which it takes the last
# what the settings of the loss weigh -> (whether an output is of that kind, its name)
WEIGHED = {
    'ocr_alpha': (lambda output: output == 'aux', 'auxiliary output'),
    'ocr_aux_loss_rmi': (lambda output: output == 'aux', 'auxiliary output'),
    'supervised_mscale_loss_wt': (
        lambda output: output not in ('pred', 'aux') and not output.startswith('pred_ds'),
        'single-scale outputs',
    ),
}


def unread_by_network(args) -> list[str]:
    """A sentence for every given flag that is about a part which the network of the flags does not have."""
    options = [name for name in args.given if name in SETTINGS and SETTINGS[name].cfg.startswith(SECTION)]
    weights = [name for name in args.given if name in WEIGHED and not args.eval]
    lines = []
    if args.in_channels != 3 and args.color_aug and not args.eval:
        lines.append(
            f'--color_aug {args.color_aug:g}: of images of {args.in_channels} channels it changes brightness and'
            ' contrast alone'
        )
    idle = [f'--{name}' for name in ('saturation', 'hue') if getattr(args, name) and args.in_channels != 3]
    if idle and not args.eval:
        lines.append(f'{", ".join(idle)}: no effect on images of {args.in_channels} channels')
    if not options and not weights:
        return lines
    read, outputs = options_read(args.arch, args.trunk, args.n_scales, SETTINGS.as_tree(vars(args)).get('MODEL'))
    lines += [
        f'--{name} has no effect: {args.arch} has nothing that it sets'
        for name in options
        if SETTINGS[name].cfg.removeprefix(SECTION) not in read
    ]
    if 'vit_depths' in options and args.arch.endswith(LAST_ALONE):
        lines.append(f'--vit_depths has no effect: {args.arch} reads the last block of a ViT alone')
    for name in weights:
        is_weighed, kind = WEIGHED[name]
        if not any(map(is_weighed, outputs)):
            lines.append(f'--{name} has no effect: {args.arch} has no {kind}')
    return lines
