"""Read the data marts: three predictions with everything behind them, the newest scores, and rejected rows."""

from contextlib import closing

import psycopg2

from gauntlet.bootstrap import load_settings
from gauntlet.bootstrap.marts import mart_url

SPEC = "health"

QUESTIONS = {
    "three predictions, and what is behind each": f"""
        select row_number, row_id, mdvis, disea, idp, prediction, round(probability_1::numeric, 3) as probability_1,
               model_name, model_version, verdict, verdict_reason, input_uri, left(snapshot_sha256, 8) as trained_on
        from mart.{SPEC}_prediction
        order by batch_id desc, row_number
        limit 3""",
    "the newest score of a row, however often it was scored": f"""
        select row_id, prediction, model_version, scored_at
        from mart.{SPEC}_latest
        order by row_id
        limit 3""",
    "rows that broke the spec": """
        select batch.uri, row_number, reasons, "row"
        from mart.rejected_row
        join mart.batch on batch.id = rejected_row.batch_id
        where batch.spec = %(spec)s
        order by batch_id desc, row_number
        limit 3""",
}

with closing(psycopg2.connect(mart_url(load_settings()))) as connection, connection.cursor() as cursor:
    for question, query in QUESTIONS.items():
        cursor.execute(query, {"spec": SPEC})
        columns = [column.name for column in cursor.description or ()]
        print(f"\n{question}:")
        for row in cursor.fetchall():
            print("  " + "  ".join(f"{name}={value}" for name, value in zip(columns, row, strict=True)))
