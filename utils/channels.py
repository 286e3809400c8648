"""Numbers for each channel of an image."""

RGB = 3


def spread(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """Mean or std of the RGB values for images of other channels: their average for one, else repeated in turn."""
    if len(values) != RGB or channels == RGB:
        return values
    if channels == 1:
        return (sum(values) / RGB,)
    return tuple(values[place % RGB] for place in range(channels))
