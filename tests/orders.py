"""What the workers of tests and benchmarks have in common with a real one: they say that they are there, and obey."""


def orders(connection):
    """Each order that comes (tasks.worker), until the flow's side is gone."""
    connection.send(("ready",))
    while True:
        try:
            yield connection.recv()
        except EOFError:
            return
