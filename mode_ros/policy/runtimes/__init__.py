"""What computes a loaded policy's chunks: torch, or a static graph in ONNX Runtime, which needs no torch."""
