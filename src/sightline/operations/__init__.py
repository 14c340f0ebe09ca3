"""What a person asks for, whatever the door: values in, progress by callback, values out. Nothing is printed."""
