//! A store is looked at as it is, and is the same afterwards.

use std::fs;
use std::path::PathBuf;

use super::*;

struct Directory(PathBuf);

impl Directory {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tandem-examine-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn examined(&self) -> Result<Found, Trouble> {
        let mut examined = examine(&Target::sqlite(&self.0)).unwrap();
        assert_eq!(examined.len(), 1);
        examined.remove(0).result
    }

    /// Makes the table with the statements that are not ours to make.
    fn write(&self, sql: &str) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut connection = Connection::open(&Target::sqlite(&self.0), 0, Purpose::Write).await.unwrap();
            if sql.is_empty() {
                Table::make(&mut connection, "cdr").await.unwrap();
            } else {
                connection.execute(sql, &[]).await.unwrap();
            }
        });
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_file_that_is_missing_stays_so() {
    let directory = Directory::new("missing");
    assert_eq!(directory.examined().unwrap(), Found { table: Fit::Missing, clock_ahead_ms: None });
    assert_eq!(fs::read_dir(&directory.0).unwrap().count(), 0);
}

#[test]
fn a_table_of_ours_fits() {
    let directory = Directory::new("ours");
    directory.write("");
    assert_eq!(directory.examined().unwrap().table, Fit::Fits);
}

/// `src` alone is there: 23 columns, two indexes and the unique one are not.
#[test]
fn what_a_table_lacks_is_counted_and_not_made() {
    let directory = Directory::new("lacks");
    directory.write("CREATE TABLE cdr (src TEXT)");
    assert_eq!(directory.examined().unwrap().table, Fit::Lacks(26));
    assert_eq!(directory.examined().unwrap().table, Fit::Lacks(26));
}

#[test]
fn a_table_that_cannot_be_mended_is_told() {
    let directory = Directory::new("unfit");
    directory.write("CREATE TABLE cdr (answer TEXT NOT NULL)");
    assert!(matches!(directory.examined(), Err(Trouble::Unfit { .. })));
    fs::write(directory.0.join("cdr.sqlite"), "no database, but long enough to look like one ".repeat(40)).unwrap();
    assert!(matches!(directory.examined(), Err(Trouble::Foreign(_))));
}
