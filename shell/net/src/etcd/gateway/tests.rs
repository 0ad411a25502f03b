use fuzz::{Outcome, Target};

use super::*;

/// As etcd 3.4 answered to a swap that succeeded, and to one that did not, beside a sign; the keys are of pair 00…00.
const SWAPPED: &str = r#"{"header":{"cluster_id":"14841639068965178418","member_id":"10276657743932975437","revision":"2",
"raft_term":"2"},"succeeded":true,"responses":[{"response_put":{"header":{"revision":"2"}}},{"response_range":{"header":
{"revision":"2"},"kvs":[{"key":"HOLDER","create_revision":"2","mod_revision":"2","version":"1","value":"AAAA"}],
"count":"1"}},{"response_range":{"header":{"revision":"2"}}},{"response_range":{"header":{"revision":"2"}}}]}"#;
const NOT_SWAPPED: &str = r#"{"header":{"cluster_id":"14841639068965178418","member_id":"10276657743932975437",
"revision":"3","raft_term":"2"},"responses":[{"response_put":{"header":{"revision":"3"}}},{"response_range":{"header":
{"revision":"3"},"kvs":[{"key":"HOLDER","create_revision":"2","mod_revision":"2","version":"1","value":"AAAA"}],
"count":"1"}},{"response_range":{"header":{"revision":"3"}}},{"response_range":{"header":{"revision":"3"},"kvs":[{"key":
"SIGN","create_revision":"3","mod_revision":"3","version":"1"}],"count":"1"}}]}"#;

fn keys() -> Keys {
    Keys::new([0; 8])
}

fn said(text: &str) -> Value {
    let text = text.replace("HOLDER", &STANDARD.encode(keys().holder));
    serde_json::from_str(&text.replace("SIGN", &STANDARD.encode(&keys().nodes[1]))).expect("JSON")
}

fn entry(revision: u64, bytes: &[u8]) -> Option<Entry> {
    Some(Entry { revision, bytes: bytes.to_vec() })
}

#[test]
fn what_etcd_answers_is_read() {
    let reading = keys().reading_of(&said(SWAPPED));
    let expected = Reading { swapped: true, record: entry(2, &[0; 3]), signs: [None, None] };
    assert_eq!(reading, Some(expected));
    let reading = keys().reading_of(&said(NOT_SWAPPED));
    let expected = Reading { swapped: false, record: entry(2, &[0; 3]), signs: [None, entry(3, &[])] };
    assert_eq!(reading, Some(expected));
    let header = header(&said(SWAPPED));
    assert_eq!(header, Some(Header { cluster: 14_841_639_068_965_178_418, revision: 2 }));
}

#[test]
fn other_names_of_the_same_fields_are_read_too() {
    let camel = SWAPPED.replace("response_range", "responseRange").replace("mod_revision", "modRevision");
    assert_eq!(keys().reading_of(&said(&camel)), keys().reading_of(&said(SWAPPED)));
}

#[test]
fn half_an_answer_is_none() {
    let whole = said(NOT_SWAPPED);
    for missing in 0..4 {
        let mut half = whole.clone();
        half["responses"].as_array_mut().expect("responses").remove(missing);
        // The first one is of the sign that was written.
        assert_eq!(keys().reading_of(&half).is_some(), missing == 0, "{missing}");
    }
    for wrong in [
        "{}",
        "[]",
        r#"{"header":{"revision":"1"}}"#,
        r#"{"header":{"revision":"1"},"responses":7}"#,
        r#"{"header":{"revision":"-1"},"responses":[]}"#,
    ] {
        assert_eq!(keys().reading_of(&said(wrong)), None, "{wrong}");
    }
    for (of, wrong) in [(r#""value":"AAAA""#, r#""value":"A""#), (r#""mod_revision":"2""#, r#""mod_revision":"x""#)] {
        assert_eq!(keys().reading_of(&said(&SWAPPED.replace(of, wrong))), None, "{wrong}");
    }
}

#[test]
fn a_transaction_writes_what_it_is_to_and_reads_everything_either_way() {
    let swap = Some(Swap { revision: 7, record: vec![1] });
    let request = Request { number: 1, swap, sign: Some(vec![2]) };
    let transaction = keys().transaction(1, &request);
    let (holder, nodes) = (STANDARD.encode(keys().holder), keys().nodes.map(|key| STANDARD.encode(key)));
    assert_eq!(
        transaction["compare"],
        json!([{ "key": holder, "target": "MOD", "result": "EQUAL", "mod_revision": "7" }])
    );
    let range = |key: &String| json!({ "request_range": { "key": key } });
    let reading = [range(&holder), range(&nodes[0]), range(&nodes[1])];
    let sign = json!({ "request_put": { "key": nodes[1], "value": "Ag==" } });
    let record = json!({ "request_put": { "key": holder, "value": "AQ==" } });
    let after: Vec<Value> = std::iter::once(sign).chain(reading.clone()).collect();
    let swapped: Vec<Value> = std::iter::once(record).chain(after.clone()).collect();
    assert_eq!(transaction["success"], json!(swapped));
    assert_eq!(transaction["failure"], json!(after));
    let look = keys().transaction(0, &Request { number: 1, swap: None, sign: None });
    assert_eq!(look, json!({ "success": reading }));
}

#[test]
fn a_trial_needs_all_permissions_and_can_write_nothing() {
    let trial = keys().trial();
    assert_eq!(trial["compare"][0]["mod_revision"], json!("9223372036854775807"));
    assert_eq!(trial["success"].as_array().map(Vec::len), Some(5));
    assert_eq!(trial["failure"], json!(keys().reading()));
}

#[test]
fn a_pairs_keys_are_its_own() {
    let keys = Keys::new([0xab, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(keys.holder, "/tandem/ab00000000000001/holder");
    assert_eq!(keys.nodes, ["/tandem/ab00000000000001/node-0", "/tandem/ab00000000000001/node-1"]);
}

#[test]
fn a_refusal_is_one_short_line_whatever_it_says() {
    let denied = br#"{"error":"etcdserver: permission denied","message":"etcdserver: permission denied","code":7}"#;
    assert_eq!(refusal_of(denied), "etcdserver: permission denied");
    assert_eq!(refusal_of(b"<html>"), "no reason given");
    let long = json!({ "message": format!("a\n\u{1b}[31m{}", "b".repeat(1_000)) }).to_string();
    let refusal = refusal_of(long.as_bytes());
    assert!(refusal.starts_with("a[31mbbb") && refusal.len() == REFUSAL_CHARS_MAX, "{refusal}");
}

#[test]
fn etcd_answer() {
    let corpus = [SWAPPED, NOT_SWAPPED].map(|text| said(text).to_string());
    let pieces: [&[u8]; 6] = [b"\"kvs\":[", b"{\"key\":\"\"}", b"null", b"-1", b"[]", b"\"value\":\"=\""];
    Target::new("etcd_answer", corpus).pieces(&pieces).run(|input| {
        let answer: Result<Value, _> = serde_json::from_slice(input);
        let reading = answer.ok().and_then(|answer| keys().reading_of(&answer));
        assert!(!refusal_of(input).contains('\n'));
        Outcome::of(&reading.ok_or(()))
    });
}
