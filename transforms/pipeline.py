"""What happens to a training and to a validation sample, in order."""

from transforms import deferred
from transforms.geometry import center_crop_pad, random_flip, resize_height, scale_long_edge


class TrainTransform:
    """Scale and crop, flip, RandAugment, colour jitter, blur; all randomness comes from the generator of the call.

    size_and_crop: a geometry.RandomSizeAndCrop; rand_augment, jitter and blur: callables or None. defer: jitter and
    blur are left to the device, which needs no bilateral blur then.
    """

    def __init__(self, size_and_crop, rand_augment=None, jitter=None, blur=None, defer=False):
        self.size_and_crop = size_and_crop
        self.rand_augment = rand_augment
        self.jitter, self.blur = jitter, blur
        self.defer = defer and (jitter is not None or blur is not None)

    def __call__(self, image, label, rng, centroid=None):
        """image uint8 (H, W, 3), label uint8 (H, W), rng a numpy Generator, centroid (x, y) in pixels of image or None.

        Returns image uint8 (h, w, 3), label uint8 (h, w) of the crop size, and the scale by which both were resized;
        with defer also the numbers that deferred.augment needs to finish the image. The same generator state gives the
        same sample, bit for bit. The arguments stay as they are.
        """
        image, label, scale = self.size_and_crop(image, label, rng, centroid)
        image, label = random_flip(image, label, rng)
        if self.rand_augment is not None:
            image, label = self.rand_augment(image, label, rng)
        if self.defer:
            return image, label, scale, deferred.draw(self.jitter, self.blur, rng)
        for step in (self.jitter, self.blur):
            if step is not None:
                image = step(image, rng)
        return image, label, scale

    def check_crop(self, sizes):
        """Raise ValueError when no image of `sizes`, an iterable of (H, W), can ever fill the crop."""
        self.size_and_crop.check_fits(sizes)


class ValTransform:
    """Nothing; with pre_size, the long edge resized to it; with crop_val, the middle pre_size square at that height."""

    def __init__(self, ignore_label, pre_size=None, crop_val=False):
        self.ignore_label = ignore_label
        self.pre_size = pre_size
        self.crop_val = crop_val

    def __call__(self, image, label=None):
        """image uint8 (H, W, 3), label (H, W) or None. Returns image, label (or None) and the scale."""
        if self.pre_size is None:
            return image, label, 1.0
        if not self.crop_val:
            return scale_long_edge(image, label, self.pre_size)
        image, label, scale = resize_height(image, label, self.pre_size)
        return *center_crop_pad(image, label, self.pre_size, self.ignore_label), scale
