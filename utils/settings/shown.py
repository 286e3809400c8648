"""Order of the help: the flags that its first screen shows, and those that stand in a group of their own.

Every other flag stands in the group that it is declared in.
"""

EVERYDAY = (
    'recipe',
    'dataset',
    'data_yaml',
    'override_dataset_root',
    'arch',
    'trunk',
    'pretrained',
    'n_scales',
    'crop_size',
    'bs_trn',
    'lr',
    'max_epoch',
    'rmi_loss',
    'loss',
    'precision',
    'result_dir',
    'resume',
    'eval',
    'run',
    'snapshot',
)

# Published flags that old recipes give, and that hardly any new run needs.
RARE_GROUP = 'rare (of published recipes)'
RARE = (
    'full_crop_training',
    'translate_aug_fix',
    'bblur',
    'crop_val',
    'segattn_bot_ch',
    'ocr_aspp',
    'aspp_bot_ch',
    'attnscale_bn_head',
    'mscale_dropout',
    'mscale_no3x3',
    'mscale_old_arch',
    'init_decoder',
    'batch_weighting',
    'strict_bdr_cls',
    'amsgrad',
    'start_epoch',
    'poly_step',
    'rlx_off_epoch',
    'rescale',
    'repoly',
    'test_mode',
    'fp16',
    'restore_optimizer',
    'default_scale',
)
