#!/usr/bin/env python
"""Tables of the flags of earlier programs and what each is here, from what the parser of train.py says of them.

    python scripts/earlier_flags.py     writes the tables of docs/from_hmsa.md and docs/from_framework.md

What stands above a table is written by hand and stays. Exit code 0; 2 for a mistake.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils.cli.flags import build_parser
from utils.cli.mistyped import instead
from utils.cli.parser import Parser
from utils.cli.program import run_program
from utils.files.atomic import write_text
from utils.settings import SETTINGS

DOCS = Path(__file__).resolve().parents[1] / 'docs'
START = '<!-- written by python scripts/earlier_flags.py -->\n'
# The published train.py: NVIDIA's, its port, and at the end what only the first has.
HMSA = """lr arch dataset dataset_inst num_workers cv class_uniform_pct class_uniform_tile coarse_boost_classes
custom_coarse_dropout_classes img_wt_loss rmi_loss batch_weighting jointwtborder strict_bdr_cls rlx_off_epoch rescale
repoly distributed fp16 optimizer amsgrad freeze_trunk hardnm trunk max_epoch max_cu_epoch start_epoch color_aug gblur
bblur brt_aug lr_schedule poly_exp poly_step bs_trn bs_val crop_size scale_min scale_max weight_decay momentum snapshot
resume restore_optimizer restore_net exp result_dir syncbn dump_augmentation_images test_mode wt_bound maxSkip
assets_path full_crop_training multi_scale_inference default_scale log_msinf_to_tb eval eval_folder three_scale
alt_two_scale do_flip extra_scales n_scales align_corners translate_aug_fix mscale_lo_scale pre_size rand_augment
init_decoder dump_topn dump_topn_all dump_assets dump_all_images dump_for_submission dump_logits dump_for_auto_labelling
custom_coarse_prob only_coarse mask_out_cityscapes ocr_aspp crop_val aspp_bot_ch trial mscale_cat_scale_flt mscale_init
grad_ckpt mscale_dropout mscale_no3x3 mscale_old_arch attnscale_bn_head override_dataset_root ocr_alpha val_freq
deterministic summary segattn_bot_ch no_metrics supervised_mscale_loss_wt ocr_aux_loss_rmi apex local_rank global_rank
amp_opt_level scf map_crop_val set_cityscapes_root""".split()
FRAMEWORK = """experiment name logging.name LOGDIR logging.logdir hyperparameters data_augmentation
augmentation@augmentation.train augmentation.cfg.crop_size AUGMENTATIONS.scale_limit lossfunction lossweight
loss.function loss.val_function loss.weight MODEL.PRETRAINED MODEL.pretrained_on model.pretrained model.pretrained_on
MODEL.MSCALE_INFERENCE model.mscale_inference MODEL.N_SCALES model.model.cfg.MODEL.N_SCALES model.model.cfg.N_SCALES
model.model.cfg.MODEL.MSCALE_INFERENCE TESTING.SCALES TESTING.FLIP TESTING.BINARY_FLIP TESTING.OVERRIDES
TESTING.TEST_AFTERWARDS tta.scales tta.hflip tta.vflip tta.resize tta.patchwise tta.patch_size tta.patch_overlap metric
METRIC.METRICS METRIC.NAME METRIC.train_metric metric.metrics MODEL.INIT_WEIGHTS MODEL.ALIGN_CORNERS
MODEL.INPUT_CHANNELS
MODEL.OCR.MID_CHANNELS MODEL.OCR.KEY_CHANNELS OCR.DROPOUT OCR.SCALE MODEL.ASPP_BOT_CH MODEL.MSCALE_LO_SCALE
MODEL.SEGATTN_BOT_CH MODEL.MSCALE_INNER_3x3 MODEL.MSCALE_DROPOUT MODEL.EXTRA.STAGE4 model.aux_loss model.backbone
model.n_channels model.bilinear model.version model.disable_transforms dataset model optimizer lr_scheduler lr momentum
weight_decay epochs batch_size val_batch_size test_batch_size num_workers seed compile pl_trainer.precision
pl_trainer.accumulate_grad_batches pl_trainer.fast_dev_run pl_trainer.limit_train_batches pl_trainer.benchmark
pl_trainer.enable_checkpointing pl_trainer.deterministic gpus devices checkpointing.enable checkpointing.weights_only
num_example_predictions logging.num_example_predictions logging.progressbar finetune_from continue_from ckpt_dir valdir
environment paths.Cityscapes paths.x.IMAGES training_scheme trainer img_loader label_handler callbacks logger
DATASET.CLASS_WEIGHTS dataset.class_weights coarse_portion multirun num_training_samples""".split()
# Flags of the same name that do here what they did not do there.
CHANGED = {
    'arch': 'its default there did not exist',
    'custom_coarse_dropout_classes': 'as there, where the name said that classes are dropped',
    'default_scale': 'failed there beside metrics',
    'dump_assets': 'failed there, or changed --cv',
    'dump_for_submission': 'beside folders of images failed there',
    'dump_topn': 'failed there',
    'dump_topn_all': 'failed there',
    'eval': 'trn failed there, test was not there',
    'exp': 'did nothing there',
    'freeze_trunk': 'did nothing there',
    'grad_ckpt': 'did nothing there',
    'init_decoder': 'failed there',
    'jointwtborder': 'failed there',
    'max_cu_epoch': 'did not end the coarse draws there',
    'log_msinf_to_tb': 'failed there',
    'mscale_old_arch': 'its attention could not learn there',
    'ocr_aspp': 'did nothing there',
    'only_coarse': 'failed there without coarse classes',
    'restore_optimizer': 'failed there without --snapshot',
    'rlx_off_epoch': 'failed there with the relaxation',
    'strict_bdr_cls': 'failed there with the relaxation',
    'summary': 'needed a program that nobody had',
    'translate_aug_fix': 'placed images wrongly there',
    'trunk': 'did nothing there',
}


def meaning(name: str, parser: Parser) -> str:
    """What a flag or key of an earlier program is here. Raises ValueError where nothing is known of it."""
    if name in SETTINGS:
        text = f'`--{name}`: {SETTINGS[name].help}'
        return f'{text}; {CHANGED[name]}' if name in CHANGED else text
    told = instead(f'--{name}', parser)
    if not told:
        raise ValueError(f'{name}: nothing says what it is here; add it to utils/settings/retired.py')
    return f'no flag: {told}'


def table(names: list[str], dashes: str) -> str:
    """The rows of all names, in their order."""
    parser = build_parser()
    rows = [f'| `{dashes}{name}` | {meaning(name, parser).replace("|", chr(92) + "|")} |' for name in names]
    return '\n'.join(['| there | here |', '|---|---|', *rows]) + '\n'


def page(path: Path, names: list[str], dashes: str) -> str:
    """The text of a page with its table as it has to be. Raises ValueError for a page without the mark."""
    text = path.read_text(encoding='utf-8')
    if text.count(START) != 1:
        raise ValueError(f'{path}: expected the line {START.strip()!r} once, above the table; put it there')
    return text.partition(START)[0] + START + '\n' + table(names, dashes)


PAGES = {'from_hmsa.md': (HMSA, '--'), 'from_framework.md': (FRAMEWORK, '')}


def write(argv):
    Parser(prog='scripts/earlier_flags.py', description='Write tables about earlier programs.').parse_all(argv)
    for name, (names, dashes) in PAGES.items():
        write_text(DOCS / name, page(DOCS / name, names, dashes))


def main(argv=None) -> int:
    """Run the program; returns its exit code."""
    return run_program('scripts/earlier_flags.py', write, argv)


if __name__ == '__main__':
    sys.exit(main())
