"""Settings declared once: what follows from a declaration, and the worked example of docs/contributing.md."""

import ast
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from small import ROOT

import config
import train
from engine.run import write_hparams
from utils.cli import flags
from utils.outputs.logits import DTYPES, FORMATS, STRIDES
from utils.settings import SETTINGS
from utils.settings.registry import Settings
from utils.settings.setting import NETWORK, NUMBERS, STEPS, TEST, TRAINING, VALUES, Setting, group, switch
from utils.settings.value_types import amount

ALL = (*SETTINGS.values(), *SETTINGS.keys_only)
OTHER = {'arch': 'basic.HRNet', 'quality': 'coarse'}  # values other than the default where the type does not tell one


def other_value(setting):
    value = setting.default
    if setting.name in OTHER:
        return OTHER[setting.name]
    if setting.is_switch:
        return not value
    if isinstance(value, tuple):
        return (*value, 7) if len(value) != 2 else (8, 9)
    if setting.type is str:
        return 'other'
    return 0.25 if value is None else value + 1 if isinstance(value, int) else value / 2 + 0.125


def args_of(settings, *argv):
    return flags.build_parser(settings=settings).parse_all(argv)


def test_adding_a_flag_is_one_declaration(tmp_path, capsys):
    """Everything that the programs know of a setting follows from the one place that declares it."""
    blur = Setting(
        'motion_blur',
        amount,
        0.0,
        'PIXELS',
        'length of a motion blur',
        cfg='DATASET.MOTION_BLUR',
        decides=(NUMBERS, VALUES),
        idle_without=('gblur',),
    )
    settings = Settings((*ALL, *group('augmentation', blur, read_by=TRAINING)))

    # the parser: value type, near names, the YAML file of --config; and the help, in its group
    args = args_of(settings, '--motion_blur', '3', '--gblur')
    assert (args.motion_blur, args_of(settings).motion_blur) == (3.0, 0.0)
    with pytest.raises(ValueError, match='-1 is out of range; give a number of at least 0'):
        args_of(settings, '--motion_blur', '-1')
    with pytest.raises(ValueError, match='did you mean --motion_blur'):
        args_of(settings, '--motion_blurr', '1')
    (tmp_path / 'recipe.yml').write_text('motion_blur: 5\n')
    assert args_of(settings, '--config', str(tmp_path / 'recipe.yml')).motion_blur == 5
    with pytest.raises(SystemExit):
        args_of(settings, '--help', 'all')
    shown = ' '.join(capsys.readouterr().out.split('augmentation:')[1].split('network:')[0].split())
    assert '--motion_blur PIXELS length of a motion blur (default: 0.0)' in shown

    # cfg: the default, and the value of the flag
    assert settings.cfg_tree()['DATASET']['MOTION_BLUR'] == 0.0
    assert settings.as_cfg(vars(args))['DATASET__MOTION_BLUR'] == 3.0

    # hparams.json, the resume comparison, the dump comparison, the notes
    write_hparams(tmp_path, args, SimpleNamespace(device=torch.device('cpu'), world=1))
    assert json.loads((tmp_path / 'hparams.json').read_text())['motion_blur'] == 3.0
    assert settings.changed_numbers(args, {'motion_blur': 1.0}) == ['--motion_blur 3.0 (was 1.0)']
    assert settings.changed_numbers(args, {}) == []  # the run is older than the flag
    assert settings.recorded_values(args)['motion_blur'] == 3.0
    assert settings.notes(args_of(settings, '--motion_blur', '3')) == ['--motion_blur has no effect without --gblur']
    assert settings.notes(args_of(settings, '--motion_blur', '3', '--eval', 'val')) == [
        '--motion_blur: no effect with --eval'
    ]


def test_a_setting_of_the_network_goes_into_checkpoints_and_comes_back():
    heads = Setting('heads', int, 1, 'N', 'attention heads', cfg='MODEL.HEADS')
    fine = switch(
        'fine', 'finer maps', cfg='MODEL.COARSE', to_cfg=lambda value: not value, from_cfg=lambda value: not value
    )
    settings = Settings((*ALL, *group('network', heads, fine, decides=(NETWORK,))))
    entry = settings.network_entry(args_of(settings, '--heads', '4', '--fine'))
    assert (entry['heads'], entry['fine']) == (4, True)
    tree = settings.as_tree(entry)
    assert (tree['MODEL']['HEADS'], tree['MODEL']['COARSE']) == (4, False)
    assert settings.from_tree(tree) == {name: value for name, value in entry.items() if settings[name].cfg}


def test_a_setting_of_the_steps_is_one_of_the_numbers_too():
    micro = Setting('micro_steps', int, 1, 'N', 'parts of a batch')
    settings = Settings((*ALL, *group('optimisation', micro, decides=(STEPS,))))
    args = args_of(settings, '--micro_steps', '2')
    changed = ['--micro_steps 2 (was 1)']
    assert (
        settings.changed(args, {'micro_steps': 1}, STEPS)
        == settings.changed_numbers(args, {'micro_steps': 1})
        == changed
    )
    assert settings.changed(args, {'micro_steps': 1}, VALUES) == []


