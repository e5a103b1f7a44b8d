"""How the scorer and the readers are taught, and how well they do.

Data sets with human scores, synthetic distortions of regions, losses and training, and the
metrics and evaluation that papers report. Nothing here is needed to assess a picture.
"""
