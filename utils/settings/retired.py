"""Retired flags: names of the published train.py and of the MIC-DKFZ framework that are no flags here, and what to use.

A name stands before a sentence that goes on from 'it'. Names of the framework are keys of its configuration, as in
`batch_size=6`; a pattern such as 'paths.*' stands for all that fit.
"""

NOTHING = 'did nothing in the published program; leave it out'
SCALES = 'is --n_scales 0.5,1.0,2.0, which networks with attention to scale read in evaluations'
AUGMENTATIONS = (
    'is --augment PRESET, with the names of the framework, or --albumentations FILE; sizes are --crop_size H,W,'
    ' --resize H,W, --scale_min and --scale_max; see --help augmentation'
)
SETTLED = 'is not a setting here; leave it out'
GROUPS = 'is a file of flags here: --config FILE, or --recipe'
TILES = 'is --crop_eval H,W with --crop_overlap, a sliding window'
PRETRAINED = 'is --pretrained, which takes imagenet, paddle, mapillary, torchvision, timm, package or a file'
LOGGING = 'is written always, into --result_dir'
TEST = 'is --run DIR --eval val, with the settings and best weights of that run'
METRICS = 'is computed always: IoU, Dice and more, of every class, over all pixels, images and batches'
BEST = 'is --best_metric, as in --best_metric dice or iou/road'
PROCESSES = 'is said by torchrun --nproc-per-node=N train.py ...; leave it out'

PUBLISHED = {
    **dict.fromkeys(
        ('dataset_inst', 'hardnm', 'maxSkip', 'trial', 'mscale_cat_scale_flt', 'mscale_init', 'scf'), NOTHING
    ),
    'brt_aug': f'{NOTHING}, or give --brightness A, the strength of its jitter',
    'three_scale': f'{NOTHING}, or give --n_scales 0.5,1.0,2.0',
    'alt_two_scale': f'{NOTHING}, or give --n_scales 0.5,1.0',
    'restore_net': 'was set by --resume and --snapshot themselves; give one of these',
    'apex': 'is --distributed, which torchrun implies',
    'amp_opt_level': 'is --precision fp16 or --precision bf16',
    'local_rank': PROCESSES,
    'global_rank': PROCESSES,
    'map_crop_val': 'is --crop_val, with --pre_size',
    'set_cityscapes_root': 'is --override_dataset_root DIR, the folder above that of Cityscapes',
}

