//! What is left of statements, and that no value is.

use super::{
    Dialect::{self, MySql, Postgres, Sqlite, Unknown},
    LONGEST, masked, summary,
};
use proptest::prelude::*;

const ALL: [Dialect; 4] = [Postgres, MySql, Sqlite, Unknown];

#[test]
fn values_of_every_spelling_are_masked() {
    for (dialect, given, shown) in [
        (
            Postgres,
            "SELECT * FROM t WHERE a = 'it''s' AND b=-1.5e-3",
            "SELECT * FROM t WHERE a = ? AND b=?",
        ),
        (
            Postgres,
            r"SELECT E'it\'s' || U&'d\0061t'",
            "SELECT ? || U&?",
        ),
        (
            Postgres,
            "SELECT $$a'b$$, $x$ $$ $x$, x'ff', B'01', 0x1F FROM t",
            "SELECT ? FROM t",
        ),
        (
            Postgres,
            "SELECT a$1b FROM \"we'ird\" WHERE id = $1",
            "SELECT a$1b FROM \"we'ird\" WHERE id = ?",
        ),
        (
            Postgres,
            "SELECT '5'::int, a::text FROM t -- it's\n/* a /* 'b' */ c */ LIMIT 5 OFFSET 7;",
            "SELECT ?::int, a::text FROM t LIMIT ? OFFSET ?",
        ),
        (Postgres, "SELECT a #> '{b}' FROM t", "SELECT a #> ? FROM t"),
        (Postgres, r"SELECT 'C:\' AND b = 'secret'", "SELECT ?"),
        (Postgres, "SELECT 'never closed", "SELECT ?"),
        (Postgres, "SELECT \"never closed", "SELECT ?"),
        (Postgres, "SELECT $x$never closed", "SELECT ?"),
        (
            MySql,
            "SELECT \"a\"\"b\", `c`, @d # it's\nFROM t WHERE e = 5--3",
            "SELECT ?, `c`, @d FROM t WHERE e = ?-?",
        ),
        (MySql, r"SELECT 'it\'s secret'", "SELECT ?"),
        (
            Unknown,
            "SELECT a -- c\rFROM t WHERE b = 'x\nd'",
            "SELECT a?",
        ),
        (Unknown, "SELECT a -- c\r\nFROM t", "SELECT a FROM t"),
        // What ends a comment in PostgreSQL alone.
        (
            Postgres,
            "SELECT a -- it's\rFROM t WHERE b = 'c'",
            "SELECT a FROM t WHERE b = ?",
        ),
        (
            MySql,
            "SELECT a -- it's\rtoken d\nFROM t",
            "SELECT a FROM t",
        ),
        (
            Sqlite,
            "SELECT a -- it's\rtoken d\nFROM t",
            "SELECT a FROM t",
        ),
        (
            Sqlite,
            "SELECT a FROM \"t\" WHERE a = \"b\" AND \"t\".\"c\" = \"u\".\"d\" AND e = :name AND f IN (\"x\", \"y\")",
            "SELECT a FROM \"t\" WHERE a = ? AND \"t\".\"c\" = \"u\".\"d\" AND e = :name AND f IN (?)",
        ),
        (
            Sqlite,
            r"SELECT '\', [it's] FROM t WHERE c = 'd'",
            "SELECT ?, [it's] FROM t WHERE c = ?",
        ),
        (
            Sqlite,
            "INSERT INTO t VALUES (\"a\", 1)",
            "INSERT INTO t VALUES (?)",
        ),
        (
            Unknown,
            "SELECT a FROM t WHERE b = 'c' # and\n AND d = 'e'",
            "SELECT a FROM t WHERE b = ??",
        ),
        (
            Unknown,
            "SELECT a FROM t WHERE b = \"c\"",
            "SELECT a FROM t WHERE b = ?",
        ),
    ] {
        assert_eq!(masked(given, dialect), shown, "{dialect:?} {given}");
    }
}

