"""The HTTP API: `rsfiqa serve`.

Kept empty of imports: the decoder processes import this package and must stay small.
"""
