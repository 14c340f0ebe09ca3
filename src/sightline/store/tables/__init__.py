"""The tables, by what they are about. Importing this package makes all of them known."""

from sightline.store.tables import inspections as inspections
from sightline.store.tables import labels as labels
from sightline.store.tables import people as people
from sightline.store.tables import recipes as recipes
from sightline.store.tables import samples as samples
from sightline.store.tables import versions as versions
from sightline.store.tables.base import Base as Base
