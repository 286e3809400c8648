"""Mistyped words of a command line: what is wrong with a flag or value that the parser does not know, and what may have
been meant.
"""

import re
from fnmatch import fnmatchcase

from utils.cli.wording import did_you_mean

NO_VALUE = '{flag} is a switch and takes no value, found {value}; leave the value out'
DASHES = '-\N{EN DASH}\N{EM DASH}\N{MINUS SIGN}'  # word processors make long ones of two short ones

# What other programs call a flag -> what it is called here, of which a program may have some.
ELSEWHERE = {
    'batch_size': ('bs_trn', 'bs_val', 'batch'),
    'train_batch_size': ('bs_trn',),
    'val_batch_size': ('bs_val',),
    'epochs': ('max_epoch',),
    'num_epochs': ('max_epoch',),
    'learning_rate': ('lr',),
    'wd': ('weight_decay',),
    'workers': ('num_workers',),
    'num_workers': ('workers',),
    'model': ('arch',),
    'backbone': ('trunk',),
    'checkpoint': ('snapshot', 'weights'),
    'ckpt': ('snapshot', 'weights'),
    'weights': ('snapshot',),
    'pretrained_weights': ('snapshot', 'weights'),
    'data_dir': ('override_dataset_root',),
    'data_root': ('override_dataset_root',),
    'data_path': ('override_dataset_root',),
    'output': ('result_dir', 'out'),
    'output_dir': ('result_dir', 'out'),
    'save_dir': ('result_dir', 'out'),
    'work_dir': ('result_dir', 'out'),
    'logdir': ('result_dir',),
    'img_size': ('crop_size', 'max_side'),
    'image_size': ('crop_size', 'max_side'),
    'amp': ('precision',),
    **dict.fromkeys(('gpu', 'gpus', 'gpu_id', 'gpu_ids', 'device', 'devices'), ('device',)),
}
GPUS = 'which GPUs are used is said before the command, by CUDA_VISIBLE_DEVICES=0, or for several by torchrun'


def unknown_flag(word: str, parser, what: str = 'unknown flag') -> str:
    """The sentence about a flag that `parser` does not know, as it was typed. what: what it is called."""
    name, _, value = word.partition('=')
    told = instead(name, parser)
    if told:
        return f'{what} {name}; {told}'
    bare = name.lstrip(DASHES + '+')
    meant = f'--{bare.lower().replace("-", "_")}'
    action = parser.named(meant)
    if action:
        return f'{what} {name}; did you mean {meant}{f" {value}" if value and action.nargs != 0 else ""}?'
    for known in sorted(parser.spellings(), key=len, reverse=True):  # a number that sticks to its flag
        rest = bare.removeprefix(known.lstrip('-'))
        if rest != bare and _is_number(rest):
            return f'{what} {name}; did you mean {known} {rest}?'
    return f'{what} {name}; {did_you_mean(name, parser.spellings(), "see --help all for all of them")}'


def instead(word: str, parser) -> str:
    """What to use instead of a flag of other programs, or of one that is no more; '' where nothing is known of it."""
    name = word.lstrip('-+')
    others = ELSEWHERE.get(name.lower().replace('-', '_'), ())
    known = [f'--{other}' for other in others if parser.named(f'--{other}')]
    if known:
        return f'it is called {" or ".join(known)} here'
    if others == ('device',) and parser.named('--precision'):
        return GPUS
    return next((f'it {told}' for pattern, told in parser.retired.items() if fnmatchcase(name, pattern)), '')


def explicit_value(message: str) -> str:
    """An error of argparse about the value of a flag, in the words of this program."""
    switch = re.fullmatch(r"argument (\S+): ignored explicit argument '(.*)'", message)
    if switch:
        return NO_VALUE.format(flag=switch[1].rpartition('/')[2], value=switch[2])
    return message


def unknown_word(word: str, argv: list[str], parser) -> str:
    """The sentence about the first word of `argv` that the parser could not use."""
    if re.match(rf'[{DASHES}]+[^\W\d]|[+\w][\w.@]*=', word):
        return unknown_flag(word, parser, 'unknown flag' if word[0] in DASHES else 'unknown word')
    at = argv.index(word)
    while at >= 0 and (not argv[at].startswith('-') or _is_number(argv[at])):
        at -= 1
    action = parser.named(argv[at].partition('=')[0]) if at >= 0 else None
    if action is None:
        return f'{word!r} belongs to no flag; {did_you_mean(f"--{word}", parser.flags(), "see --help", cutoff=0.7)}'
    flag, values = argv[at].partition('=')[0], []
    for value in [*filter(None, [argv[at].partition('=')[2]]), *argv[at + 1 :]]:
        if value.startswith('-') and not _is_number(value):
            break
        values.append(value)
    found = ' '.join(values)
    if action.nargs == 0:
        return NO_VALUE.format(flag=flag, value=found)
    together = ','.join(value.strip(',') for value in values)
    remedy = f'write {flag} {together}' if _fits(action, together) else f'give one, as in {flag} {values[0]}'
    for positional in parser.positionals()[:1]:
        remedy += f'; {positional.metavar} stands before the flags'
    return f'{flag} takes one value, found {found}; {remedy}'


def _is_number(word: str) -> bool:
    return bool(re.match(r'-?\.?\d', word))


def _fits(action, text: str) -> bool:
    """Whether `text` is a value of the flag that is a list."""
    try:
        return isinstance(action.type(text), tuple)
    except Exception:  # of argparse or any value type
        return False
