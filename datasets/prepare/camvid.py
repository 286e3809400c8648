"""CamVid (Brostow et al., Pattern Recognition Letters 2009), 701 frames with coloured labels: ids of 11 and of 32
classes.

701_StillsRaw_full/<frame>.png and LabeledApproved_full/<frame>_L.png become {train,val,test}/<frame>.png (copies),
{...}annot/<frame>.png with the 11 classes of the SegNet authors (void 11) and {...}annot32/<frame>.png with the 32
classes in the order of label_colors.txt. The split is that of the SegNet authors, 367, 101 and 233 frames, which
follows the sequences.
"""

import re

from datasets.collection.camvid import VOID, CamVid, CamVid32
from datasets.collection.layout import first_folder, list_files
from datasets.loading.reading import peek
from datasets.prepare.convert import codes_of, copy_file, label_png, look_up_codes
from datasets.prepare.converter import Converter, Job

IMAGES = ('701_StillsRaw_full',)
LABELS = ('LabeledApproved_full', '')  # the archive has no folder of its own
UNKNOWN = 254
# The 11 classes, each with those of the 32 that belong to it; the rest, Void, is void.
GROUPS = {
    'Sky': ('Sky',),
    'Building': ('Building', 'Wall', 'Bridge', 'Tunnel', 'Archway'),
    'Pole': ('Column_Pole', 'TrafficCone'),
    'Road': ('Road', 'LaneMkgsDriv', 'LaneMkgsNonDriv'),
    'Pavement': ('Sidewalk', 'ParkingBlock', 'RoadShoulder'),
    'Tree': ('Tree', 'VegetationMisc'),
    'SignSymbol': ('SignSymbol', 'Misc_Text', 'TrafficLight'),
    'Fence': ('Fence',),
    'Car': ('Car', 'SUVPickupTruck', 'Truck_Bus', 'Train', 'OtherMoving'),
    'Pedestrian': ('Pedestrian', 'Child', 'CartLuggagePram', 'Animal'),
    'Bicyclist': ('Bicyclist', 'MotorcycleScooter'),
}


def plan(base, args, made):
    """Jobs for the copies of the frames and their labels with 11 and 32 classes."""
    labels = first_folder(base, LABELS, 'coloured labels')
    codes = [int(red) + 256 * int(green) + 65536 * int(blue) for red, green, blue in CamVid32.classes.colors]
    eleven = {member: trainid for trainid, name in enumerate(CamVid.classes.names) for member in GROUPS[name]}
    tables = (
        (
            'annot',
            tuple((code, eleven.get(name, VOID)) for code, name in zip(codes, CamVid32.classes.names)),
            VOID,
            CamVid.classes.colors,
        ),
        (
            'annot32',
            tuple((code, place) for place, code in enumerate(codes)),
            CamVid32.classes.names.index('Void'),
            CamVid32.classes.colors,
        ),
    )
    jobs = []
    for frame in list_files(first_folder(base, IMAGES, 'frames'), ['.png']):
        split = split_of(frame.stem)
        label = labels / f'{frame.stem}_L.png'
        jobs.append(Job(base / split / frame.name, (frame, label), copy_frame))
        for ending, ids, void, palette in tables:
            jobs.append(
                Job(base / f'{split}{ending}' / frame.name, (label, frame), convert, (ids, void, palette.tobytes()))
            )
    return jobs


def split_of(frame: str) -> str:
    """'train', 'val' or 'test', as the SegNet authors split the sequences. Raises ValueError for a name of no sequence.

    The fifteen frames a second of sequence 0016E5 (7959 to 8159, odd numbers) are val; the last half of 0001TP and all
    of Seq05VD are test.
    """
    match = re.fullmatch(r'(0001TP|0006R0|0016E5|Seq05VD)_f?(\d+)', frame)
    if match is None:
        raise ValueError(
            f'{frame}.png: is no frame of CamVid (such as 0001TP_006690 or Seq05VD_f00000), so its split is not known;'
            f' take it out of {IMAGES[0]}'
        )
    sequence, number = match[1], int(match[2])
    if sequence == '0016E5' and 7959 <= number <= 8159 and number % 2:
        return 'val'
    return 'test' if sequence == 'Seq05VD' or sequence == '0001TP' and number > 8520 else 'train'


def copy_frame(sources) -> tuple:
    """The bytes of the frame sources[0], when sources[1] can be its label."""
    check_pair(*sources)
    return copy_file(sources)


def check_pair(frame, label):
    """Raise ValueError when one of the two is empty, cut off or no image, or when their sizes differ."""
    (height, width), (label_height, label_width) = peek(frame), peek(label)
    if (height, width) != (label_height, label_width):
        raise ValueError(
            f'{label}: the label is {label_width}x{label_height} pixels (width x height) but its frame {frame} is'
            f' {width}x{height}; unpack or download both again'
        )


def convert(sources, ids, void, palette) -> tuple:
    """The coloured label sources[0] of the frame sources[1] as ids ((code of the colour, id), ...); other colours
    become `void` and are noted."""
    check_pair(sources[1], sources[0])
    codes = codes_of(sources[0])
    label = look_up_codes(codes, dict(ids), UNKNOWN)
    outside = label == UNKNOWN
    if not outside.any():
        return label_png(label, palette), ()
    label[outside] = void
    return label_png(label, palette), (f'pixels with a colour that is in no table became void {void}',)


CONVERTER = Converter(
    'camvid',
    'CamVid: coloured labels to ids of 11 and of 32 classes, in the split of the SegNet authors',
    __doc__,
    CamVid32,
    markers=IMAGES,
    remedy='unpack 701_StillsRaw_full.zip, and LabeledApproved_full.zip into a folder LabeledApproved_full, there',
    plan=plan,
    aliases=(CamVid32.name,),
)