#[test]
fn lists_and_rows_of_values_are_one() {
    for (given, shown) in [
        (
            "SELECT a FROM t WHERE b IN (1, -2, 'c', $4) AND d IN (SELECT e FROM f)",
            "SELECT a FROM t WHERE b IN (?) AND d IN (SELECT e FROM f)",
        ),
        (
            "INSERT INTO t (a, b) VALUES ($1, now()), ($2, now()), ($3, 5) ON CONFLICT DO NOTHING",
            "INSERT INTO t (a, b) VALUES (?, now()) ON CONFLICT DO NOTHING",
        ),
        (
            "INSERT INTO t VALUES (1,(2)) ON DUPLICATE KEY UPDATE a=VALUES(a), b=VALUES(b)",
            "INSERT INTO t VALUES (?,(?)) ON DUPLICATE KEY UPDATE a=VALUES(a), b=VALUES(b)",
        ),
        (
            "SELECT a - 1, -b, (-1) FROM t",
            "SELECT a - ?, -b, (?) FROM t",
        ),
    ] {
        assert_eq!(masked(given, Postgres), shown);
    }
}

#[test]
fn what_is_shown_is_bounded_and_what_is_read_too() {
    let columns: Vec<String> = (0..2_000).map(|n| format!("column_é_{n}")).collect();
    let shown = masked(&format!("SELECT {} FROM t", columns.join(", ")), Postgres);
    assert!(shown.len() <= LONGEST + 3 && shown.ends_with('…'));
    let rows = "('secret'), ".repeat(100_000);
    let shown = masked(&format!("INSERT INTO t VALUES {rows}"), Postgres);
    assert_eq!(shown, "INSERT INTO t VALUES (?)…");
}

#[test]
fn a_summary_has_the_operation_and_two_tables() {
    for (given, said) in [
        ("select * from orders where id = 1", "SELECT orders"),
        (
            "INSERT INTO order_items (a) VALUES (1)",
            "INSERT order_items",
        ),
        (
            "SELECT * FROM orders o JOIN customers c ON c.id = o.id JOIN third t ON true",
            "SELECT orders customers",
        ),
        (
            "SELECT * FROM orders o, customers c",
            "SELECT orders customers",
        ),
        (
            "SELECT extract(year FROM at), (SELECT count(*) FROM items) FROM orders",
            "SELECT items orders",
        ),
        (
            "SELECT * FROM (SELECT * FROM inner_one) x JOIN app.\"Outer\" y USING (id)",
            "SELECT inner_one app.Outer",
        ),
        ("SELECT 1 WHERE a IS DISTINCT FROM b", "SELECT"),
        ("SELECT * FROM generate_series(1, 10)", "SELECT"),
        ("SELECT * FROM jobs FOR UPDATE SKIP LOCKED", "SELECT jobs"),
        (
            "WITH recent AS (SELECT * FROM orders), r2(x) AS (SELECT 1) SELECT * FROM recent JOIN users u ON true JOIN r2 ON true",
            "SELECT orders users",
        ),
        (
            "WITH gone AS (DELETE FROM carts RETURNING *) INSERT INTO archive SELECT * FROM gone",
            "INSERT carts archive",
        ),
        (
            "INSERT INTO archive SELECT * FROM orders",
            "INSERT archive SELECT orders",
        ),
        (
            "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 2",
            "INSERT t",
        ),
        ("INSERT OR REPLACE INTO t VALUES (1)", "INSERT t"),
        (
            "UPDATE ONLY \"orders\" SET a = 1 FROM carts",
            "UPDATE orders carts",
        ),
        (
            "(SELECT a FROM orders) UNION (SELECT a FROM archive)",
            "SELECT orders archive",
        ),
        ("((SELECT a FROM orders) LIMIT 1)", "SELECT orders"),
        (
            "WITH Recent AS (SELECT * FROM orders) SELECT * FROM recent",
            "SELECT orders",
        ),
        ("DELETE FROM sessions", "DELETE sessions"),
        ("CALL settle(1)", "CALL settle"),
        (
            "CREATE TEMP TABLE IF NOT EXISTS t (a int)",
            "CREATE TABLE t",
        ),
        (
            "CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)",
            "CREATE INDEX i",
        ),
        ("ALTER USER ada PASSWORD 'x'", "ALTER USER"),
        ("TRUNCATE TABLE orders", "TRUNCATE orders"),
        (
            "MERGE INTO t USING u ON a = b WHEN MATCHED THEN DO NOTHING",
            "MERGE t u",
        ),
        ("BEGIN IMMEDIATE", "BEGIN"),
        ("/* trace */ commit;", "COMMIT"),
        ("SELECT 1 FROM a; DROP TABLE b", "SELECT a"),
        ("EXPLAIN SELECT * FROM t", "EXPLAIN"),
        ("PRAGMA table_info('t')", "PRAGMA"),
        ("hunter2 is no verb", "_OTHER"),
        ("", "_OTHER"),
        ("'secret'", "_OTHER"),
    ] {
        assert_eq!(summary(given, Postgres), said, "{given}");
    }
    let long = format!("SELECT * FROM {} JOIN {}", "a".repeat(127), "b".repeat(128));
    assert!(summary(&long, MySql).len() <= 255);
}

