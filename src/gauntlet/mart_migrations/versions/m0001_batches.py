"""Batches, what was rejected of them, the models that predicted, and the files that were announced."""

from alembic import op

revision = "m0001"
down_revision = None
branch_labels = None
depends_on = None

# table: (what it holds, its columns as (name, type, what it holds), its keys)
TABLES = {
    "batch": (
        "one line for each file that was read for training or scored by a version, or refused",
        (
            ("id", "bigint primary key default nextval('mart.batch_id')", "names the batch"),
            ("spec", "text not null", "the spec: its rows are in mart.SPEC_input and mart.SPEC_output"),
            ("kind", "text not null check (kind in ('train', 'predict'))", "what the file was read for"),
            ("status", "text not null check (status in ('done', 'refused'))", "whether its rows were taken in"),
            ("uri", "text not null", "where the file lay"),
            ("mark", "text not null", "changes whenever the file is written"),
            ("size", "bigint not null", "bytes of the file"),
            ("sha256", "text not null", "SHA-256 of the file, hexadecimal"),
            ("kept_uri", "text", "our own copy of the file, which never changes"),
            ("version", "integer", "the model version that scored it; empty for training"),
            ("rule", "text", "how the version was chosen; empty for training"),
            ("reason", "text check ((reason is not null) = (status = 'refused'))", "why the file was refused"),
            ("read", "bigint not null", "rows in the file"),
            ("accepted", "bigint not null", "rows that keep to the spec: those in mart.SPEC_input"),
            ("rejected", "bigint not null", "rows that break the spec: those in mart.rejected_row"),
            ("written", "bigint not null", "rows in the file that was written of it"),
            ("output_uri", "text", "the file that was written of it: scores, or rows ready for training"),
            ("output_sha256", "text", "SHA-256 of that file"),
            ("run_key", "text not null", "the run that took the file in"),
            ("code_version", "text not null", "the version of Gauntlet that did"),
            ("spec_json", "text not null", "the spec that the rows were checked by"),
            ("data_time", "timestamptz not null", "the time that the data is of: what data intervals go by"),
            ("started_at", "timestamptz not null", "when the loading began"),
            ("ended_at", "timestamptz not null", "when the last row was loaded"),
            ("", "check (read = accepted + rejected)", ""),
        ),
    ),
    "batch_file": (
        "other files with the content of a batch, or the same file written again",
        (
            ("batch_id", "bigint not null references mart.batch (id) on delete cascade", "the batch"),
            ("uri", "text not null", "where the file lies"),
            ("mark", "text not null", "changes whenever the file is written"),
            ("", "primary key (batch_id, uri, mark)", ""),
        ),
    ),
    "rejected_row": (
        "rows that break their spec",
        (
            ("batch_id", "bigint not null", "the file that the row came with: mart.batch.id"),
            ("row_number", "bigint not null", "the row's place in the file, from 1"),
            ("reasons", "text not null", "what is wrong with it"),
            ("row", "text not null", "the row as JSON, long texts cut"),
            ("", "primary key (batch_id, row_number)", ""),
        ),
    ),
    "model": (
        "the model versions that predicted, and what the ledger knows of them",
        (
            ("spec", "text not null", "the spec"),
            ("version", "integer not null check (version > 0)", "the version in the model registry"),
            ("model", "text not null", "the registered model's name"),
            ("run_id", "text not null", "the MLflow run that trained it"),
            ("recipe", "text not null", "the candidate that won its training"),
            ("model_sha256", "text not null", "SHA-256 of the model's file"),
            ("snapshot_uri", "text not null", "the rows it was trained on"),
            ("snapshot_sha256", "text not null", "SHA-256 of that file"),
            ("decision_id", "bigint", "the line of the ledger that judged it: gauntlet explain"),
            ("verdict", "text", "what that line says"),
            ("reason", "text", "and why"),
            ("decided_at", "timestamptz", "and when"),
            ("", "primary key (spec, version)", ""),
        ),
    ),
    "training": (
        "which files went into which model version",
        (
            ("spec", "text not null", "the spec"),
            ("version", "integer not null check (version > 0)", "the version in the model registry"),
            ("batch_id", "bigint not null references mart.batch (id)", "a file that it was trained on"),
            ("", "primary key (spec, version, batch_id)", ""),
        ),
    ),
    "arrival": (
        "new files that were announced",
        (
            ("spec", "text not null", "the spec"),
            ("kind", "text not null check (kind in ('train', 'predict'))", "what the file is for"),
            ("uri", "text not null", "where the file lies"),
            ("mark", "text not null", "changes whenever the file is written"),
            ("announced_at", "timestamptz not null", "when it was announced last"),
            ("", "primary key (spec, kind, uri, mark)", ""),
        ),
    ),
    "form": (
        "every form of a spec that the tables were made for",
        (
            ("spec", "text not null", "the spec"),
            ("sha256", "text not null", "SHA-256 of its columns and their descriptions"),
            ("key", "text", "its key column"),
            ("at", "timestamptz not null default clock_timestamp()", "when the tables were brought to it"),
            ("", "primary key (spec, sha256)", ""),
        ),
    ),
}

# A batch that is done exists once. Of a file that is refused again, under its name, the last refusal is kept.
KEYS = """
create unique index batch_done on mart.batch (spec, kind, sha256, coalesce(version, 0)) where status = 'done';
create unique index batch_refused on mart.batch (spec, kind, uri, mark, coalesce(version, 0))
    where status = 'refused';
create index batch_newest on mart.batch (spec, kind, data_time desc);
create index training_batch on mart.training (batch_id)
"""


def upgrade() -> None:
    """Make the tables; the schema is there already."""
    op.execute("create sequence mart.batch_id")
    for table, (holds, columns) in TABLES.items():
        op.execute(f"create table mart.{table} ({', '.join(f'{name} {kind}' for name, kind, _ in columns)})")
        op.execute(f"comment on table mart.{table} is {_quoted(holds)}")
        for name, _, told in columns:
            if name:
                op.execute(f"comment on column mart.{table}.{name} is {_quoted(told)}")
    op.execute(KEYS)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
