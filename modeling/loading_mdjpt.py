"""Opening weights: what a checkpoint does not hold is said in plain words, if it was not left out on purpose."""

import logging
import re
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

_LOGGER = logging.getLogger("transformers.modeling_utils")
#: How transformers' own lists of names begin, from 5.0 on and before.
_LISTS = ("LOAD REPORT", "Some weights of")
_NAMED = 4


class SaysWhatIsNew:
    """For models: weights of the encoder that were drawn at random are a warning, a head that is new is none."""

    base_model_prefix: str
    # What every network here takes.
    main_input_name = "input_values"
    input_modalities: Any = ["time"]
    supports_gradient_checkpointing = True

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, *args, output_loading_info: bool = False, **kwargs):
        """As [`PreTrainedModel.from_pretrained`], which is asked for the names of what was missing.

        Warns:
            UserWarning: If weights of the encoder, or a part of a head, are not in the checkpoint.
        """
        held: list[logging.LogRecord] = []
        try:
            with _held_back(held), _keys_in_order():
                model, info = super().from_pretrained(  # type: ignore[misc]
                    pretrained_model_name_or_path, *args, output_loading_info=True, **kwargs
                )
        except Exception:
            _tell(held)
            raise
        if any(info.get(kind) for kind in ("unexpected_keys", "mismatched_keys", "error_msgs")):
            _tell(held)
        _warn(cls.base_model_prefix, model, info["missing_keys"], pretrained_model_name_or_path)
        return (model, info) if output_loading_info else model


def _warn(prefix: str, model: Any, missing: Collection[str], where: Any) -> None:
    """Of parts that are missing, those are worth a word that the checkpoint should hold."""
    names = list(model.state_dict())
    has_head = hasattr(model, prefix)
    head = {name for name in names if has_head and not name.startswith(f"{prefix}.")}
    parts = {"encoder": set(names) - head}
    optional = getattr(model, "_keys_to_ignore_on_load_missing", None) or ()
    head = {name for name in head if not any(re.search(pattern, name) for pattern in optional)}
    if head - set(missing):  # not all of it is new, so none of it should be
        parts["head"] = head
    for part, whole in parts.items():
        new = sorted(whole & set(missing))
        if new:
            named = ", ".join(new[:_NAMED]) + (f" and {len(new) - _NAMED} more" if len(new) > _NAMED else "")
            warnings.warn(
                f"{where or 'the checkpoint'} lacks {len(new)} of {len(whole)} weights of the {part}, which were drawn "
                f"at random: {named}. What comes out means nothing before they are trained: check that the checkpoint "
                "is complete and of this kind of model",
                stacklevel=3,
            )


@contextmanager
def _held_back(records: list[logging.LogRecord]) -> Iterator[None]:
    """Keep transformers' list of names, which is long also where only a head is new, until it is known what it says."""

    def hold(record: logging.LogRecord) -> bool:
        is_list = any(words in str(record.msg) for words in _LISTS)
        if is_list:
            records.append(record)
        return not is_list

    _LOGGER.addFilter(hold)
    try:
        yield
    finally:
        _LOGGER.removeFilter(hold)


def _tell(records: list[logging.LogRecord]) -> None:
    for record in records:
        _LOGGER.handle(record)


@contextmanager
def _keys_in_order() -> Iterator[None]:
    """transformers 5.0 and 5.1 cannot sort names of which one has a number where another has a word, as heads do."""
    try:
        from transformers import core_model_loading as loading

        key = loading.dot_natural_key
        sorted([key("head.0"), key("head.mean")])
    except (ImportError, AttributeError):  # other versions, which do something else
        key = None
    except TypeError:
        loading.dot_natural_key = _natural_key  # type: ignore[assignment]
    else:
        key = None
    try:
        yield
    finally:
        if key is not None:
            loading.dot_natural_key = key


def _natural_key(name: str) -> Any:
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in name.split(".")]


__all__ = ["SaysWhatIsNew"]