FRAMEWORK = {
    'model.backbone': 'is --trunk, or the end of --arch FCN_resnet50',
    'model.bilinear': 'is --arch UNet_bilinear',
    'model.aux_loss': 'is --ocr_alpha, the weight of the auxiliary output',
    '*[Mm][Oo][Dd][Ee][Ll].PRETRAINED': PRETRAINED,
    '*model.pretrained': PRETRAINED,
    '*.pretrained_on': PRETRAINED,
    '*MODEL.INIT_WEIGHTS': 'is --init_decoder',
    '*MODEL.ALIGN_CORNERS': 'is --align_corners',
    '*MODEL.INPUT_CHANNELS': 'is --in_channels',
    'model.n_channels': 'is --in_channels',
    '*OCR.MID_CHANNELS': 'is --ocr_mid_channels',
    '*OCR.KEY_CHANNELS': 'is --ocr_key_channels',
    '*OCR.DROPOUT': 'did nothing in the framework; leave it out',
    '*OCR.SCALE': 'did nothing in the framework; leave it out',
    '*MODEL.ASPP_BOT_CH': 'is --aspp_bot_ch',
    '*MSCALE_INFERENCE': SCALES,
    '*mscale_inference': SCALES,
    '*N_SCALES': SCALES,
    '*MSCALE_LO_SCALE': 'is --mscale_lo_scale',
    '*SEGATTN_BOT_CH': 'is --segattn_bot_ch',
    '*MSCALE_INNER_3x3': 'is turned off by --mscale_no3x3',
    '*MSCALE_DROPOUT': 'is --mscale_dropout',
    '*MODEL.EXTRA.*': 'is --trunk hrnetv2, hrnetv2_w32, hrnetv2_w18 and so on',
    'model.version': 'belongs to Mask R-CNN, and instances are not segmented here',
    'model.disable_transforms': 'belongs to Mask R-CNN, and instances are not segmented here',
    'test_batch_size': 'is --bs_val',
    'lr_scheduler': 'is --lr_schedule poly; the framework has --lr_step iter --poly_exp 0.9',
    'lossfunction': 'is --loss, a loss for each output: --loss wrmi,wce,wce,wce',
    'loss.function': 'is --loss, a loss for each output: --loss wrmi,wce,wce,wce',
    'loss.val_function': 'is --val_loss',
    'lossweight': 'is --loss_weights, a weight for each output: --loss_weights 1,0.4,0.05,0.05',
    'loss.weight': 'is --loss_weights, a weight for each output: --loss_weights 1,0.4,0.05,0.05',
    '*CLASS_WEIGHTS': 'is --class_weights',
    'dataset.class_weights': 'is --class_weights',
    '*coarse_portion': 'is --coarse_portion, with --quality fine_coarse',
    'training_scheme': 'is --cv N for folds and --class_uniform_pct for draws by class',
    'data_augmentation': AUGMENTATIONS,
    'augmentation@*': AUGMENTATIONS,
    'augmentation': AUGMENTATIONS,
    'augmentation.*': AUGMENTATIONS,
    'AUGMENTATIONS.*': AUGMENTATIONS,
    'experiment': GROUPS,
    'hyperparameters': GROUPS,
    'environment': 'is --override_dataset_root DIR and --assets_path DIR',
    'paths.*': 'is --override_dataset_root DIR, which holds one folder per dataset',
    'name': 'is --exp, or the last part of --result_dir',
    'logging.name': 'is --exp, or the last part of --result_dir',
    'logging.logdir': 'is --result_dir, with --exp',
    '*num_example_predictions': f'{LOGGING}; --dump_all_images writes pictures of all',
    'logging.*': LOGGING,
    'logger': LOGGING,
    'callbacks': SETTLED,
    'METRIC.NAME': BEST,
    'metric.name': BEST,
    'METRIC.train_metric': 'is --train_metrics',
    'metric.train_metric': 'is --train_metrics',
    'metric': METRICS,
    'METRIC.*': METRICS,
    'metric.*': METRICS,
    'trainer': SETTLED,
    'img_loader': SETTLED,
    'label_handler': SETTLED,
    'checkpointing.*': 'is always on: the last and the best checkpoint of a run are kept',
    'TESTING.TEST_AFTERWARDS': 'is --test_after',
    'TESTING.SCALES': 'is --multi_scale_inference with --default_scale and --extra_scales',
    'tta.scales': 'is --multi_scale_inference with --default_scale and --extra_scales',
    'TESTING.FLIP': 'is --do_flip, from left to right; --flip_kind 4way adds the two other mirror images',
    'TESTING.BINARY_FLIP': 'is --do_flip',
    'tta.hflip': 'is --do_flip',
    'tta.vflip': 'is --do_flip --flip_kind v, or 4way with both',
    'tta.resize': 'is --pre_size PIXELS of the long edge',
    'tta.patch*': TILES,
    'TESTING.OVERRIDES': 'is the flags of the evaluation; give these',
    'valdir': TEST,
    'ckpt_dir': TEST,
    'continue_from': 'is --resume DIR or FILE, or --resume auto',
    'multirun': 'is a loop of the shell, or runx with the files scripts/*.yml',
    'num_gpus': PROCESSES,
    'num_training_samples': 'is --lr_find_steps, of --lr_find',
    'pl_trainer.precision': 'is --precision',
    'pl_trainer.accumulate_grad_batches': 'is --accumulate',
    'pl_trainer.fast_dev_run': 'is --limit_batches 1 --max_epoch 1, or --test_mode',
    'pl_trainer.limit_*': 'is --limit_batches N,M: N training and M validation batches',
    'pl_trainer.deterministic': 'is --deterministic',
    'pl_trainer.gpus': PROCESSES,
    'pl_trainer.devices': PROCESSES,
    'pl_trainer.enable_checkpointing': 'is always on: the last and the best checkpoint of a run are kept',
    'pl_trainer.*': SETTLED,
}

OF_TRAINING = PUBLISHED | FRAMEWORK
OF_PREDICTION = {
    'i': 'is SOURCE, without a flag',
    'o': 'is --out DIR',
    'c': 'is the file itself: --weights best_checkpoint_ep40.pth, or last_checkpoint_ep40.pth',
    'ckpt_dir': 'is --weights FILE, several of them for the folds of an ensemble',
    'no_tta': 'is the default; --n_scales, --flip and --tile add to it',
    'save_probabilities': 'is --write probabilities',
    'save_visualization': 'is --write overlay, which is the default',
}
OF_BROWSING = {
    'augmentation': 'is --augmented with the flags of augmentation',
    'segmentation': SETTLED,
    'axis': SETTLED,
}
OF_VERIFICATION = {
    'name': 'is --dataset',
    'split': 'is --splits',
    'img_only': SETTLED,
    'mask_only': SETTLED,
    'supress_output': SETTLED,
}
