//! Each server's own numbers are told apart.

use super::*;

#[test]
fn numbers_of_mysql_are_told_apart() {
    let cases = [
        (1045, "Access denied for user 'x'@'y' (using password: YES)", Sort::Login),
        (1049, "Unknown database 'z'", Sort::NoDatabase),
        (1142, "INSERT command denied", Sort::Denied),
        (1290, "The MariaDB server is running with the --read-only option", Sort::ReadOnly),
        (1047, "WSREP has not yet prepared node for application use", Sort::NotPrimary),
        (1114, "The table 'cdr' is full", Sort::Full),
        (1030, "Got error 28 \"No space left on device\" from storage engine InnoDB", Sort::Full),
        (1030, "Got error 168 from storage engine", Sort::Other),
        (3, "Error writing file '/tmp/x' (Errcode: 28 \"No space left on device\")", Sort::Full),
        (1026, "Error writing file './x' (errno: 28 \"No space left on device\")", Sort::Full),
        (1213, "Deadlock found when trying to get lock; try restarting transaction", Sort::Conflict),
        (1180, "Error while appending fragment(provider status: Not connected to Primary Component)", Sort::NotPrimary),
        (1180, "Got error 5 \"Input/output error\" during COMMIT", Sort::Conflict),
        (1040, "Too many connections", Sort::Busy),
        (1062, "Duplicate entry 'cdr' for key 'PRIMARY'", Sort::Exists),
        (1366, "Incorrect string value", Sort::Value),
        (1064, "You have an error in your SQL syntax", Sort::Other),
    ];
    for (number, message, sort) in cases {
        assert_eq!(of_mysql(number, message), sort, "{number} {message}");
    }
}

#[test]
fn states_of_postgres_are_told_apart() {
    let cases = [
        ("28P01", Sort::Login),
        ("3D000", Sort::NoDatabase),
        ("42501", Sort::Denied),
        ("25006", Sort::ReadOnly),
        ("53100", Sort::Full),
        ("40P01", Sort::Conflict),
        ("57P03", Sort::Busy),
        ("22021", Sort::Value),
        ("23505", Sort::Exists),
        ("42601", Sort::Other),
        ("", Sort::Other),
    ];
    for (state, sort) in cases {
        assert_eq!(of_postgres(state), sort, "{state}");
    }
}

/// The secure layer hands its refusals on as errors of reading.
#[test]
fn a_certificate_that_is_not_believed_is_no_server_that_cannot_be_reached() {
    let of = |kind| Trouble::from(sqlx::Error::Io(io::Error::new(kind, "invalid peer certificate: UnknownIssuer")));
    assert!(matches!(of(io::ErrorKind::InvalidData), Trouble::Tls(_)));
    assert!(matches!(of(io::ErrorKind::ConnectionRefused), Trouble::Unreachable(_)));
}

/// Extended codes carry the primary one in their lowest byte.
#[test]
fn codes_of_sqlite_are_told_apart() {
    let cases =
        [("8", Sort::ReadOnly), ("1032", Sort::ReadOnly), ("13", Sort::Full), ("5", Sort::Busy), ("x", Sort::Other)];
    for (code, sort) in cases {
        assert_eq!(of_sqlite(code), sort, "{code}");
    }
}

#[test]
fn a_text_names_what_is_behind_it_once() {
    let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    let text = Trouble::from(sqlx::Error::Io(refused)).text();
    assert!(text.starts_with("it cannot be reached: "), "{text}");
    assert_eq!(text.matches("connection refused").count(), 1, "{text}");
}
