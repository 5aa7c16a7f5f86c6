"""Caches that threads do not share."""

import functools
import threading
from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class PerThread(threading.local, Generic[P, T]):
    """A function that remembers its last results for every thread on its own.

    For results that hold work in progress, such as solvers and scratch arrays. A thread's cache ends with the thread.
    """

    __wrapped__: Callable[P, T]

    def __init__(self, function: Callable[P, T], maxsize: int | None) -> None:
        # threading.local calls this again in every thread that uses the function
        functools.update_wrapper(self, function)
        self._cached = functools.lru_cache(maxsize)(function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._cached(*args, **kwargs)  # type: ignore[arg-type]  # lru_cache wants Hashable

    def cache_clear(self) -> None:
        """Forget the results of the calling thread."""
        self._cached.cache_clear()


def per_thread(maxsize: int | None) -> Callable[[Callable[P, T]], PerThread[P, T]]:
    """``functools.lru_cache`` with a cache for every thread; ``maxsize`` None: without limit."""
    return lambda function: PerThread(function, maxsize)
