"""The line: trigger, grab, inspect, decide, record, signal; every part gets one answer in time, and never an unearned OK."""
