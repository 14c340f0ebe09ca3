"""From a recipe file to a result: decoding, the recipe file, the inspector. onnxruntime, OpenCV, no torch."""
