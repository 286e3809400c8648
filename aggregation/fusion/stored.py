"""Ensembles of stored logits as a whole: every image fused, or a calibration fitted on the labelled ones."""

from aggregation.fusion.fused_files import Outputs
from aggregation.fusion.fusing import FuseOptions, check_method, finish
from aggregation.fusion.members import Members, one_thread, pool_of, read_ahead
from aggregation.fusion.truths import Truths
from aggregation.statistics import calibration
from aggregation.statistics.reliability import Reliability
from utils.cli.progress import progress
from utils.outputs.writers import WriterPool


def fuse_stored(
    members: Members, options: FuseOptions, outputs: Outputs, readers: int = 2, log=None, faults: list | None = None
) -> tuple[int, int]:
    """Write the results of every image that has none yet; returns (images written, images kept).

    Args:
        readers: threads that read files; no result depends on it.
        log: takes lines of progress.
        faults: takes the message about each image whose files cannot be used, which is then left out; None: it is
            raised, as it is when there is no other image.
    """
    todo = [stem for stem in members.stems if not outputs.done(stem)]
    stream, pool = read_ahead(members, todo, readers), None
    with one_thread(), WriterPool() as writers:
        for stem in progress(todo, total=len(todo), desc='fuse', log=log):
            try:
                pool = pool_of(members, stem, stream, options.needs, used=pool)
                fused = finish(pool, options, len(members))
            except (ValueError, OSError) as error:
                if faults is None or len(faults) + 1 == len(members.stems):
                    raise
                faults.append(str(error))
                pool = None
            else:
                writers.submit(outputs.write, stem, fused)
    failed = len(faults or ())
    kept = len(members.stems) - len(todo)
    done = [stem for stem in members.stems if outputs.done(stem)]
    outputs.finish(done, {'members': members.describe(), 'class_names': members.class_names}, faults or ())
    return len(todo) - failed, kept


def calibrate_stored(
    members: Members,
    options: FuseOptions,
    truths: Truths,
    method: str,
    readers: int = 2,
    log=None,
    faults: list | None = None,
):
    """(calibrator, about), fitted on every image with a label.

    about says on what it was fitted, and the calibration errors before and after.

    Args:
        truths: the labels.
        method: a key of calibration.METHODS.
        readers, log, faults: as of fuse_stored.

    Raises:
        ValueError: confidences tell nothing, or the calibration is worse than none.
    """
    check_method(method, options.score)
    stems = truths.shared(members)
    sample, before, after = (kind(len(truths.classes)) for kind in (calibration.PixelSample, Reliability, Reliability))

    def each_image(stems, options, enter, desc, faults=None):
        """Call enter(fused, truth) for the images; returns the stems of those that could be used."""
        stream, pool, used = read_ahead(members, stems, readers), None, []
        for stem in progress(stems, total=len(stems), desc=desc, log=log):
            try:
                pool = pool_of(members, stem, stream, options.needs, used=pool)
                fused = finish(pool, options, len(members), probabilities=True)
                truth = truths.read(stem, fused.prediction.shape, len(fused.probabilities))
            except (ValueError, OSError) as error:
                if faults is None or len(faults) + 1 == len(stems):
                    raise
                faults.append(str(error))
                pool = None
            else:
                enter(fused, truth)
                used.append(stem)
        return used

    def gather(fused, truth):
        before.update(fused.probabilities, fused.prediction, fused.confidence, truth)
        sample.add(fused.probabilities, truth)

    with one_thread():
        stems = each_image(stems, options, gather, 'calibrate', faults)
        fit = {
            'temperature': lambda: calibration.fit_temperature(sample),
            'vector': lambda: calibration.fit_vector(sample),
            'isotonic': lambda: calibration.fit_isotonic(before.counts, len(truths.classes)),
        }
        calibrator = fit[method]()
        each_image(
            stems,
            FuseOptions(options.fusion, options.score, calibrator=calibrator),
            lambda fused, truth: after.update(fused.probabilities, fused.prediction, fused.confidence, truth),
            'check',
        )
    right = before.counts.positives.sum() / before.counts.totals.sum()
    calibration.check_gain(method, before.scores(), after.scores(), right, len(truths.classes))
    return calibrator, {
        'images': len(stems),
        'pixels': before.pixels,
        'fusion': options.fusion,
        'score': options.score,
        'members': members.describe(),
        'before': before.scores(),
        'after': after.scores(),
        **({'left_out_images': list(faults)} if faults else {}),
    }
