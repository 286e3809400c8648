"""Names of tensors in weight files: formats, and rules between their names.

Every name is brought to one common form, that of the published HMSA checkpoints (`backbone.`, `ocr.`, `scale_attn.`),
and from there to the form that is wanted. A rule is a pair of dotted module names, (in the file, common); it renames
that module and everything below it, is anchored at the start of the name and ends at a dot, so `ocr` never touches
`conv3x3_ocr`. Every rule can be read backwards.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from utils.restore import WRAPPERS, clean_key

Rules = tuple[tuple[str, str], ...]

# Modules of HRNetV2; projects without a module around their trunk have them at the top.
HRNET = (
    'conv1',
    'bn1',
    'conv2',
    'bn2',
    'layer1',
    'transition1',
    'transition2',
    'transition3',
    'stage2',
    'stage3',
    'stage4',
)
_FLAT_TRUNK = tuple((name, f'backbone.{name}') for name in HRNET)

FLAT: Rules = (  # HRNet-Semantic-Segmentation
    *_FLAT_TRUNK,
    ('conv3x3_ocr.0', 'ocr.conv3x3_ocr.0'),
    ('conv3x3_ocr.1', 'ocr.conv3x3_ocr.1.0'),
    ('ocr_distri_head', 'ocr.ocr_distri_head'),
    ('cls_head', 'ocr.cls_head'),
    ('aux_head.0', 'ocr.aux_head.0'),
    ('aux_head.1', 'ocr.aux_head.1.0'),
    ('aux_head.3', 'ocr.aux_head.2'),
    ('last_layer', 'last_layer'),  # the plain head of HRNet without OCR
)


def _project(there: str, here: str, layers: int) -> Rules:
    """Rules for `layers` pairs of 1x1 convolution and norm in the attention of mmsegmentation."""
    head, block = 'decode_head.1.object_context_block', 'ocr.ocr_distri_head.object_context_block'
    rules = []
    for layer in range(layers):
        position = f'.{layer}' if layers > 1 else ''
        rules += [
            (f'{head}.{there}{position}.conv', f'{block}.{here}.{2 * layer}'),
            (f'{head}.{there}{position}.bn', f'{block}.{here}.{2 * layer + 1}.0'),
        ]
    return tuple(rules)


MMSEG: Rules = (  # mmsegmentation: FCNHead and OCRHead on HRNet
    ('backbone', 'backbone'),
    ('decode_head.0.convs.0.conv', 'ocr.aux_head.0'),
    ('decode_head.0.convs.0.bn', 'ocr.aux_head.1.0'),
    ('decode_head.0.conv_seg', 'ocr.aux_head.2'),
    ('decode_head.1.bottleneck.conv', 'ocr.conv3x3_ocr.0'),
    ('decode_head.1.bottleneck.bn', 'ocr.conv3x3_ocr.1.0'),
    *_project('query_project', 'f_pixel', 2),
    *_project('key_project', 'f_object', 2),
    *_project('value_project', 'f_down', 1),
    *_project('out_project', 'f_up', 1),
    ('decode_head.1.object_context_block.bottleneck.conv', 'ocr.ocr_distri_head.conv_bn_dropout.0'),
    ('decode_head.1.object_context_block.bottleneck.bn', 'ocr.ocr_distri_head.conv_bn_dropout.1.0'),
    ('decode_head.1.conv_seg', 'ocr.cls_head'),
)
# mmsegmentation has no bias before a norm: (bias, the norm's running mean that can take its place).
MMSEG_BIASES = (
    ('ocr.conv3x3_ocr.0.bias', 'ocr.conv3x3_ocr.1.0.running_mean'),
    ('ocr.aux_head.0.bias', 'ocr.aux_head.1.0.running_mean'),
)


@dataclass(frozen=True)
class Format:
    """A kind of weight file. wrapper: what it puts before every name; rules: its names, None where they are the
    network's own."""

    name: str
    what: str
    wrapper: str = ''
    rules: Rules | None = None


FORMATS = {
    form.name: form
    for form in (
        Format('project', 'a checkpoint of this project'),
        Format('hmsa', "a checkpoint of NVIDIA's hierarchical multi-scale attention", 'module.', ()),
        Format('upstream', 'a network of HRNet-Semantic-Segmentation', 'model.', FLAT),
        Format('framework', 'a Lightning checkpoint of the segmentation framework', 'model.'),
        Format('mmseg', 'an HRNet-OCR of mmsegmentation', '', MMSEG),
        Format('eomt', 'an EoMT of its authors'),
        Format('transformers', 'an EoMT of Hugging Face transformers'),
        Format('timm', 'an HRNet classifier, as of timm or HRNet-Image-Classification', '', _FLAT_TRUNK),
    )
}


