"""From a raw signal to a clean one by a named preset."""

from mdjpt_hf.preprocessing.presets import (
    EYE_CHANNELS,
    PRESETS,
    SILENT,
    Preprocessed,
    check_preset,
    preprocess,
    preprocess_session,
    preset_settings,
)

__all__ = [
    "EYE_CHANNELS",
    "PRESETS",
    "SILENT",
    "Preprocessed",
    "check_preset",
    "preprocess",
    "preprocess_session",
    "preset_settings",
]
