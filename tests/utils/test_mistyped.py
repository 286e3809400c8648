"""Mistyped flags and values: the sentence says what may have been meant."""

import re

import pytest

import predict
import train
from scripts.earlier_flags import FRAMEWORK, HMSA
from utils.cli.mistyped import ELSEWHERE, GPUS
from utils.settings import SETTINGS
from utils.settings.retired import OF_BROWSING, OF_PREDICTION, OF_TRAINING, OF_VERIFICATION


def error(argv, program=train):
    with pytest.raises(ValueError) as raised:
        program.build_parser().parse_all(argv) if program is predict else program.parse_args(argv)
    return str(raised.value)


@pytest.mark.parametrize(
    'words, sentence',
    [
        ('--lr0.01', 'unknown flag --lr0.01; did you mean --lr 0.01?'),
        ('--lr.01', 'unknown flag --lr.01; did you mean --lr .01?'),
        ('--rlx_off_epoch-1', 'unknown flag --rlx_off_epoch-1; did you mean --rlx_off_epoch -1?'),
        ('--lr_step1', 'unknown flag --lr_step1; did you mean --lr_step 1?'),  # and not --lr
        ('--crop_size512,512', 'unknown flag --crop_size512,512; did you mean --crop_size 512,512?'),
        ('-wb3', 'unknown flag -wb3; did you mean -wb 3?'),
        ('-lr', 'unknown flag -lr; did you mean --lr?'),
        ('-lr 0.01', 'unknown flag -lr; did you mean --lr?'),
        ('-lr=0.01', 'unknown flag -lr; did you mean --lr 0.01?'),
        ('—lr 0.01', 'unknown flag —lr; did you mean --lr?'),
        ('--Crop-Size 5', 'unknown flag --Crop-Size; did you mean --crop_size?'),
        ('lr=0.01', 'unknown word lr; did you mean --lr 0.01?'),
        ('compile=True', 'unknown word compile; did you mean --compile?'),
        ('--crop_size 512 512', '--crop_size takes one value, found 512 512; write --crop_size 512,512'),
        ('--n_scales 0.5 1.0', '--n_scales takes one value, found 0.5 1.0; write --n_scales 0.5,1.0'),
        ('--n_scales=0.5 1.0 2.0', '--n_scales takes one value, found 0.5 1.0 2.0; write --n_scales 0.5,1.0,2.0'),
        ('--ignore_ids -1 -2', '--ignore_ids takes one value, found -1 -2; write --ignore_ids -1,-2'),
        ('--lr 0.01 0.02 --fp16', '--lr takes one value, found 0.01 0.02; give one, as in --lr 0.01'),
        ('--rmi_loss true', '--rmi_loss is a switch and takes no value, found true; leave the value out'),
        ('--rmi_loss=true', '--rmi_loss is a switch and takes no value, found true; leave the value out'),
        ('eval', "'eval' belongs to no flag; did you mean --eval or --ema or --bs_val?"),
        ('512', "'512' belongs to no flag; see --help"),
        ('--', "'--' belongs to no flag; see --help"),
        ('--lr 0,01', "argument --lr: '0,01' is not a number, such as 0.5"),
    ],
)
def test_a_mistyped_number_or_flag_gets_the_near_flag(words, sentence):
    assert error(words.split()) == sentence


def test_a_list_with_spaces_is_told_to_have_none():
    assert 'is not a comma list of whole numbers, without spaces, such as 4,4' in error(['--crop_size', '512,', '512'])


def test_an_empty_word_belongs_to_no_flag():
    assert error(['']) == "'' belongs to no flag; see --help"


def test_a_program_with_sources_says_where_they_stand():
    found = error('a.jpg --tile 512 512'.split(), predict)
    assert found == '--tile takes one value, found 512 512; write --tile 512,512; SOURCE stands before the flags'


@pytest.mark.parametrize('names, flags', [(HMSA, 91), (FRAMEWORK, 10)])
def test_every_published_name_is_a_flag_or_says_what_to_use(names, flags):
    gone = [name for name in names if name not in SETTINGS]
    assert len(names) - len(gone) == flags and len(set(names)) == len(names)
    for name in gone:
        told = error([f'--{name}=1'])
        words = told.removeprefix(f'unknown flag --{name}; ')
        elsewhere = words == GPUS or (name.lower() in ELSEWHERE and words.startswith('it is called --'))
        assert elsewhere or words.removeprefix('it ') in OF_TRAINING.values(), told
        assert error([f'+{name}=1']) == f'unknown word +{name}; {words}'


def test_sentences_about_retired_flags_name_flags_that_there_are():
    named = {name for told in OF_TRAINING.values() for name in re.findall(r'--(\w+)', told)}
    assert len(named) > 30 and named <= {*SETTINGS, 'help', 'nproc'}
    assert not {name.lower() for name in OF_TRAINING} & {*SETTINGS, *ELSEWHERE}


@pytest.mark.parametrize('table', [OF_TRAINING, OF_PREDICTION, OF_BROWSING, OF_VERIFICATION])
def test_sentences_about_retired_flags_go_on_from_it(table):
    assert [told for told in table.values() if not re.match('(is|was|did nothing|belongs|failed) ', told)] == []


@pytest.mark.parametrize(
    'words, sentence',
    [
        ('-i photos', 'unknown flag -i; it is SOURCE, without a flag'),
        ('--save_probabilities', 'unknown flag --save_probabilities; it is --write probabilities'),
    ],
)
def test_retired_flags_of_predictions_say_what_to_use(words, sentence):
    assert error(words.split(), predict) == sentence


def test_a_retired_name_in_a_yaml_file_says_what_to_use(tmp_path):
    path = tmp_path / 'old.yml'
    path.write_text('trial: baseline\n')
    assert '--trial; it did nothing in the published program; leave it out' in error(['--config', str(path)])
