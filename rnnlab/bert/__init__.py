"""A BERT that pre-trains here and reads published checkpoints: its blocks, tasks and models."""

from typing import TYPE_CHECKING, Any

from rnnlab.core.lazy import submodule

if TYPE_CHECKING:
    from rnnlab.bert.text_model import TextModel as TextModel
    from rnnlab.bert.text_model import load as load

_LAZY = ("TextModel", "load")  # of text_model, which imports all of BERT


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from rnnlab.bert import text_model

        return getattr(text_model, name)
    return submodule(__name__, name)