def test_a_setting_that_decides_nothing_is_in_no_comparison():
    settings = Settings((*ALL, *group('output', Setting('colour', str, 'red', 'NAME', 'of the log'))))
    args = args_of(settings, '--colour', 'blue')
    assert settings.changed_numbers(args, {'colour': 'red'}) == []
    assert 'colour' not in settings.recorded_values(args) and 'colour' not in settings.network_entry(args)


@pytest.mark.parametrize('name', [name for name, setting in SETTINGS.items() if setting.cfg])
def test_a_default_that_is_changed_changes_the_program_and_python_together(name):
    other = other_value(SETTINGS[name])
    settings = Settings(replace(item, default=other) if item.name == name else item for item in ALL)
    *sections, key = SETTINGS[name].cfg.split('.')
    section = config.Config(settings.cfg_tree())
    for part in sections:
        section = section[part]
    args = args_of(settings)
    assert other != SETTINGS[name].default and getattr(args, name) == other
    assert section[key] == SETTINGS[name].to_cfg(other) != SETTINGS[name].to_cfg(SETTINGS[name].default)
    assert settings.as_cfg(vars(args))['__'.join((*sections, key))] == section[key]


def test_cfg_holds_what_is_declared():
    assert config.as_dict() == SETTINGS.cfg_tree()
    assert (config.cfg.MODEL.MSCALE_INNER_3x3, SETTINGS['mscale_no3x3'].default) == (True, False)


def test_two_settings_of_one_name_or_key_are_refused():
    with pytest.raises(AssertionError, match='the same name'):
        Settings((*ALL, SETTINGS['lr']))
    with pytest.raises(AssertionError, match='the same key'):
        Settings((*ALL, replace(SETTINGS['ocr_aspp'], name='ocr_pooling')))


def test_every_flag_has_a_group_a_help_and_a_default_or_metavar():
    for name, setting in SETTINGS.items():
        assert setting.help and setting.decides is not None and setting.read_by is not None, name
        assert setting.group or name in ('config', 'debug'), name
        assert setting.is_switch or setting.default not in (None, ()) or setting.metavar or setting.choices, name
        assert set(setting.decides) <= {NETWORK, STEPS, NUMBERS, VALUES, TEST}, name
    assert all(setting.help and setting.cfg for setting in SETTINGS.keys_only)


def test_conditions_name_settings_that_there_are():
    for setting in SETTINGS.values():
        for condition in (*setting.needs, *setting.idle_without, *setting.idle_beside):
            name, _, value = condition.partition('=')
            assert name in SETTINGS and (not value or value in SETTINGS[name].choices), (setting.name, condition)


def test_the_forms_of_stored_logits_are_those_that_the_flags_offer():
    assert SETTINGS['logits_format'].choices == tuple(FORMATS)
    assert SETTINGS['logits_dtype'].choices == DTYPES
    assert SETTINGS['logits_stride'].choices == STRIDES


def test_the_record_of_a_dump_is_as_it_was(tmp_path):
    """Dumps know by it whether they were made with the same settings, so that its keys and values are a format."""
    described = tmp_path / 'data.yaml'
    described.write_text('classes: 2\n')
    record = SETTINGS.recorded_values(train.parse_args([]))
    assert sorted(set(record) - set(SETTINGS.deciding(NETWORK))) == [
        'crop_val',
        'dataset',
        'default_scale',
        'do_flip',
        'eval_folder',
        'extra_scales',
        'multi_scale_inference',
        'pre_size',
        'precision',
    ]
    assert (record['extra_scales'], record['eval_folder'], record['n_scales']) == (None, None, None)
    argv = ['--eval', 'folder', '--eval_folder', str(tmp_path / 'a/..'), '--random_weights']
    argv += ['--data_yaml', str(described)]
    record = SETTINGS.recorded_values(train.parse_args([*argv, '--multi_scale_inference']))
    assert record['extra_scales'] == (0.5, 2.0) and record['eval_folder'] == str(tmp_path.resolve())
    assert record['data_yaml'] == '3ebea32f25d85491d6f0cf1f60f1fa99874ba779578e77e06624e33359527771'


def test_scales_belong_to_the_network_where_each_has_an_attention_map():
    scales = ['--n_scales', '0.5,1.0']
    assert 'n_scales' not in SETTINGS.network_entry(train.parse_args(scales))
    attention = train.parse_args([*scales, '--arch', 'attnscale.DeepV3R50'])
    assert SETTINGS.network_entry(attention)['n_scales'] == (0.5, 1.0)


def test_a_flag_that_needs_another_one_is_an_error_without_it():
    needy = {name: setting for name, setting in SETTINGS.items() if setting.needs}
    assert len(needy) > 10
    for name, setting in needy.items():
        args = SimpleNamespace(**{**SETTINGS.defaults(), name: other_value(setting)})
        with pytest.raises(ValueError, match=f'--{name} '):
            SETTINGS.check_needs(args)
        condition, _, value = setting.needs[0].partition('=')
        setattr(args, condition, value or other_value(SETTINGS[condition]))
        args.coarse_boost_classes, args.pre_size, args.snapshot, args.summary, args.eval = (1,), 1, 'F', True, 'val'
        SETTINGS.check_needs(args)


def test_settings_import_nothing_of_the_project():
    for file in (ROOT / 'utils/settings').glob('*.py'):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert not node.module.startswith(('utils', 'config')) or node.module.startswith('utils.settings'), file
