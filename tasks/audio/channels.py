"""Which loudspeaker a channel is for. Ours is the order of WAV and FLAC: left, right, centre, LFE, back, side.

Ogg has one of its own from three channels on (Vorbis I specification, 4.3.9; RFC 7845, 5.1.1.2 for Opus), which
libsndfile leaves to us. It matters: the encoder takes everything above some 100 Hz out of the LFE of six channels.
"""

_IN_OGG = {
    3: (0, 2, 1),
    5: (0, 2, 1, 3, 4),
    6: (0, 2, 1, 4, 5, 3),
    7: (0, 2, 1, 5, 6, 4, 3),
    8: (0, 2, 1, 6, 7, 4, 5, 3),
}
"""Our channel at each place of an Ogg stream; as many channels as are not named have one order everywhere."""


def to_container(container: str, channels: int) -> list[int]:
    """Our channel at each place of a file."""
    return list(_IN_OGG[channels] if container == "OGG" and channels in _IN_OGG else range(channels))


def from_container(container: str, channels: int) -> list[int]:
    """The place in a file of each of our channels."""
    places = to_container(container, channels)
    return [places.index(ours) for ours in range(channels)]
