"""SegmentMeIfYouCan (Chan et al., NeurIPS 2021, arXiv 2104.14812): anomalies and obstacles.

They show what a network does with things that it has never seen.
"""

from datasets.base import registered
from datasets.collection.layout import IMAGE_EXTENSIONS
from datasets.collection.paired import PairedTrainIds


@registered
class SMIYCAnomaly(PairedTrainIds):
    """RoadAnomaly21: the 10 validation images dataset_AnomalyTrack/images/validation*.jpg.

    Their labels (labels_masks: 0 normal, 1 anomaly, 255 void) are no classes, and a mean IoU with them would mean
    nothing, so the images are offered without labels.
    """

    name = 'SMIYC_anomaly'
    splits = ('val',)
    labelled_splits = ()
    directory_key = 'SEGMENTMEIFYOUCAN_DIR'
    remedy = (
        'unpack the track of https://segmentmeifyoucan.com/datasets below ROOT/SegmentMeIfYouCan '
        'and give --override_dataset_root ROOT'
    )
    image_folder = 'dataset_AnomalyTrack/images'
    image_endings = IMAGE_EXTENSIONS

    def _choose(self, images):
        return [image for image in images if image.name.startswith('validation')]

    def _without_labels(self):
        return (
            f'the labels of {self.name} tell anomalies from normal pixels, not classes, so there is no score; dump the'
            ' logits with --dump_logits'
        )


@registered
class SMIYCObstacle(SMIYCAnomaly):
    """RoadObstacle21: the 30 validation images dataset_ObstacleTrack/images/validation*.webp."""

    name = 'SMIYC_obstacle'
    image_folder = 'dataset_ObstacleTrack/images'
