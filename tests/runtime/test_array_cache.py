"""The cache holds arrays up to its limit of bytes, the latest used ones, in any thread, until it is cleared."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from sklearn_bert import clear_cache
from sklearn_bert._runtime.array_cache import LIMIT_VARIABLE, SHARED_ARRAYS, ArrayCache, cache_limit
from tests.helpers import exactly

TEN_BYTES = np.arange(10, dtype=np.uint8)


@pytest.fixture
def limit(monkeypatch):
    return lambda n_bytes: monkeypatch.setenv(LIMIT_VARIABLE, str(n_bytes))


def test_an_array_comes_back_read_only(limit):
    cache = ArrayCache()
    assert cache.get("key") is None
    kept, none = cache.put("key", TEN_BYTES.copy(), None)
    assert none is None
    np.testing.assert_array_equal(cache.get("key")[0], TEN_BYTES)
    assert not kept.flags.writeable
    assert not cache.get("key")[0].flags.writeable


def test_arrays_are_computed_once():
    cache, calls = ArrayCache(), []

    def compute():
        calls.append(1)
        return TEN_BYTES.copy(), TEN_BYTES.copy()

    for _ in range(2):
        first, second = cache.get_or_compute("key", compute)
        np.testing.assert_array_equal(first, second)
    assert len(calls) == 1
    assert cache.n_bytes == 20


def test_the_least_recently_used_array_goes_first(limit):
    limit(30)
    cache = ArrayCache()
    for key in "abc":
        cache.put(key, TEN_BYTES.copy())
    cache.get("a")
    cache.put("d", TEN_BYTES.copy())
    assert [key for key in "abcd" if cache.get(key) is not None] == ["a", "c", "d"]
    assert cache.n_bytes == 30


@pytest.mark.parametrize("n_bytes", [0, 9])
def test_what_is_larger_than_the_limit_is_given_back_but_not_kept(limit, n_bytes):
    limit(n_bytes)
    cache = ArrayCache()
    np.testing.assert_array_equal(cache.put("key", TEN_BYTES.copy())[0], TEN_BYTES)
    assert cache.get("key") is None
    assert cache.n_bytes == 0


def test_a_lower_limit_holds_from_the_next_array_on(limit):
    limit(100)
    cache = ArrayCache()
    for key in range(10):
        cache.put(key, TEN_BYTES.copy())
    limit(20)
    cache.put("last", TEN_BYTES.copy())
    assert cache.n_bytes == 20


def test_threads_share_a_cache_within_its_limit(limit):
    limit(50)
    cache = ArrayCache()

    def work(key):
        for i in range(200):
            cache.put((key, i % 7), np.full(10, i % 7, dtype=np.uint8))
            found = cache.get((key, i % 7))
            assert found is None or (found[0] == i % 7).all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert cache.n_bytes <= 50


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_child_does_not_wait_for_a_lock_that_its_parent_held():
    with SHARED_ARRAYS._lock:
        pid = os.fork()
        if not pid:
            SHARED_ARRAYS.get("key")
            os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


def test_clear_cache_forgets_all():
    SHARED_ARRAYS.put("key", TEN_BYTES.copy())
    clear_cache()
    assert SHARED_ARRAYS.n_bytes == 0


@pytest.mark.parametrize("text", ["-1", "1e9", "all"])
def test_a_limit_that_is_no_number_of_bytes_is_an_error(limit, text):
    limit(text)
    message = (
        f"The environment variable SKLEARN_BERT_CACHE_BYTES is {text!r}, expected a number of bytes such as 268435456. "
        "Set it to one, to 0 for no cache, or remove it."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        cache_limit()


def test_the_limit_is_256_mebibytes_by_default(monkeypatch):
    monkeypatch.delenv(LIMIT_VARIABLE, raising=False)
    assert cache_limit() == 256 * 1024 * 1024
