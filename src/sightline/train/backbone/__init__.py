"""The frozen backbone while training: features in onnxruntime or torch, quantised, cached."""
