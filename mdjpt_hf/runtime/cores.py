"""How many cores this process may use: containers, batch jobs and `taskset` leave it fewer than the machine has."""

import math
import os

from joblib.externals import loky
from threadpoolctl import threadpool_limits

from mdjpt_hf.modeling.control_groups_mdjpt import core_quotas

#: Whoever sets one of these has chosen.
_CHOSEN = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def usable_cores() -> int:
    """Cores of the machine, less those that affinity, a quota of time or `LOKY_MAX_CPU_COUNT` keeps from us.

    loky knows the quota of a container, not those of the groups within (systemd's `CPUQuota`, batch systems). Not
    `joblib.cpu_count`, which says 1 where there are no semaphores to share between processes.
    """
    return min([int(loky.cpu_count()), *(max(1, math.ceil(quota)) for quota in core_quotas())])


def keep_to_usable_cores() -> None:
    """Compute with as many threads as there are usable cores; before torch is loaded, which starts them.

    OpenMP and OpenBLAS count the cores of a machine, less those that affinity keeps from us, and know of no quota
    (torch 2.13, NumPy 2.4). Two threads that share the time of one core wait for each other at the end of every kernel:
    a training step of the default network took 15 times as long as with one.
    """
    cores = usable_cores()
    if cores < (os.cpu_count() or 1) and not any(name in os.environ for name in _CHOSEN):
        os.environ["OMP_NUM_THREADS"] = str(cores)
        threadpool_limits(cores, user_api="blas")  # NumPy is loaded by now
