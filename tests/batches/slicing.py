"""Transfers that are watched block by block."""


def nothing() -> None:
    """Nobody watches."""


def after_blocks(count: int, err: Exception):
    """A callback that raises at the block after so many."""
    left = iter(range(count))

    def on_block() -> None:
        if next(left, None) is None:
            raise err

    return on_block
