"""The recipe file: everything as one ONNX graph, and the proof that it computes the same."""
