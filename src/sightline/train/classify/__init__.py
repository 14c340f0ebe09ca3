"""Known defects: types, marks, boxes and grades on the frozen backbone."""
