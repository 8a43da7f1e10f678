"""The former name of `pretraining.py`, for who imports from it; `mdjpt_hf.pretrain(...)` works with it as without."""

from mdjpt_hf import pretraining
from mdjpt_hf.importing import keep_former_name

keep_former_name(__name__, pretraining, pretraining.pretrain)
