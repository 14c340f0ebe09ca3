"""How good a recipe is: figures with sample sizes and exact bounds, and the report that shows them.

Importing this package imports nothing heavy: `sightline.evaluate.evaluating.evaluate` and
`sightline.evaluate.report.report.write_report` load scikit-learn, SciPy, Matplotlib and Jinja2 when they are called.
"""

from sightline.core.door import open_door

open_door(__name__, "sightline.evaluate.evaluating", "evaluate", dataset="samples", stage="inspecting")