def inverse(rules: Rules) -> Rules:
    return tuple((here, there) for there, here in rules)


def rename(key: str, rules: Rules) -> str | None:
    """The name by the rule that fits it, itself if there are no rules, None if none of them fits."""
    if not rules:
        return key
    for old, new in rules:
        if key == old or key.startswith(old + '.'):
            return new + key[len(old) :]
    return None


def rules_of(keys: Iterable[str]) -> Rules:
    """The rules for these names, which wrappers may stand before."""
    bare = {clean_key(key) for key in keys}
    if any(key.startswith('decode_head.') for key in bare):
        return MMSEG
    return FLAT if _is_flat_hrnet(bare) else ()


def common_names(keys: Iterable[str], rules: Rules | None = None) -> dict[str, str]:
    """Common name -> name in the file, of every name that has a common one. rules: those of the file (default: found
    by the names)."""
    keys = list(keys)
    rules = rules_of(keys) if rules is None else rules
    named = {rename(clean_key(key), rules): key for key in keys}
    return {name: key for name, key in named.items() if name is not None}


def detect(keys: Iterable[str]) -> tuple[Format | None, str]:
    """(format, a sentence that says why) of a state dict with these names; (None, what it looks like) for one of no
    known format."""
    keys = list(keys)
    bare = {clean_key(key) for key in keys}
    wrapper = next((name for name in WRAPPERS if keys and all(key.startswith(name) for key in keys if '.' in key)), '')
    if any(key.startswith('decode_head.') for key in bare):
        return FORMATS['mmseg'], 'names below decode_head are those of mmsegmentation'
    if 'best_metric_score' in keys or any(key.startswith('model._orig_mod.') for key in keys):
        return (
            FORMATS['framework'],
            (
                f'{"best_metric_score" if "best_metric_score" in keys else "model._orig_mod."} is written by the'
                ' framework alone'
            ),
        )
    if _is_flat_hrnet(bare):
        heads = [head for head in ('conv3x3_ocr', 'last_layer') if any(key.startswith(head + '.') for key in bare)]
        if heads:
            return (
                FORMATS['upstream'],
                f'{heads[0]} beside an HRNet without a prefix of its own is what HRNet-Semantic-Segmentation writes',
            )
        return FORMATS['timm'], 'an HRNet trunk without a segmentation head'
    if wrapper == 'module.':
        return FORMATS['hmsa'], 'every name starts with module.'
    if wrapper == 'model.':
        return FORMATS['framework'], 'every name starts with model.'
    if any(key.startswith(('backbone.', 'trunk.')) for key in bare):
        return FORMATS['project'], 'the trunk is below backbone, without a wrapper'
    return None, looks_like(bare) or 'its names are of no known format'


def _is_flat_hrnet(bare: set[str]) -> bool:
    return any(key.startswith('transition1.') for key in bare)


# What a file is, by modules that it holds; the first that fits. For messages about files that do not fit.
_MARKS = (
    (('decode_head',), 'an mmsegmentation network'),
    (('scale_attn', 'ocr'), 'a multi-scale network with an OCR head'),
    (('ocr',), 'a network with an OCR head'),
    (('conv3x3_ocr', 'transition1'), 'an HRNet-OCR of HRNet-Semantic-Segmentation'),
    (('last_layer', 'transition1'), 'an HRNet of HRNet-Semantic-Segmentation'),
    (('transition1',), 'an HRNet'),
    (('mod1', 'mod7'), 'a Wide ResNet-38'),
    (('block20',), 'an aligned Xception-71'),
    (('layer0', 'last_linear'), 'an SE-ResNeXt'),
    (('aux_classifier', 'classifier'), 'a segmentation network of torchvision'),
    (('layer1', 'layer4', 'fc'), 'a ResNet classifier'),
    (('patch_embed', 'blocks'), 'a vision transformer'),
    (('stages', 'stem'), 'a ConvNeXt'),
    (('conv_stem', 'blocks'), 'an EfficientNet of timm'),
    (('inc', 'outc'), 'a U-Net'),
)


def looks_like(keys: Iterable[str]) -> str:
    """What a file with these names seems to hold, as 'it looks like ...', or ''."""
    tops = {clean_key(key).removeprefix('backbone.').partition('.')[0] for key in keys}
    return next((f'it looks like {what}' for marks, what in _MARKS if tops.issuperset(marks)), '')
