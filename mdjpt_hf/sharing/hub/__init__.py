"""Sharing through the Hugging Face Hub: models, corpora and Spaces, each as one commit that is compared afterwards.

Nothing here sends anything unless it is called; what only asks says so (`dry_run`, `verify`).
"""

from mdjpt_hf.sharing.hub.copies import verify
from mdjpt_hf.sharing.hub.corpora import push_corpus
from mdjpt_hf.sharing.hub.models import push_model
from mdjpt_hf.sharing.hub.spaces import push_space
from mdjpt_hf.sharing.hub.upload import Destination, Pushed

__all__ = ["Destination", "Pushed", "push_corpus", "push_model", "push_space", "verify"]
