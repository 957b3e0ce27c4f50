"""One psycopg connection through the agent: statements in as JSON on stdin, answers out as JSON on stdout."""
import json
import sys

import psycopg

plan = json.load(sys.stdin)
answers = []
with psycopg.connect(
    host=plan["host"], port=plan["port"], user=plan["user"], dbname=plan["dbname"],
    sslmode="verify-full", sslrootcert=plan["ca"], autocommit=True,
) as connection:
    for statement in plan["statements"]:
        try:
            with connection.cursor() as cursor:
                if "value" in statement:
                    cursor.execute(statement["sql"], (statement["value"],), prepare=True)
                else:
                    cursor.execute(statement["sql"])
                rows = cursor.fetchall() if cursor.description else []
                answers.append({
                    "rows": [[None if cell is None else str(cell) for cell in row] for row in rows],
                    "message": "",
                })
        except psycopg.Error as error:
            answers.append({
                "rows": [],
                "sqlstate": error.sqlstate or "",
                "message": f"{error.diag.message_primary or error} {error.diag.message_detail or ''}".strip(),
            })
print(json.dumps(answers))
