"""What a run records of its command, as in hparams.json."""

COMMAND = {
    'line': 'python train.py --gblur',
    'started': '2026-01-02T03:04:05',
    'git': {'commit': 'a' * 40},
    'versions': {'torch': '2.11.0'},
    'gpu': None,
    'cpu': 'A CPU',
    'platform': 'x',
    'cpus': 2,
    'threads': 1,
    'world': 1,
}
