"""Whether the files of a BRAVO evaluation or submission are all there."""
from aggregation import bravo_names as names
from aggregation.trees import Tree, listed


def check_complete(truth: Tree, submission: Tree, samples: Tree | None) -> list[str]:
    """The keys of all images with ground truth, sorted. Raises ValueError counting what is missing of them, with names."""
    keys = names.keys_of(truth.names, 'truth')
    if not keys:
        raise ValueError(f'{truth.path}: holds no ground truth of the benchmark (names such as bravo_ACDC/fog/..._gt_labelTrainIds.png), '
                         f'only {listed(truth.names)}; give the folder or tar that holds the folders bravo_*')
    _need(truth, keys, ['mask'], 'invalid masks')
    kinds = ['encoded'] if names.keys_of(submission.names, 'encoded') else ['prediction', 'confidence']
    _need(submission, keys, kinds, 'files of the submission')
    if submission.duplicates:
        raise ValueError(f'{submission.path}: holds {len(submission.duplicates)} names twice ({listed(submission.duplicates)}); write the archive again')
    if samples is not None:
        _need(samples, keys, ['samples'], 'samples')
    return sorted(keys)


def _need(tree: Tree, keys, kinds, what: str):
    missing = [name for key in keys for kind in kinds if (name := names.name_of(key, kind)) not in tree]
    if missing:
        raise ValueError(f'{tree.path}: {len(missing)} {what} of {len(keys)} images are missing ({listed(sorted(missing))}); add them')
