"""Recipes (--recipe): files of scripts/recipes, made into plain flags that fit the images and the machine.

What was planned is in hparams.json and in checkpoints as if it had been given, and a run that is resumed keeps it.
"""

import os
from argparse import Namespace
from statistics import median

import torch

import config
import datasets
import network
from datasets.loading.threads import usable_cores
from engine.planning.memory import memory_budget, shown
from engine.planning.plan import Facts, Plan, Recipe, Trunk, make_plan
from engine.planning.recipe_file import read_recipe
from engine.planning.time_plan import DECIDED
from network import cost
from network.loading import build
from utils.cli import flags
from utils.cli.presets import of_preset
from utils.cli.wording import counted
from utils.settings import SETTINGS
from utils.settings.setting import NETWORK

PLANNED = (  # beside the flags that a recipe fixes
    *('trunk', 'pretrained', 'precision', 'pre_size', 'crop_size', 'bs_trn', 'accumulate', 'lr', 'class_uniform_tile'),
    *('max_epoch', 'val_freq', 'crop_eval', 'num_workers'),
)
SAMPLE = 500  # images whose size is looked at
MEASURED_AT = (128, 256)  # pixels, of the network of other flags


def apply(args, state, log) -> Namespace:
    """The flags with those of --recipe that were not given; a run that is resumed keeps what it has decided before, for
    --recipe and --minutes.

    state: of the checkpoint that the training goes on or starts from, whose network stays. `log` takes the plan, a line
    at a time. Raises ValueError or FileNotFoundError for a recipe that is not there or does not hold what it should.
    """
    if args.eval or not (args.recipe or args.minutes):
        return args
    before = (state or {}).get('args') or {} if args.resume and not args.snapshot else {}
    recipe = read_recipe(args.recipe) if args.recipe else None
    names = DECIDED if args.minutes and before.get('minutes') else ()
    if recipe and before.get('recipe') == args.recipe:
        names = (*names, *recipe.flags, *PLANNED)
    if names:
        kept = {name: before[name] for name in names if name in before and name not in args.given}
        log(f'{"--recipe" if args.recipe else "--minutes"}: as it was decided when the run began')
        return flags.with_values(args, **kept)
    if recipe is None:
        return args
    held = {name: getattr(args, name) for name in (*args.given, *held_by_others(args)) if name in SETTINGS}
    if state is not None:
        held |= {name: getattr(args, name) for name in (*SETTINGS.deciding(NETWORK), 'pretrained')}
    with config.scope(**SETTINGS.as_cfg(vars(args))):
        sets = [datasets.get_dataset(args.dataset, split) for split in ('train', 'val')]
        facts = gather_facts(*sets)
    plan = make_plan(recipe, facts, held, choose_trunk(args, recipe, held, sets[0].num_classes))
    planned = flags.with_values(args, **plan.values())
    flags.check(planned)
    for line in plan_lines(args, state, recipe, facts, plan):
        log(line)
    return planned


def held_by_others(args) -> list[str]:
    """Flags that a given one decides, so that a recipe leaves them alone."""
    pairs = {
        'loss': ('rmi_loss',),
        'fp16': ('precision',),
        'test_mode': ('max_epoch',),
        'minutes': ('max_epoch', 'val_freq'),
        'augment': tuple(of_preset(args)),
    }
    return [name for flag, names in pairs.items() if getattr(args, flag) for name in names]


