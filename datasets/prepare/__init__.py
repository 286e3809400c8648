"""Programs that make the folders which the datasets read: `python -m datasets.prepare --help`."""
