"""What the command line does beyond the public functions: the demo, the doctor, words and progress on a terminal."""
