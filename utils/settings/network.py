"""Settings of the network. Those that decide its layers stand in its checkpoints, so that a file alone is enough."""

from operator import not_

from utils.settings.setting import NETWORK, NUMBERS, TEST, TRAINING, VALUES, Setting, group, switch
from utils.settings.value_types import count, crop_size, number, positive, scales


def shape_the_head(args):
    """Scales are part of a network that has one attention map for each of them, and of no other."""
    return bool(args.n_scales) and args.arch.startswith('attnscale.')


SETTINGS = group(
    'network',
    Setting('arch', str, 'ocrnet.HRNet_Mscale', 'NAME', 'network; without the flag what the checkpoint holds'),
    Setting('trunk', str, None, 'NAME', "backbone (default: the network's own)"),
    Setting(
        'n_scales',
        scales,
        None,
        'LIST',
        'scales of hierarchical inference, 1.0 among them, as in 0.5,1.0,2.0',
        decides=(NETWORK, VALUES, TEST),
        network_if=shape_the_head,
    ),
    Setting(
        'mscale_lo_scale',
        number(float, low=0.01, high=1),
        0.5,
        'S',
        'low scale of two-scale training',
        cfg='MODEL.MSCALE_LO_SCALE',
    ),
    Setting(
        'in_channels',
        number(int, low=1, high=1024),
        3,
        'N',
        'channels of the images: 3 RGB, 1 grey, or the bands that files have; channels in the file of --data_yaml is'
        ' the same',
        cfg='MODEL.IN_CHANNELS',
    ),
    switch('align_corners', 'align_corners of every interpolation (weights of the HRNet-OCR project need it)'),
    Setting(
        'segattn_bot_ch',
        positive,
        256,
        'C',
        'bottleneck channels of segmentation and attention heads',
        cfg='MODEL.SEGATTN_BOT_CH',
    ),
    Setting('ocr_mid_channels', positive, 512, 'C', 'channels of the OCR features', cfg='MODEL.OCR.MID_CHANNELS'),
    Setting('ocr_key_channels', positive, 256, 'C', 'channels of the OCR attention', cfg='MODEL.OCR.KEY_CHANNELS'),
    switch('ocr_aspp', 'an ASPP inside the OCR block', cfg='MODEL.OCR_ASPP'),
    Setting(
        'aspp_bot_ch', positive, 256, 'C', 'channels of each of the five branches of an ASPP', cfg='MODEL.ASPP_BOT_CH'
    ),
    Setting(
        'decoder_ch',
        positive,
        256,
        'C',
        'channels of the decoders FPN, UPerNet, SegFormer and DPT',
        cfg='MODEL.DECODER_CH',
    ),
    switch(
        'plain_linear',
        'Linear networks: the 1x1 convolution alone, without the batch norm of a linear probe',
        cfg='MODEL.PLAIN_LINEAR',
    ),
    Setting(
        'vit_depths',
        positive,
        4,
        'N',
        'blocks of a ViT whose tokens heads read, evenly spaced, the last one among them',
        cfg='MODEL.VIT.DEPTHS',
    ),
    Setting(
        'vit_patch',
        count,
        0,
        'PIXELS',
        "side of a ViT's patches, to which loaded weights are resampled; 0: the model's own",
        cfg='MODEL.VIT.PATCH',
    ),
    switch(
        'attnscale_bn_head', 'attnscale networks: the deeper attention head, with norms', cfg='MODEL.ATTNSCALE_BN_HEAD'
    ),
    switch(
        'mscale_dropout', 'dropout 0.5 before the last convolution of the attention head', cfg='MODEL.MSCALE_DROPOUT'
    ),
    switch(
        'mscale_no3x3',
        'attention head without its inner 3x3 convolution',
        cfg='MODEL.MSCALE_INNER_3x3',
        to_cfg=not_,
        from_cfg=not_,
    ),
    switch('mscale_old_arch', 'key names of the oldest attention head, to load old files', cfg='MODEL.MSCALE_OLD_ARCH'),
    Setting(
        'eomt_queries',
        positive,
        100,
        'N',
        'eomt networks: queries, at least as many as classes',
        cfg='MODEL.EOMT.QUERIES',
    ),
    Setting('eomt_blocks', positive, 4, 'N', 'eomt networks: last blocks that queries join', cfg='MODEL.EOMT.BLOCKS'),
    Setting('eomt_patch', positive, 16, 'PIXELS', 'eomt networks: side of a patch', cfg='MODEL.EOMT.PATCH'),
    Setting(
        'eomt_size',
        positive,
        1024,
        'PIXELS',
        'eomt networks: side of the square images that stored position embeddings are for; for others they are'
        ' resampled',
        cfg='MODEL.EOMT.SIZE',
    ),
    Setting(
        'pretrained',
        str,
        'none',
        'SOURCE|FILE',
        'weights to start from: none, a file, imagenet, paddle, mapillary, torchvision or timm below'
        ' <assets_path>/seg_weights, or package, those inside an installed Python package',
        decides=(),
    ),
    switch(
        'init_decoder',
        'kaiming-initialise the decoder instead of in the way of torch',
        cfg='MODEL.INIT_DECODER',
        decides=(NUMBERS,),
        idle_beside=('snapshot',),
    ),
    Setting(
        'drop_path',
        number(float, low=0, below=1),
        0.0,
        'P',
        'rate of stochastic depth at the last block of a timm trunk, from 0 at the first',
        cfg='MODEL.DROP_PATH',
        decides=(NUMBERS,),
        read_by=TRAINING,
        idle_beside=('freeze_trunk',),
    ),
    switch(
        'freeze_trunk',
        'train the heads only: trunk weights and statistics stay as they are',
        decides=(NUMBERS,),
        read_by=TRAINING,
    ),
    switch('summary', 'print parameters, operations and memory of the network, part by part, and exit', decides=()),
    Setting(
        'summary_size',
        crop_size,
        None,
        'S|H,W',
        'with --summary: size of the image (default: --crop_size, with --eval 1024,2048)',
        decides=(),
        needs=('summary',),
    ),
    decides=(NETWORK,),
)
