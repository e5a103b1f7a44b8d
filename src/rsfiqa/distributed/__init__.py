"""Collections beyond one machine: object storage and Parquet in and out, and Ray to do the work.

`locations` and `tables` find pictures in object storage and in Parquet; `collection` makes one list of
them and of files, and `pictures` says how each is had. `rsfiqa.bulk` works on such a list in this process,
`engine` on a Ray `cluster`; `publishing` says where results go. None of it imports Ray, pyarrow or torch
before it needs them.
"""
