"""Faults of our own, as the log tells of them."""

from __future__ import annotations


def trail(error: BaseException) -> str:
    """The places in the code that an error came through, innermost last.

    Not its words, which may tell of a client's picture.
    """
    places = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(
            f"{trace.tb_frame.f_globals.get('__name__')}.{code.co_name}:{trace.tb_lineno}"
        )
        trace = trace.tb_next
    return " > ".join(places)
