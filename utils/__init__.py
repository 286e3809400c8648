"""Building blocks that know nothing of datasets, networks and losses."""
