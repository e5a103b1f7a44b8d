"""Backbones behind one contract; a picture's features are computed once and shared by all steps."""
