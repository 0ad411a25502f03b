//! Call records as `tandem cdr --json` prints them, with Asterisk's column names.

use serde::Deserialize;
use serde_json::Value;

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct CallRow {
    pub src: String,
    pub dst: String,
    pub disposition: String,
    /// Seconds from the first INVITE to the end.
    pub duration: f64,
    /// Seconds from the answer to the end.
    pub billsec: f64,
    /// What makes the record one, on whichever node it is; made with the first INVITE.
    #[serde(default)]
    pub identity: Value,
}

impl CallRow {
    /// A list, an object that holds a list, or one object a line.
    pub fn read(text: &str) -> Result<Vec<Self>, serde_json::Error> {
        let mut rows = Vec::new();
        for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
            match value? {
                Value::Array(list) => rows.extend(list),
                Value::Object(object) if object.contains_key("src") => rows.push(Value::Object(object)),
                Value::Object(object) => {
                    rows.extend(object.into_iter().filter_map(|(_, value)| value.as_array().cloned()).flatten());
                }
                other => rows.push(other),
            }
        }
        rows.into_iter().map(|row| serde_json::from_value(row_of(row))).collect()
    }
}

/// One identity is enough, and serde takes two names of one field for a mistake.
fn row_of(mut row: Value) -> Value {
    if let Some(object) = row.as_object_mut() {
        let identity = ["identity", "uniqueid", "id"].iter().filter_map(|name| object.remove(*name)).next();
        object.retain(|name, _| !matches!(name.as_str(), "identity" | "uniqueid" | "id"));
        object.insert("identity".to_owned(), identity.unwrap_or(Value::Null));
    }
    row
}
