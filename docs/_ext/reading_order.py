"""In which order examples are shown: that of a first reading."""

#: New examples that are not listed here come last, by name.
ORDER = (
    "own_recordings",
    "cross_dataset_transfer",
    "sklearn_on_embeddings",
    "leak_made_visible",
    "new_corpus_reader",
    "braindecode_dataset",
    "live_replay",
    "onnx_runtime",
    "masked_prediction",
    "new_objective",
)


class ReadingOrder:
    """Sort key of sphinx-gallery: made with the folder, called with a file's name."""

    def __init__(self, src_dir: str):
        self.src_dir = src_dir

    def __call__(self, filename: str) -> tuple[int, str]:
        name = filename.removesuffix(".py")
        return (ORDER.index(name) if name in ORDER else len(ORDER)), name

    def __repr__(self) -> str:
        return type(self).__name__
