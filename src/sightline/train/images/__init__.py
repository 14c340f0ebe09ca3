"""Images on their way into a training: loaded, checked, brought to the input size and into one pose."""
