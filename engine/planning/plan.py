"""Plan of a training: the flags that follow from a recipe, the images, and the machine, each with its reason.

As nnU-Net (Isensee et al., Nature Methods 2021) does: what a recipe fixes is one list, what the data decide are rules,
and the memory bounds both. Nothing here looks at files or devices: `Facts` hold what there is.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from utils.cli.wording import counted

STRIDE = 32  # crops are multiples of the coarsest stride
SMALLEST = 64  # pixels of a side of a crop
OPTIMIZER_BYTES = 16  # of a parameter, its gradient and two moments in fp32
HALF = 0.6  # of the memory of fp32 that 16 bits take, losses and fusion staying in fp32
LOADERS, VALIDATIONS = 8, 20
PRETRAINED = (
    'no weights to start from were found: from random weights a network needs many more images',
    'a trunk that knows photographs needs fewer images',
)


class Facts(NamedTuple):
    """Of data and machine. size: median (h, w) of the training images, largest: of any image, in pixels; memory: bytes
    for a training, and memory_from, where they are; half: 'bf16' or 'fp16' where the device computes faster in it."""

    images: int
    validation_images: int
    size: tuple[int, int]
    largest: tuple[int, int]
    device: str
    cores: int
    memory: int
    memory_from: str
    world: int = 1
    half: str | None = None


class Trunk(NamedTuple):
    """A trunk in its network. Bytes are those of a pixel, in fp32, of a training step and of an evaluation
    (network.cost); lr: at the batch of the recipe."""

    trunk: str
    pretrained: str
    parameters: float
    train_bytes: float
    eval_bytes: float
    lr: float


class Recipe(NamedTuple):
    """A file of scripts/recipes. flags: that it fixes; trunks: the first that is there is taken; crop_pixels: area of a
    crop; long_edge: of an image, at most; batch: images of a step; images: how many are seen in all; epochs: the
    fewest and the most."""

    name: str
    about: str
    flags: dict
    trunks: list[Trunk]
    crop_pixels: int
    long_edge: int
    batch: int
    images: int
    epochs: tuple[int, int]


class Choice(NamedTuple):
    """A flag, its value, and why; given: the value that the command line has instead."""

    flag: str
    value: Any
    why: str
    given: Any = None


@dataclass
class Plan:
    """The choices, in the order in which they follow from each other. held: flags that are not to be chosen."""

    held: Mapping[str, Any]
    choices: list[Choice] = field(default_factory=list)

    def choose(self, flag: str, value, why: str):
        """Choose a value; returns the one that counts."""
        self.choices.append(Choice(flag, value, why, self.held.get(flag)))
        return self.value(flag)

    def value(self, flag: str, default=None):
        """The value of a flag that counts so far."""
        chosen = next((choice.value for choice in self.choices if choice.flag == flag), default)
        return self.held.get(flag, chosen)

    def values(self) -> dict:
        """The flags that are set."""
        return {choice.flag: choice.value for choice in self.choices if choice.flag not in self.held}


def make_plan(recipe: Recipe, facts: Facts, held: Mapping[str, Any], trunk: Trunk) -> Plan:
    """The Plan of `recipe` for `facts`.

    Args:
        held: {flag: value} of the command line, or of the checkpoint that the training starts from.
        trunk: the one of the recipe that is there, or what was measured of the one that is held.
    """
    plan = Plan(held)
    for flag, value in recipe.flags.items():
        plan.choose(flag, value, 'of the recipe')
    first = recipe.trunks[0].trunk
    plan.choose('trunk', trunk.trunk, 'of the recipe' if trunk.trunk == first else f'{first} is not there')
    plan.choose('pretrained', trunk.pretrained, PRETRAINED[trunk.pretrained != 'none'])
    name = facts.device.upper().replace('CUDA', 'GPU')
    why = f'this {name} computes in it' if facts.half else f'this {name} gains nothing from 16 bits'
    precision = plan.choose('precision', facts.half or 'fp32', why)
    step_bytes = trunk.train_bytes * (1.0 if precision == 'fp32' else HALF)
    fitting = partial(_fitting, facts.memory - OPTIMIZER_BYTES * trunk.parameters, step_bytes)
    size, largest = _resized(plan, recipe, facts)
    crop = _crop(plan, recipe, facts, size, fitting)
    step = _batch(plan, recipe, facts, fitting(crop))
    _rate(plan, recipe, trunk, step)
    tile = max(1, round(min(crop) * max(facts.size) / max(size)))
    plan.choose('class_uniform_tile', tile, 'the shorter side of a crop, in pixels of the original images')
    epochs = _epochs(plan, recipe, facts)
    plan.choose('val_freq', max(1, epochs // VALIDATIONS), f'about {VALIDATIONS} validations')
    if trunk.eval_bytes * largest[0] * largest[1] > facts.memory:
        plan.choose('crop_eval', crop, f'whole images of {_sides(largest)} do not fit {facts.memory_from}')
    if facts.device == 'cpu':
        plan.choose('num_workers', 1, 'the network itself takes all cores')
    else:
        workers = min(LOADERS, max(1, facts.cores // facts.world - 1))
        plan.choose(
            'num_workers', workers, f'{counted(facts.cores, "core")} for {counted(facts.world, "process", "processes")}'
        )
    return plan


def _fitting(free: float, step_bytes: float, size) -> int:
    """How many crops of `size` fit into `free` bytes."""
    return int(free // (step_bytes * size[0] * size[1]))


def _resized(plan: Plan, recipe: Recipe, facts: Facts) -> tuple:
    """(median size, largest size) of the images as the network sees them."""
    edge = plan.value('pre_size')
    if max(facts.size) > recipe.long_edge:
        why = f'images are {_sides(facts.size)}: a crop would show too little of them'
        edge = plan.choose('pre_size', recipe.long_edge, why)
    sizes = []
    for size in (facts.size, facts.largest):
        shrink = edge / max(size) if edge else 1
        sizes.append(tuple(round(side * shrink) for side in size))
    return tuple(sizes)


def _crop(plan: Plan, recipe: Recipe, facts: Facts, size, fitting: Callable) -> tuple:
    crop = fitted(size, recipe.crop_pixels)
    why = f'images are {_sides(size)}'
    if size[0] * size[1] > recipe.crop_pixels:
        why += f', and the recipe takes crops of {recipe.crop_pixels:,} pixels'
    pixels = recipe.crop_pixels
    while not fitting(crop) and pixels > SMALLEST**2:
        pixels //= 2
        crop, why = fitted(size, pixels), f'more does not fit {facts.memory_from}'
    return plan.choose('crop_size', crop, why)


def fitted(size, pixels: float) -> tuple[int, int]:
    """A crop of at most `pixels` in the form of an image of `size` (h, w), its sides multiples of STRIDE."""
    shrink = min(1.0, math.sqrt(pixels / (size[0] * size[1])))
    height, width = (max(SMALLEST, int(side * shrink) // STRIDE * STRIDE) for side in size)
    return height, width


def _batch(plan: Plan, recipe: Recipe, facts: Facts, fits: int) -> int:
    """Choose batch and accumulation for crops of which `fits` fit into the memory; returns the images of a step."""
    wanted = max(1, min(recipe.batch, facts.images) // facts.world)
    why = f'a step has {counted(wanted * facts.world, "image")}'
    if fits < wanted:
        why += f', and {max(1, fits)} at a time fit {facts.memory_from}'
    parts = -(-wanted // min(wanted, max(1, fits)))
    batch = plan.choose('bs_trn', -(-wanted // parts), why)
    if batch < wanted:
        plan.choose('accumulate', -(-wanted // batch), f'batches of {batch} to steps of {wanted}')
    return batch * plan.value('accumulate', 1) * facts.world


def _rate(plan: Plan, recipe: Recipe, trunk: Trunk, step: int):
    power, rule = (1.0, 'the ratio') if plan.value('optimizer', 'sgd') == 'sgd' else (0.5, 'the root of the ratio')
    rate = float(f'{trunk.lr * (step / recipe.batch) ** power:.2g}')
    why = f'{trunk.lr:g} for steps of {recipe.batch} images'
    plan.choose('lr', rate, why if step == recipe.batch else f'{why}, times {rule} to {step}')


def _epochs(plan: Plan, recipe: Recipe, facts: Facts) -> int:
    low, high = recipe.epochs
    epochs = round(recipe.images / facts.images)
    why = f'{recipe.images:,} images in all, by {facts.images:,}'
    if not low <= epochs <= high:
        why += f', but {low} to {high} epochs'
    return plan.choose('max_epoch', min(high, max(low, epochs)), why)


def _sides(size) -> str:
    return f'{size[1]}x{size[0]} pixels'
