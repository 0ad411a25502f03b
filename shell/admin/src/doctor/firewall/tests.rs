use serde_json::json;

use super::super::Verdict;
use super::*;

fn dport(right: Value) -> Value {
    json!({"match": {"op": "==", "left": {"payload": {"protocol": "udp", "field": "dport"}}, "right": right}})
}

fn saddr(right: Value) -> Value {
    json!({"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": right}})
}

fn verdict(name: &str) -> Value {
    json!({ name: null })
}

/// A table with an input chain of this policy.
fn rules(policy: &str, input: &[Vec<Value>], other: &[Vec<Value>]) -> Rules {
    let chain = |name: &str| json!({"family": "inet", "table": "filter", "name": name});
    let mut entry = chain("input");
    for (key, value) in [("hook", "input"), ("type", "filter"), ("policy", policy)] {
        entry[key] = json!(value);
    }
    let mut objects = vec![json!({"metainfo": {}}), json!({"chain": entry}), json!({"chain": chain("other")})];
    let mut add = |chain: &str, rules: &[Vec<Value>]| {
        for rule in rules {
            objects.push(json!({"rule": {"family": "inet", "table": "filter", "chain": chain, "expr": rule}}));
        }
    };
    add("input", input);
    add("other", other);
    Rules::read(&json!({ "nftables": objects }))
}

fn fate(rules: &Rules, port: u16) -> Fate {
    rules.fate(Packet { port, source: None, interface: "eth0" })
}

#[test]
fn without_rules_everything_gets_in() {
    assert_eq!(fate(&Rules::default(), 5060), Fate::Accepted);
    assert_eq!(fate(&rules("accept", &[], &[]), 5060), Fate::Accepted);
    assert_eq!(fate(&rules("drop", &[], &[]), 5060), Fate::Dropped);
}

#[test]
fn ports_ranges_and_sets_are_told_apart() {
    let set = json!({"set": [5060, {"range": [10_000, 20_000]}]});
    let rules = rules("drop", &[vec![dport(set), verdict("accept")]], &[]);
    for (port, wanted) in [(5060, Fate::Accepted), (15_000, Fate::Accepted), (20_001, Fate::Dropped)] {
        assert_eq!(fate(&rules, port), wanted, "{port}");
    }
}

#[test]
fn only_the_first_packet_counts() {
    let state = |right: Value| json!({"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": right}});
    let known = vec![state(json!(["established", "related"])), verdict("accept")];
    assert_eq!(fate(&rules("drop", &[known], &[]), 5060), Fate::Dropped);
    let invalid = vec![state(json!("invalid")), verdict("drop")];
    assert_eq!(fate(&rules("accept", &[invalid], &[]), 5060), Fate::Accepted);
}

#[test]
fn other_interfaces_and_protocols_do_not_count() {
    let loopback = json!({"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "lo"}});
    let tcp = json!({"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 5060}});
    let rules = rules("drop", &[vec![loopback, verdict("accept")], vec![tcp, verdict("accept")]], &[]);
    assert_eq!(fate(&rules, 5060), Fate::Dropped);
}

#[test]
fn chains_are_followed_and_come_back() {
    let jump = vec![json!({"jump": {"target": "other"}})];
    let other = [vec![dport(json!(7700)), verdict("drop")], vec![verdict("return")], vec![verdict("drop")]];
    let rules = rules("accept", &[jump], &other);
    assert_eq!((fate(&rules, 7700), fate(&rules, 5060)), (Fate::Dropped, Fate::Accepted));
}

#[test]
fn what_depends_on_the_sender_is_perhaps_for_a_phone_and_certain_for_the_peer() {
    let network = json!({"prefix": {"addr": "10.77.0.0", "len": 24}});
    let rules = rules("drop", &[vec![saddr(network), dport(json!(7700)), verdict("accept")]], &[]);
    assert_eq!(fate(&rules, 7700), Fate::Perhaps);
    let peer = |source: &str| Packet { port: 7700, source: source.parse().ok(), interface: "eth0" };
    assert_eq!(rules.fate(peer("10.77.0.12")), Fate::Accepted);
    assert_eq!(rules.fate(peer("10.78.0.12")), Fate::Dropped);
}

#[test]
fn a_few_banned_addresses_are_nothing_to_worry_about() {
    let banned = vec![saddr(json!({"set": ["192.0.2.1", "192.0.2.2"]})), verdict("reject")];
    assert_eq!(fate(&rules("accept", &[banned], &[]), 5060), Fate::Accepted);
    let network = vec![saddr(json!({"prefix": {"addr": "10.0.0.0", "len": 8}})), verdict("drop")];
    assert_eq!(fate(&rules("accept", &[network], &[]), 5060), Fate::Perhaps);
}

#[test]
fn what_is_kept_out_is_named() {
    let rules = rules("accept", &[vec![dport(json!(5060)), verdict("drop")]], &[]);
    let wanted = [Wanted::new("SIP", 5060, None), Wanted::new("RTP", 10_000, None)];
    let found = verdicts(&rules, &wanted, "eth0");
    assert_eq!((found[0].verdict, found[0].text.as_str()), (Verdict::Problem, "keeps out SIP (UDP 5060)"));
    assert_eq!(found.len(), 1);
}
