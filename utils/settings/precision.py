"""Settings of arithmetic, speed, seeds and processes."""

from utils.settings.setting import NUMBERS, TRAINING, VALUES, Setting, choice, group, switch
from utils.settings.value_types import count, positive

ENGINES = ('eager', 'compile', 'onnx', 'openvino')  # that run a network which only predicts, see network/engines.py

SETTINGS = group(
    'precision and speed',
    choice(
        'precision',
        ('fp32', 'fp16', 'bf16'),
        'fp32',
        'arithmetic of the network; losses and fusion stay in fp32',
        decides=(NUMBERS, VALUES),
    ),
    switch('fp16', 'the old name of --precision fp16; on a CPU bf16 is used', decides=()),
    switch('compile', 'torch.compile the network: slower start, faster steps'),
    switch(
        'grad_ckpt',
        'compute the stages of the trunk again in the backward pass instead of keeping them: less memory, slower steps,'
        ' the same numbers',
        decides=(),
        read_by=TRAINING,
    ),
    Setting('seed', count, 0, 'N', 'of weights, epoch lists and augmentation'),
    switch('deterministic', 'only deterministic GPU kernels'),
    switch('distributed', 'one process per GPU; implied under torchrun', decides=()),
    # not too short: while one process builds an index of a large dataset the others wait
    Setting(
        'timeout',
        positive,
        30,
        'MIN',
        'minutes until a process that hears nothing from the others, perhaps because their machine is down, ends',
        decides=(),
    ),
    switch('syncbn', 'batch statistics over all processes'),
    decides=(NUMBERS,),
)
