"""Our commands tell nobody that they are used. Importing the package changes nothing for other programs."""

import os
import sys


def switch_off_telemetry() -> None:
    """Switch off the usage reports of the Hub's client and of Gradio, here and in processes started from here.

    Settings that the user has made stay as they are.
    """
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    if "HF_HUB_DISABLE_TELEMETRY" in os.environ:
        return
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    constants = sys.modules.get("huggingface_hub.constants")  # it has read its environment by now
    if constants is not None:
        constants.HF_HUB_DISABLE_TELEMETRY = True  # type: ignore[attr-defined]
