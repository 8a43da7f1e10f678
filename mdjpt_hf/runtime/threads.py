"""As many threads elsewhere as here: the last bits of a sum depend on how it is shared out."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from threadpoolctl import threadpool_info, threadpool_limits


class Threads(NamedTuple):
    """Threads of torch, and of the linear algebra that NumPy stands on."""

    torch: int
    algebra: int

    @classmethod
    def here(cls) -> "Threads":
        """Those of this process."""
        import torch

        return cls(torch.get_num_threads(), _algebra())


def _algebra() -> int:
    return max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1)


@contextmanager
def computing_with(threads: Threads) -> Iterator[None]:
    """Compute inside as a process with these threads does."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads.torch)
    try:
        with threadpool_limits(threads.algebra, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)
