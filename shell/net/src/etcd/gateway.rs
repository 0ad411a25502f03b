//! What a witness's record looks like in etcd, and how etcd's gateway from JSON to its own protocol is asked for it: the
//! bodies of `/v3/kv/txn` and `/v3/auth/authenticate`. Bytes are in Base64 there, and 64-bit numbers are strings.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use node::cluster::witness::deputy::{Entry, NODES, Reading, Request, Swap};
use serde_json::{Value, json};

use crate::witness::PairNumber;

#[cfg(test)]
mod tests;

/// All of it is below this; an operator's permissions are for `/tandem/`.
pub const ROOT: &str = "/tandem/";

/// A refusal's text in the log.
const REFUSAL_CHARS_MAX: usize = 200;

/// The names under which a pair's record and the nodes' signs of life are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    pub holder: String,
    pub nodes: [String; NODES],
}

/// What stands in an answer beside what was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// One number for all members.
    pub cluster: u64,
    /// Grows with each change of anything.
    pub revision: u64,
}

impl Keys {
    pub fn new(pair: PairNumber) -> Self {
        let pair: String = pair.iter().map(|byte| format!("{byte:02x}")).collect();
        let key = |name: &str| format!("{ROOT}{pair}/{name}");
        Self { holder: key("holder"), nodes: [key("node-0"), key("node-1")] }
    }

    /// The writes of one request, as this node, and the reading after them.
    pub fn transaction(&self, node: usize, request: &Request) -> Value {
        let sign = request.sign.as_ref().zip(self.nodes.get(node));
        let sign = sign.map(|(bytes, key)| put(key, bytes));
        let after = || sign.iter().cloned().chain(self.reading()).collect::<Vec<Value>>();
        let Some(Swap { revision, record }) = &request.swap else { return json!({ "success": after() }) };
        let compare = json!({
            "key": STANDARD.encode(&self.holder),
            "target": "MOD",
            "result": "EQUAL",
            "mod_revision": revision.to_string(),
        });
        let swapped: Vec<Value> = std::iter::once(put(&self.holder, record)).chain(after()).collect();
        json!({ "compare": [compare], "success": swapped, "failure": after() })
    }

    /// Asks for all that a node needs to be allowed, and changes nothing: no key was ever changed at this revision.
    pub fn trial(&self) -> Value {
        let swap = Some(Swap { revision: i64::MAX as u64, record: Vec::new() });
        let mut trial = self.transaction(0, &Request { number: 0, swap, sign: Some(Vec::new()) });
        if let Some(failure) = trial.get_mut("failure") {
            *failure = Value::Array(self.reading());
        }
        trial
    }

    /// The record as it was at that revision of the store.
    pub fn past(&self, revision: u64) -> Value {
        json!({ "key": STANDARD.encode(&self.holder), "revision": revision.to_string() })
    }

    fn reading(&self) -> Vec<Value> {
        let range = |key: &String| json!({ "request_range": { "key": STANDARD.encode(key) } });
        std::iter::once(&self.holder).chain(&self.nodes).map(range).collect()
    }

    /// What the answer to a transaction says; `None` if it is none.
    pub fn reading_of(&self, answer: &Value) -> Option<Reading> {
        header(answer)?;
        let mut reading = Reading { swapped: flag(answer, "succeeded"), ..Reading::default() };
        let mut ranges = 0;
        for response in answer.get("responses")?.as_array()? {
            let Some(range) = either(response, "response_range", "responseRange") else { continue };
            ranges += 1;
            for pair in range.get("kvs").and_then(Value::as_array).into_iter().flatten() {
                let key = bytes(pair.get("key")?)?;
                // A value of no bytes is left out.
                let value = pair.get("value").map_or(Some(Vec::new()), bytes)?;
                let entry = Entry { revision: number(either(pair, "mod_revision", "modRevision")?)?, bytes: value };
                if key == self.holder.as_bytes() {
                    reading.record = Some(entry);
                } else if let Some(node) = self.nodes.iter().position(|name| key == name.as_bytes()) {
                    reading.signs[node] = Some(entry);
                }
            }
        }
        // What was not read must not be taken for missing.
        (ranges == 1 + NODES).then_some(reading)
    }
}

/// Body of `/v3/auth/authenticate`.
pub fn login(user: &str, password: &str) -> Value {
    json!({ "name": user, "password": password })
}

/// What says in each further request that this is the user.
pub fn token_of(answer: &Value) -> Option<String> {
    answer.get("token")?.as_str().map(str::to_owned)
}

pub fn header(answer: &Value) -> Option<Header> {
    let header = answer.get("header")?;
    let cluster = either(header, "cluster_id", "clusterId").and_then(number).unwrap_or_default();
    Some(Header { cluster, revision: header.get("revision").and_then(number)? })
}

/// Why etcd refuses, in one short line: its words may be anything.
pub fn refusal_of(answer: &[u8]) -> String {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let text = ["message", "error"].into_iter().find_map(|name| answer.get(name)?.as_str());
    let printable = text.unwrap_or("no reason given").chars().filter(|letter| !letter.is_control());
    printable.take(REFUSAL_CHARS_MAX).collect()
}

fn put(key: &str, value: &[u8]) -> Value {
    json!({ "request_put": { "key": STANDARD.encode(key), "value": STANDARD.encode(value) } })
}

/// Gateways differ in how they write the names of fields.
fn either<'a>(value: &'a Value, one: &str, other: &str) -> Option<&'a Value> {
    value.get(one).or_else(|| value.get(other))
}

/// What is false is left out.
fn flag(value: &Value, name: &str) -> bool {
    value.get(name).and_then(Value::as_bool).unwrap_or_default()
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    STANDARD.decode(value.as_str()?).ok()
}
