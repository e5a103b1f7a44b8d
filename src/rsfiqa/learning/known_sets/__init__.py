"""The data sets of the field, each described in one file, and the reader that follows it.

A description (`NAME.toml` in this folder) states where the labels lie in a copy as its makers hand
it out, which column or array is what, how the human scores are meant, what the pictures are copies
of, and which split is official. It holds facts, no code: a data set more is a file more. The fields
are those of `description.Description`.

The pictures of these sets are not shipped and not fetched.
"""
