"""The zstandard package, an extra that few files need."""


def zstandard():
    """The zstandard package; ValueError naming the remedy where it is not installed."""
    try:
        import zstandard as package
    except ImportError:
        raise ValueError(
            'zstd files need the package zstandard, which is not installed; pip install -r requirements-extras.txt'
        ) from None
    return package
