"""What all pictures of results share: size, colours that most people can tell apart, bare axes."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

#: Encoders a picture shows at most; the first ones of the record.
SHOWN = 4

#: Colours of Okabe and Ito, told apart with any colour vision; black comes first where lines are few.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#B3A400")
#: Where there are more kinds than colours, the next round has another mark.
MARKS = ("o", "^", "s", "x")


def colour_of(number: int) -> str:
    """The colour of a kind by its number."""
    return COLOURS[number % len(COLOURS)]


def mark_of(number: int) -> str:
    """The mark of a kind by its number."""
    return MARKS[number // len(COLOURS) % len(MARKS)]


def canvas(rows: int, columns: int, width: float, height: float) -> tuple[Figure, Any]:
    """A figure of panels, `width` by `height` inches each, and the array `(rows, columns)` of them."""
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def bare(axes: Axes) -> None:
    """Leave out the upper and the right line."""
    axes.spines[["top", "right"]].set_visible(False)
