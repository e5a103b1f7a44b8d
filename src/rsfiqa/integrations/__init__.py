"""rsfiqa in other people's code: a loss for torch, a metric for torchmetrics, a metric of pyiqa.

Each lives in a module of its own and is imported when it is asked for, so that none of these
libraries is needed by who does not use it.
"""
