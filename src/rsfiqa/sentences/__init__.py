"""What a person would say of a picture and its regions, composed by rule from the numbers."""

from rsfiqa.sentences.region import region_sentence, region_sentences, verdict

__all__ = ["region_sentence", "region_sentences", "verdict"]
