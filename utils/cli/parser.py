"""Parser of command lines: argparse without surprises.

No abbreviations, a YAML file of defaults under the command line, and mistakes raised as a ValueError of one sentence.
"""

import argparse
import re

from utils.cli.wording import did_you_mean
from utils.cli.yaml_file import read_yaml

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


class _Help(argparse.HelpFormatter):
    """Appends the default to every help text that has one."""

    def _get_help_string(self, action):
        if action.nargs == 0 or action.default in (None, (), argparse.SUPPRESS):
            return action.help
        default = ','.join(map(str, action.default)) if isinstance(action.default, tuple) else action.default
        return f'{action.help} (default: {default})'


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that knows no abbreviations and raises ValueError instead of exiting."""

    def __init__(self, **kwargs):
        super().__init__(allow_abbrev=False, formatter_class=_Help, **kwargs)

    def error(self, message):
        found = re.match(r'argument (?:\S+/)?(--\w+): (?=expected |.* names nothing$)', message)
        if found:
            action = self._option_string_actions[found[1]]
            message += f'; it is {self._describe(action)}'
        raise ValueError(message)

    def _describe(self, action):
        """What a flag takes: '--splits LIST: which splits (default: val)'."""
        metavar = action.metavar or '{' + ','.join(action.choices or ()) + '}'
        text = self._get_formatter()._expand_help(action) if action.help else ''
        return f'{action.option_strings[-1]} {metavar}: {text}'

    def parse_all(self, argv):
        """Parse argv; the YAML file of --config comes first, so that flags on the command line win."""
        args, _ = self._config_parser().parse_known_args(argv)
        if args.config:
            argv = self._yaml_as_flags(args.config) + list(argv)
        args, unknown = self.parse_known_args(argv)
        if unknown:
            raise ValueError(self._describe_unknown(unknown[0].split('=')[0], 'unknown flag'))
        given = {item.split('=')[0] for item in argv}
        args.given = sorted(action.dest for flag, action in self._option_string_actions.items() if flag in given)
        return args

    @staticmethod
    def _config_parser():
        parser = Parser(add_help=False)
        parser.add_argument('--config')
        return parser

    def _describe_unknown(self, flag, what):
        return f'{what} {flag}; {self._remedy(flag.lstrip("-").replace("-", "_"))}'

    def _remedy(self, name):
        flags = self._option_string_actions
        known = [f'--{other}' for other in ELSEWHERE.get(name.lower(), ()) if f'--{other}' in flags]
        if known:
            return f'it is called {" or ".join(known)} here'
        if ELSEWHERE.get(name.lower()) == ('device',) and '--precision' in flags:
            return GPUS
        return did_you_mean(f'--{name}', flags, 'see --help for all of them')

    def _yaml_as_flags(self, path):
        values = read_yaml(path, '--config', 'flag: value lines')
        argv = []
        for key, value in values.items():
            action = self._option_string_actions.get(f'--{key}')
            if action is None:
                raise ValueError(f'--config {path}: {self._describe_unknown(f"--{key}", "unknown key for flag")}')
            if key == 'config':
                raise ValueError(f'--config {path}: names another file of flags, which is not read; put its lines here')
            if action.nargs == 0:
                if not isinstance(value, bool):
                    raise ValueError(f'--config {path}: {key} is a switch and takes true or false, found {value!r}')
                argv += [f'--{key}'] if value else []
            elif value is not None:
                items = value if isinstance(value, list) else [value]
                argv += [f'--{key}={",".join(str(item) for item in items)}']
        return argv
