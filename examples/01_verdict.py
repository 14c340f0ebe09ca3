"""From photos of good parts to a verdict, on sample parts: python examples/01_verdict.py"""

import tempfile
from pathlib import Path

import sightline as sl
from sightline.data.sample import write

folder = Path(tempfile.mkdtemp())
write(folder / "caps", "cap", good=24, defects_per_type=1, size=256)
parts = sl.Dataset.open(folder / "caps")

recipe = sl.train(parts, effort="quick")
recipe.save(folder / "caps.onnx")
print(sl.evaluate(recipe, parts.test))

inspector = sl.Inspector(folder / "caps.onnx")
defective = next(sample for sample in parts.test if sample.defective)
result = inspector.inspect(defective.path)
print(result.verdict, round(result.score, 2), result.p_value, [defect.box for defect in result.defects])
print("see", result.overlay().save(folder / "why.png"))
