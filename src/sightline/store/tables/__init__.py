"""The tables, by what they are about. Importing this package makes all of them known."""

from sightline.store.tables import fleet as fleet
from sightline.store.tables import labels as labels
from sightline.store.tables import line as line
from sightline.store.tables import studies as studies
from sightline.store.tables import web as web
from sightline.store.tables.base import Base as Base
