"""The line: trigger, grab, inspect, decide, record, signal; one answer per part, in time, and no OK unearned."""
