"""Entry points of torch.hub: networks by name, and the network of a checkpoint.

    net = torch.hub.load('path/of/this/repository', 'hrnet_mscale', source='local', n_scales=[0.5, 1, 2])
    net = torch.hub.load('path/of/this/repository', 'load', 'best.pth', source='local')
    labels = net.predict(photo).labels

Each of the names takes num_classes (default 19) and the other arguments of network.get_net: trunk, n_scales,
align_corners, pretrained, options. `get_net` takes any name of --arch.
"""

from functools import partial

from network import get_net, load

__all__ = ['deeplabv3plus', 'get_net', 'hrnet', 'hrnet_mscale', 'hrnet_ocr', 'load', 'unet']

dependencies = ['PIL', 'cv2', 'easydict', 'numpy', 'torch', 'tqdm', 'yaml']


def _entry(arch: str, what: str):
    build = partial(get_net, arch)

    def entry(num_classes: int = 19, **options):
        return build(num_classes, **options).eval()

    entry.__doc__ = f'{what} (--arch {arch}), randomly initialised, in eval mode; arguments: those of network.get_net.'
    return entry


hrnet_mscale = _entry('ocrnet.HRNet_Mscale', 'Hierarchical multi-scale attention on HRNet-OCR')
hrnet_ocr = _entry('ocrnet.HRNet', 'HRNet with object-contextual representations')
hrnet = _entry('basic.HRNet', 'HRNet under a plain segmentation head')
deeplabv3plus = _entry('deepv3.DeepV3Plus', 'DeepLabV3+ on a ResNet-50')
unet = _entry('UNet', 'U-Net')
