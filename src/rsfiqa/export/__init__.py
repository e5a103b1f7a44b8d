"""The scorer as an ONNX file: for other languages, and for machines without torch."""
