"""Alembic's entry: runs the migrations on the connection that `store.database.migrate` gives."""

from alembic import context

from clicktrail.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
context.run_migrations()
