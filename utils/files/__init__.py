"""Files: atomic writes, archives, and the formats of images, arrays and weights."""
