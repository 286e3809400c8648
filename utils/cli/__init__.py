"""Command lines: parsers and value types, flags, progress, wording of lists."""
