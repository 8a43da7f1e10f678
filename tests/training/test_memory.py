"""Freed memory leaves the process, or stays for the next step; what a process held of its own is told apart."""

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="concerns the allocator of glibc")

#: Prints the MiB that leave the process when 240 MiB between small blocks are freed.
HOLES = """
import torch
from mdjpt_hf.training.memory import give_back_large_blocks
{call}
def resident():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) // 1024
del (large := [torch.ones(2**22)])[:]  # 16 MiB: from here on glibc would keep what is smaller
kept = []
large = []
for _ in range(40):
    large.append(torch.ones(3 * 2**19))  # 6 MiB
    kept.append(torch.ones(2**18))  # 1 MiB: more than a hole that imports have left
full = resident()
large.clear()
print(full - resident())
"""

#: Prints the pages that a step touches for the first time, when the steps before it freed as many.
STEPS = """
import resource, threading, torch
from mdjpt_hf.training.memory import keep_freed_memory
{call}
def step():
    kept = [torch.ones(2**18) for _ in range(100)]  # 1 MiB each
    kept.append(torch.ones(2**24))  # 64 MiB
    thread = threading.Thread(target=lambda: kept.extend(torch.ones(2**18) for _ in range(100)))
    thread.start()
    thread.join()
torch.set_num_threads(1)
for _ in range(5):  # until the heap has found its shape
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

#: Prints the MiB by which the heap shrinks when 3 GB are freed.
HEAP = """
import ctypes, torch
from mdjpt_hf.training.memory import keep_freed_memory
{call}
sbrk = ctypes.CDLL(None).sbrk
sbrk.restype = ctypes.c_void_p
kept = [torch.empty(2**18) for _ in range(3000)]  # 3 GB, never touched
full = sbrk(0)
del kept
print((full - sbrk(0)) // 2**20)
"""

#: Prints the MiB of a mapped file, then of the process's own that are freed again, that count as held.
PEAK = """
import sys
import numpy as np
from mdjpt_hf.training.memory import PeakMemory, own_memory
before = own_memory()
with PeakMemory() as of_the_file:
    mapped = np.memmap(sys.argv[1], np.uint8, "r")
    mapped.sum()
with PeakMemory() as of_both:
    own = np.ones(len(mapped), np.uint8)
    own[::4096].sum()
    del own
print((of_the_file.bytes - before) // 2**20, (of_both.bytes - before) // 2**20)
"""


def printed(program: str, call: str) -> int:
    """What a program says in a process of its own, after a call of ours or none."""
    code = program.format(call=call)
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return int(done.stdout)


def test_freed_blocks_leave_the_process():
    assert printed(HOLES, "give_back_large_blocks()") > 200
    assert printed(HOLES, "") < 100  # else there is nothing to do, and the module can go


def test_kept_memory_is_not_asked_for_again():
    assert printed(STEPS, "keep_freed_memory()") < 2000  # of 67,000
    assert printed(STEPS, "") > 10_000  # else there is nothing to do


def test_the_heap_does_not_shrink_however_much_is_free():
    assert printed(HEAP, "keep_freed_memory()") == 0


@pytest.mark.skipif(platform.system() != "Linux", reason="only Linux tells pages of files apart")
def test_corpora_in_the_page_cache_are_no_memory_of_the_process(tmp_path):
    corpus = tmp_path / "corpus"
    corpus.write_bytes(bytes(200 * 2**20))
    command = [sys.executable, "-c", PEAK, str(corpus)]
    of_the_file, of_both = map(int, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    assert of_the_file < 20
    assert 150 < of_both < 240, "looked at every few milliseconds, of which the machine may leave some out"