/// A statement with the literal where literals come.
fn planted(literal: &str) -> Vec<String> {
    vec![
        format!("SELECT * FROM orders WHERE a = {literal} AND b = 1"),
        format!("SELECT {literal}, b FROM orders WHERE c IN (1, {literal}, 2)"),
        format!("INSERT INTO orders VALUES (1, {literal}), ({literal}, 2)"),
        format!("UPDATE orders SET a={literal}, b = {literal} WHERE c > {literal}"),
        format!("SELECT 'x', {literal}/* {literal} */ FROM orders -- {literal}\nLIMIT 1"),
    ]
}

fn spelled(dialect: Dialect, secret: &str) -> Vec<String> {
    let quoted = secret.replace('\'', "''");
    let mut spelled = vec![format!("'{quoted}'"), format!("N'{quoted}'")];
    let slashed = secret.replace('\\', "\\\\").replace('\'', "\\'");
    match dialect {
        Postgres => {
            spelled.push(format!("E'{slashed}'"));
            spelled.push(format!("$q${}$q$", secret.replace('$', "")));
        }
        MySql => {
            spelled.push(format!("'{slashed}'"));
            spelled.push(format!("\"{}\"", secret.replace('"', "\"\"")));
        }
        Sqlite | Unknown => {}
    }
    spelled
}

proptest! {
    #[test]
    fn what_is_planted_as_a_literal_never_comes_out(
        noise in "[a-z'\\\\\"`$#;*/? \\-]{0,12}",
        tail in "[a-z'\\\\\"`$#;*/? \\-]{0,12}",
    ) {
        const SECRET: &str = "S3CR3T";
        for dialect in ALL {
            for literal in spelled(dialect, &format!("{noise}{SECRET}{tail}")) {
                // What ends the comment that it is planted in is outside of any literal there.
                if literal.contains("*/") || literal.contains("/*") {
                    continue;
                }
                for statement in planted(&literal) {
                    let shown = masked(&statement, dialect);
                    prop_assert!(!shown.contains(SECRET), "{dialect:?} {statement} -> {shown}");
                    prop_assert!(!summary(&statement, dialect).contains(SECRET));
                }
            }
        }
    }

    #[test]
    fn numbers_never_come_out(number in 100_000_i64.., fraction in 100_000_u32..) {
        for dialect in ALL {
            for literal in [format!("{number}"), format!("-{number}.{fraction}"), format!("{number}e{fraction}"), format!(".{fraction}")] {
                for statement in planted(&literal) {
                    let shown = masked(&statement, dialect);
                    prop_assert!(!shown.contains(&number.to_string()), "{shown}");
                    prop_assert!(!shown.contains(&fraction.to_string()), "{shown}");
                }
            }
        }
    }

    #[test]
    fn whatever_is_given_is_read_to_its_end(text in "\\PC{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let lossy = String::from_utf8_lossy(&bytes);
        for given in [text.as_str(), &lossy] {
            for dialect in ALL {
                let shown = masked(given, dialect);
                prop_assert!(shown.len() <= LONGEST + 3);
                prop_assert!(summary(given, dialect).len() <= 255);
            }
        }
    }

    #[test]
    fn what_is_masked_stays_as_it_is(text in "(SELECT|FROM|t|a|=|'x'|1|\\(|\\)|,|VALUES|IN| |-|\\?|\"q\"){0,40}") {
        let once = masked(&text, Postgres);
        prop_assert_eq!(masked(&once, Postgres), once);
    }
}
