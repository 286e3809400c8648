"""ONNX example: a photo through an exported network with NumPy, OpenCV and onnxruntime alone. Classes, colours,
normalisation and sizes come from the metadata of the file. To be copied into programs that have nothing else of this
package.

    python -m network.export --snapshot best.pth --dynamic --outputs labels --out street.onnx
    python scripts/onnx_photo.py street.onnx photo.jpg colours.png
"""

import json
import sys

import cv2
import numpy as np
import onnxruntime


def load(file):
    """The program in an ONNX file of network.export, and what the file says about it (a dict)."""
    try:
        program = onnxruntime.InferenceSession(file, providers=['CPUExecutionProvider'])
    except Exception as error:  # of onnxruntime's own kinds
        raise ValueError(f'{file}: onnxruntime cannot read it ({error}); give a file of network.export') from None
    about = json.loads(program.get_modelmeta().custom_metadata_map.get('about', '{}'))
    if not {'labels', 'logits'} & set(about.get('outputs', ())):
        raise ValueError(
            f'{file}: its metadata does not say that it returns labels or logits; export it with python -m'
            ' network.export --outputs labels'
        )
    return program, about


def pad(image, about):
    """image (h, w, 3), continued by its last row and column to a size that the program takes."""
    height, width = image.shape[:2]
    rows, columns = about['size'] or (max(height, about['smallest']), max(width, about['smallest']))
    if height > rows or width > columns:
        raise ValueError(f'the image has {height}x{width} pixels, the program takes {rows}x{columns}; resize it before')
    return np.pad(image, ((0, rows - height), (0, columns - width), (0, 0)), mode='edge')


def predict(program, about, image):
    """image uint8 (h, w, 3) RGB -> labels (h, w): the index of each pixel's class in about['classes']."""
    images = pad(image, about).transpose(2, 0, 1)[None]
    if program.get_inputs()[0].type != 'tensor(uint8)':
        mean, std = (np.reshape(about[name], (3, 1, 1)) for name in ('mean', 'std'))
        images = ((images / 255 - mean) / std).astype(np.float32)
    found = dict(zip(about['outputs'], program.run(None, {'images': images})))
    labels = found['labels'] if 'labels' in found else found['logits'].argmax(1)
    return labels[0, : image.shape[0], : image.shape[1]]


def main(argv):
    if len(argv) != 3:
        raise ValueError('expected three names: PROGRAM.onnx PHOTO COLOURS.png')
    program, about = load(argv[0])
    image = cv2.imread(argv[1])
    if image is None:
        raise ValueError(f'{argv[1]}: is not there or no image')
    labels = predict(program, about, image[..., ::-1])
    colors = np.array(about['classes']['colors'], np.uint8)
    if not cv2.imwrite(argv[2], colors[labels][..., ::-1]):
        raise ValueError(f'{argv[2]}: cannot be written')
    for label in np.unique(labels):
        print(f'{np.mean(labels == label):6.1%} {about["classes"]["names"][label]}')


if __name__ == '__main__':
    try:
        main(sys.argv[1:])
    except ValueError as error:
        print(f'onnx_photo.py: error: {error}', file=sys.stderr)
        sys.exit(2)
