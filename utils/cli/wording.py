"""Parts of sentences that messages have in common."""


def listed(names, count: int = 10) -> str:
    """The first of some names: 'a, b and 3 more'; 'nothing' of none."""
    names = list(map(str, names))
    return (
        ', '.join(names[:count]) + (f' and {len(names) - count:,} more' if len(names) > count else '')
        if names
        else 'nothing'
    )


def counted(count: int, one: str, many: str = '') -> str:
    """'1 label', '1,234 labels'; many: the plural where it is not one + 's'."""
    return f'{count:,} {one if count == 1 else many or one + "s"}'
