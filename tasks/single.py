"""Restyle one pair of local files in this process."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from tasks.attempts import told
from tasks.decoding import DecodePool
from tasks.layout import Layout
from tasks.records.pair import Input, Pair
from tasks.records.parameters import Parameters
from tasks.roots import Roots, place
from tasks.store import open_store
from tasks.stylise import Restyled, Track, load, transfer_track, write
from tasks.transfer.pipeline import Step
from tasks.transfer.settings import SettingsError
from tasks.withdrawn import read_withdrawn
from tasks.worker import devices


def restyle_files(
    inputs: Sequence[Input], params: Parameters, device: str, on_step: Callable[[str, int], None], root: str = ""
) -> Restyled:
    """The audio of one pair of local files, encoded, with its figures. Networks of styles lie below `root`.

    Nor is a clip used that was withdrawn there. `on_step` hears of each step: its stage and how many evaluations it
    was. Raises PairError.
    """
    pool = DecodePool(1)
    files = tuple(Input(i.role, place(i.uri), i.start, i.seconds) for i in inputs)
    roots = Roots.resolve([str(place(str(Path(i.uri).resolve().parent))) for i in inputs] + _weights(params))
    pair = Pair(0, None, files, params.method, params)
    try:
        loaded = load(pair, roots, pool, root=root)
    except SettingsError as error:
        raise told(error) from error
    finally:
        pool.close()

    def step(step: Step) -> None:
        on_step(step.stage, 0 if step.stage == "phase" else 1)

    if root:
        read_withdrawn(open_store(root), Layout(root)).check(loaded.pair.inputs)
    track = Track(loaded)
    return write(track, transfer_track(track, torch.device(devices(device)[0]), step), run_id=None)


def _weights(params: Parameters) -> list[str]:
    """The file of trained weights, which whoever names it by hand allows to be read."""
    return [place(params.weights_uri)] if params.weights_uri else []
