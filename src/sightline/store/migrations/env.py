"""What Alembic runs: the migrations on the connection that `sightline.store.database` has opened."""

from alembic import context

from sightline.store.tables import Base

# The caller holds the transaction: with none of Alembic's own, all steps happen or none does.
context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, transactional_ddl=True
)
context.run_migrations()
