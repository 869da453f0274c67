"""One pair in a notebook: its three sounds to be heard, their spectrograms, its figures. IPython need not be there."""

from dataclasses import dataclass

import pandas as pd

from tasks.heard import Heard
from tasks.overrides import changed
from tasks.plots.curves import root_of, with_curves
from tasks.plots.figures import FIGURES
from tasks.plots.names import Row, of_pair
from tasks.plots.sounds import data_uri, sounds
from tasks.report.rendering import template_of
from tasks.results import rows_of
from tasks.roots import place
from tasks.scale import HIGHEST_HZ, LOWEST_HZ

MOST_MB = 8.0
PICTURES = ("content", "style", "result")
SHOWN = (
    "style_loss", "style_loss_heldout", "content_loss", "content_loss_heldout", "chroma_similarity",
    "onset_correlation", "timbre_distance", "style_copy", "loudness_lufs", "evaluations", "seconds_total",
)  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """What a notebook shows of a pair."""

    name: str
    status: str
    html: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return f"<pair {self.name}: {self.status}; a notebook shows and plays it>"


def show(row: Row, root: str | None = None, most_mb: float = MOST_MB) -> Shown:
    """A row of `standing()` or of results, to be seen and heard: content, first style and result.

    Sounds are read from the store, inputs only in the version that was used and from where their run might read them,
    and become part of the notebook. A file of more than `most_mb` MB does not, nor one that cannot be read: the place
    of its player says why. `root` is where the row comes from; a row that has audio knows. Raises UsageError,
    OutOfReach or PairError (storage) where the root cannot be read.
    """
    frame = with_curves(pd.DataFrame([row]))
    [found] = rows_of(frame)
    known = place(root) if root else root_of(found["audio_uri"], "audio")
    heard = Heard(known) if known else None
    stone = next(iter(heard.withdrawn().of(frame).values()), None) if heard else None
    html = template_of("tasks.plots", "show.html.j2").render(
        name=of_pair(found),
        status=found["reason"] or found["status"],
        run=found["run_id"],
        message=f"an input {stone.sentence()}: its audio is deleted" if stone else found["message"],
        sounds=sounds(found, heard, int(most_mb * 1e6), deleted=stone is not None),
        pictures={of: data_uri(found[f"picture_{of}"], "image/png") for of in PICTURES if found[f"picture_{of}"]},
        span_hz=(LOWEST_HZ, HIGHEST_HZ),
        figures=[(name, f"{found[name]:.4g}", FIGURES[name]) for name in SHOWN if found[name] is not None],
        changed=changed(found["params"]),
        tags=dict(found["tags"] or ()),
    )
    return Shown(of_pair(found), found["status"], html)