def gather_facts(train, val) -> Facts:
    """What there is: sizes of images, memory, device."""
    step = max(1, len(train) // SAMPLE)
    train.items, every = train.items[::step], train.items
    sizes = list(train.sizes())
    train.items = every
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    world = int(os.environ.get('WORLD_SIZE', 1))
    memory, memory_from = memory_budget(device, alone=world == 1)
    if device == 'cpu':
        memory //= int(os.environ.get('LOCAL_WORLD_SIZE', world))
    return Facts(
        images=len(train),
        validation_images=len(val),
        size=tuple(int(median(sides)) for sides in zip(*sizes)),
        largest=max(sizes, key=lambda size: size[0] * size[1]),
        device=device,
        cores=usable_cores(),
        memory=memory,
        memory_from=memory_from,
        world=world,
        half=fast_half(device),
    )


def fast_half(device: str) -> str | None:
    """bf16 or fp16 where the device computes faster in it than in fp32."""
    if device == 'cuda':
        return 'bf16' if torch.cuda.get_device_capability(0)[0] >= 8 else 'fp16'
    with_bf16 = [getattr(torch.cpu, f'_is_{name}_supported', lambda: False) for name in ('avx512_bf16', 'amx_tile')]
    return 'bf16' if any(check() for check in with_bf16) else None


def choose_trunk(args, recipe: Recipe, held: dict, num_classes: int) -> Trunk:
    """The first trunk of a recipe that is there, with weights to start from; of another network, which is held, what
    network.cost says of it."""
    arch = recipe.flags.get('arch')
    fitting = [trunk for trunk in recipe.trunks if held.get('trunk') in (None, trunk.trunk)]
    if held.get('arch', arch) != arch or not fitting:
        return measure({**vars(args), **recipe.flags, **held}, num_classes, recipe.trunks[-1].lr)
    if 'pretrained' in held:
        return fitting[0 if held['pretrained'] != 'none' else -1]._replace(pretrained=held['pretrained'])
    return next((trunk for trunk in fitting if _is_there(trunk, arch or args.arch, args.assets_path)), fitting[-1])


def measure(values: dict, num_classes: int, lr: float) -> Trunk:
    """A Trunk of any network, by network.cost. values: its flags."""
    with torch.random.fork_rng(devices=()), torch.device('meta'):
        net = build(values, num_classes)
    images, pixels = torch.empty(2, net.in_channels, *MEASURED_AT, device='meta'), 2 * MEASURED_AT[0] * MEASURED_AT[1]
    step, whole = cost.Cost(), cost.Cost()
    cost.count_memory(net.train(), images, step)
    cost.count_memory(net.eval(), images, whole)
    parameters = sum(parameter.numel() for parameter in net.parameters())
    name = str(net.trunk_name or values['arch'])
    return Trunk(name, values['pretrained'], parameters, step.peak / pixels, whole.peak / pixels, lr)


def _is_there(trunk: Trunk, arch: str, assets) -> bool:
    try:
        network.check_names(arch, trunk.trunk)
        network.check_pretrained(trunk.pretrained, arch, trunk.trunk, assets)
    except (ValueError, OSError):
        return False
    return True


def plan_lines(args, state, recipe: Recipe, facts: Facts, plan: Plan) -> list[str]:
    """The plan as a table: flag, value, reason. args, state: as of apply, which hold what was not to be planned."""
    images = f'{counted(facts.images, "image")} of {facts.size[1]}x{facts.size[0]} pixels (median)'
    where = f'{facts.device}, {counted(facts.cores, "core")}, {shown(facts.memory)} to be used'
    rows = []
    for choice in plan.choices:
        words = ' '.join(SETTINGS[choice.flag].words(choice.value))
        if choice.flag in plan.held:
            held = ' '.join(SETTINGS[choice.flag].words(choice.given))
            origin = (
                'given' if choice.flag in args.given else 'by another flag' if state is None else 'of the checkpoint'
            )
            why = 'as given' if choice.given == choice.value else f'{origin}; the plan has {words}'
            is_off = choice.given is None or choice.given is False
            rows.append((f'no {SETTINGS[choice.flag].flag}' if is_off else held, why))
        else:
            rows.append((words, choice.why))
    width = max(len(words) for words, _ in rows)
    data = f'{images} to train on, {facts.validation_images:,} to validate'
    return [
        f'--recipe {args.recipe}: {recipe.about}. {data}; {where}:',
        *(f'  {words:{width}}  {why}' for words, why in rows),
    ]
