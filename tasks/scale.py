"""The scale of the spectrograms that curves hold as pictures: what gives them axes, without torch."""

WIDTH, HEIGHT = 360, 72
"""Most columns, and bands."""
LOWEST_HZ, HIGHEST_HZ = 50.0, 16_000.0
RANGE_DB = 72.0
COLOURS = (
    (8, 8, 22), (17, 14, 45), (32, 17, 74), (54, 15, 105), (77, 17, 123), (99, 26, 128), (121, 34, 130), (144, 42, 129),
    (167, 50, 125), (190, 59, 117), (213, 71, 107), (232, 90, 97), (245, 119, 95), (252, 152, 108), (254, 188, 134),
    (252, 230, 178),
)  # fmt: skip
"""From silence to the loudest: ever lighter, so that it reads in grey as well."""
