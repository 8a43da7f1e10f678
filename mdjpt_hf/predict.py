"""The former name of `prediction.py`, for who imports from it; `mdjpt_hf.predict(...)` works with it as without."""

from mdjpt_hf import prediction
from mdjpt_hf.importing import keep_former_name

keep_former_name(__name__, prediction, prediction.predict_all)
