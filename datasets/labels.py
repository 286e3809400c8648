"""From the ids in a label file to trainIds, by one table, with unknown ids found on the way.

The table sends every id the dataset does not know to a value that no trainId has. Looking for that value costs a
tenth of the table look-up; an id that is wrongly treated as ignored would cost a training run.
"""

import cv2
import numpy as np


def lookup_table(id_map: dict, default: int) -> np.ndarray:
    """uint8 (256,): id_map as a table, `default` for the ids it does not hold."""
    table = np.full(256, default, np.uint8)
    for raw, mapped in id_map.items():
        table[raw] = mapped
    return table


IDENTITY = lookup_table({value: value for value in range(256)}, 0)


class LabelMapper:
    """Maps label files of one dataset to trainIds 0..num_classes - 1 and ignore_label.

    id_map: raw id -> trainId or ignore_label, every id the dataset documents. ignore_ids: further raw ids that are
    sent to ignore_label, known or not (--ignore_ids). remedy: the end of the error about other ids.
    """

    remedy = 'correct the file, choose the right --dataset, or list them under --ignore_ids'

    def __init__(self, dataset: str, id_map: dict, num_classes: int, ignore_label: int, ignore_ids=()):
        wrong = [raw for raw in ignore_ids if not 0 <= raw <= 255]
        if wrong:
            raise ValueError(f'--ignore_ids: {wrong} are no label ids; a label file holds ids from 0 to 255')
        self.dataset = dataset
        self.unknown = num_classes if num_classes != ignore_label else num_classes + 1
        assert self.unknown <= 255, 'no free value for ids outside the map'
        self.table = lookup_table({**id_map, **dict.fromkeys(ignore_ids, ignore_label)}, self.unknown)

    def __call__(self, raw: np.ndarray, path) -> np.ndarray:
        """trainIds uint8 (H, W) of raw ids uint8 (H, W); ValueError naming `path` when an id is not in the map."""
        label = cv2.LUT(raw, self.table)
        outside = label == self.unknown
        if outside.any():
            raise ValueError(self._complaint(raw, outside, path))
        return label

    def values(self, ids: np.ndarray, raw: np.ndarray, path) -> np.ndarray:
        """trainIds of some ids of `raw`, for who does not need every pixel mapped; the same error as above."""
        mapped = self.table[ids]
        if (mapped == self.unknown).any():
            raise ValueError(self._complaint(raw, self.table[raw] == self.unknown, path))
        return mapped

    def _complaint(self, raw, outside, path):
        row, column = (int(index) for index in np.argwhere(outside)[0])
        ids = np.unique(raw[outside]).tolist()
        shown = ', '.join(map(str, ids[:12])) + (f' and {len(ids) - 12} more' if len(ids) > 12 else '')
        return (
            f'{path}: label ids {shown} are not in the map of dataset {self.dataset!r} (first at row {row}, column'
            f' {column}); {self.remedy}'
        )
