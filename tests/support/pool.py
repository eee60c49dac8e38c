"""A pool of processes that has none: what it is given is done at once, here."""

from concurrent.futures import Future


class Here:
    """It keeps the arguments of what it was given in `submitted`, of the class: a test makes that list."""

    submitted: list = []
    map = staticmethod(map)

    def __init__(self, *_, **__):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def submit(self, function, *arguments):
        self.submitted.append(arguments)
        future = Future()
        future.set_result(function(*arguments))
        return future
