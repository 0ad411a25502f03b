use super::options::{
    Options, PJSIP_AOR, PJSIP_AUTH, PJSIP_ENDPOINT, PJSIP_GLOBAL, PJSIP_IDENTIFY, PJSIP_TRANSPORT, RTP, SIP_GENERAL,
    SIP_PEER,
};
use super::value::{address, network};
use super::*;

fn loaded(file: &str, text: &str) -> Loaded {
    let extensions = "[default]\n[c]\n";
    load(&[(file, text), ("extensions.conf", extensions)].into_iter().collect())
}

fn findings(file: &str, text: &str) -> Vec<String> {
    loaded(file, text).diagnostics.iter().map(ToString::to_string).collect()
}

fn peer(general: &str, own: &str) -> Endpoint {
    let text = format!("[general]\n{general}\n[100]\ntype=friend\nhost=dynamic\nsecret=s\n{own}");
    let loaded = loaded("sip.conf", &text);
    let mut configuration = loaded.configuration.unwrap_or_else(|| panic!("{own}: {:?}", loaded.diagnostics));
    configuration.endpoints.remove("100").unwrap()
}

#[test]
fn a_phone_is_challenged_with_what_its_auth_asks_for() {
    use Algorithm::{Md5, Sha256};
    let md5 = "auth_type=md5\nmd5_cred=0123456789abcdef0123456789abcdef";
    let table = [
        ("password=s", vec![Md5]),
        ("password=s\nsupported_algorithms_uas=MD5", vec![Md5]),
        ("password=s\nsupported_algorithms_uas=SHA-256,md5", vec![Sha256, Md5]),
        ("password=s\nsupported_algorithms_uas=SHA-256, SHA-512-256, SHA-256", vec![Sha256]),
        ("password=s\nsupported_algorithms_uas=SHA-512-256", vec![]),
        (md5, vec![Md5]),
        (&format!("{md5}\nsupported_algorithms_uas=SHA-256,MD5"), vec![Md5]),
        (&format!("{md5}\nsupported_algorithms_uas=SHA-256"), vec![]),
    ];
    for (auth, expected) in table {
        let text = format!("[1]\ntype=endpoint\ncontext=c\nauth=1\n[1]\ntype=auth\nusername=1\n{auth}\n");
        let configuration = loaded("pjsip.conf", &text).configuration;
        let endpoint = configuration.and_then(|mut configuration| configuration.endpoints.remove("1"));
        let algorithms = endpoint.and_then(|endpoint| endpoint.credentials).map(|credentials| credentials.algorithms);
        assert_eq!(algorithms.unwrap_or_default(), expected, "{auth}");
    }
    assert_eq!(peer("", "").credentials.unwrap().algorithms, [Md5]);
}

#[test]
fn caller_ids() {
    let table = [
        ("\"5000\" <5000>", "5000", "5000"),
        ("Ann Lee <201>", "Ann Lee", "201"),
        ("\"Lee, Ann\"<201>", "Lee, Ann", "201"),
        ("<201>", "", "201"),
        ("201", "", "201"),
        ("+49 30 1234", "", "+49 30 1234"),
        ("Ann", "Ann", ""),
        ("\"Ann\"", "Ann", ""),
        ("Ann <201", "Ann <201", ""),
        ("", "", ""),
    ];
    for (text, name, number) in table {
        let expected = CallerId { name: name.to_owned(), number: number.to_owned() };
        assert_eq!(caller_id(text), expected, "{text}");
    }
}

#[test]
fn addresses() {
    let table = [
        ("192.0.2.1", Some(("192.0.2.1", None))),
        ("192.0.2.1:5070", Some(("192.0.2.1", Some(5070)))),
        ("sip.example.net", Some(("sip.example.net", None))),
        ("sip.example.net:5070", Some(("sip.example.net", Some(5070)))),
        ("2001:db8::1", Some(("2001:db8::1", None))),
        ("[2001:db8::1]", Some(("2001:db8::1", None))),
        ("[2001:db8::1]:5070", Some(("2001:db8::1", Some(5070)))),
        ("", None),
        ("a b", None),
        ("host:", None),
        ("host:0", None),
        ("host:70000", None),
        ("[2001:db8::1", None),
        ("[::1]5060", None),
        ("[name]:5060", None),
    ];
    for (text, expected) in table {
        let expected = expected.map(|(host, port)| Address { host: host.to_owned(), port });
        assert_eq!(address(text), expected, "{text}");
    }
}

#[test]
fn networks() {
    let table = [
        ("192.0.2.1", "192.0.2.1", true),
        ("192.0.2.1", "192.0.2.2", false),
        ("192.0.2.0/24", "192.0.2.200", true),
        ("192.0.2.0/24", "192.0.3.1", false),
        ("192.0.2.0/255.255.255.0", "192.0.2.200", true),
        ("0.0.0.0/0", "203.0.113.9", true),
        ("192.0.2.0/24", "::ffff:192.0.2.7", true),
        ("2001:db8::/32", "2001:db8:1::1", true),
        ("2001:db8::/32", "2001:db9::1", false),
        ("::/0", "192.0.2.1", false),
    ];
    for (text, of, expected) in table {
        assert_eq!(network(text).unwrap().contains(of.parse().unwrap()), expected, "{text} {of}");
    }
    for text in ["", "name", "192.0.2.0/33", "192.0.2.0/255.0.255.0", "::/129", "::/255.0.0.0", "192.0.2.0/"] {
        assert_eq!(network(text), None, "{text}");
    }
}

#[test]
fn codecs() {
    let table: &[(&str, &str, &[&str])] = &[
        ("", "", &[]),
        ("disallow=all\nallow=all", "", &[]),
        ("disallow=all\nallow=ulaw", "", &["PCMU"]),
        ("disallow=all\nallow=ulaw", "allow=alaw", &["PCMU", "PCMA"]),
        ("disallow=all\nallow=ulaw", "disallow=all\nallow=g722,alaw:20,G722", &["G722", "PCMA"]),
        ("", "allow=!all,opus,PCMU", &["opus", "PCMU"]),
        ("", "allow=ulaw", &[]),
        ("disallow=all\nallow=ulaw&alaw", "allow=gsm", &["GSM"]),
    ];
    for (general, own, expected) in table {
        assert_eq!(peer(general, own).codecs, *expected, "{general} {own}");
    }
    let without = peer("", "disallow=ulaw").codecs;
    assert!(without.len() > 10 && without.contains(&"PCMA".to_owned()) && !without.contains(&"PCMU".to_owned()));
}

#[test]
fn nat() {
    let table = [
        ("", "", true, true),
        ("", "nat=yes", true, true),
        ("", "nat=no", false, false),
        ("nat=no", "", false, false),
        ("nat=no", "nat=yes", true, true),
        ("", "nat=force_rport", true, true),
        ("", "nat=comedia", false, true),
        ("", "nat=force_rport,comedia", true, true),
        ("", "nat=auto_force_rport,auto_comedia", true, true),
        ("", "nat=never", false, false),
    ];
    for (general, own, force_rport, symmetric_media) in table {
        let peer = peer(general, own);
        let found = (peer.force_rport, peer.symmetric_media, peer.rewrite_contact);
        assert_eq!(found, (force_rport, symmetric_media, force_rport), "{general} {own}");
    }
}

#[test]
fn qualify() {
    let table = [
        ("", "", None),
        ("", "qualify=yes", Some(60)),
        ("", "qualify=2000", Some(60)),
        ("qualify=yes\nqualifyfreq=30", "", Some(30)),
        ("qualify=yes", "qualify=no", None),
        ("qualify=yes", "qualifyfreq=10", Some(10)),
    ];
    for (general, own, seconds) in table {
        assert_eq!(peer(general, own).qualify, seconds.map(Duration::from_secs), "{general} {own}");
    }
}

/// Who may register, who is asked for a password when calling, and how a caller is recognised.
#[test]
fn kinds_of_peer() {
    let table = [
        ("", true, true, true, 0),
        ("type=peer", true, true, true, 0),
        ("type=user", false, true, true, 0),
        ("host=192.0.2.1", false, true, true, 1),
        ("host=192.0.2.1\ntype=peer", false, true, false, 1),
        ("host=192.0.2.1\ntype=user", false, true, true, 0),
        ("host=192.0.2.1\nsecret=", false, false, false, 1),
        ("host=sip.example.net\ntype=peer", false, true, false, 0),
        ("insecure=port,invite", true, false, true, 0),
        ("insecure=port", true, true, true, 0),
        ("insecure=very", true, false, true, 0),
        ("secret=", true, false, true, 0),
    ];
    for (own, registers, challenged, by_name, addresses) in table {
        let peer = peer("", own);
        let found =
            (!peer.aors.is_empty(), peer.challenge_calls, peer.identify_by_name, peer.identify_by_address.len());
        assert_eq!(found, (registers, challenged, by_name, addresses), "{own}");
        assert_eq!(peer.max_contacts, usize::from(registers), "{own}");
    }
}

#[test]
fn account_codes() {
    assert_eq!(peer("", "").account_code, None);
    assert_eq!(peer("", "accountcode=").account_code, None);
    assert_eq!(peer("", "accountcode=sales").account_code.as_deref(), Some("sales"));
    let text = "[100]\ntype=endpoint\naccountcode=support\n";
    let endpoints = loaded("pjsip.conf", text).configuration.unwrap().endpoints;
    assert_eq!(endpoints["100"].account_code.as_deref(), Some("support"));
}

#[test]
fn secrets_are_kept_and_never_shown() {
    let ha1 = "0123456789ABCDEF0123456789abcdef";
    let peer = peer("realm=office", &format!("secret=hidden\nmd5secret={ha1}"));
    let credentials = peer.credentials.clone().unwrap();
    assert_eq!((credentials.username.as_str(), credentials.realm.as_str()), ("100", "office"));
    assert_eq!(credentials.secret, Secret::Ha1Md5(ha1.to_ascii_lowercase()));
    assert!(!format!("{peer:?}").contains("0123"));
    assert_eq!(format!("{:?}", Secret::Plain("hidden".to_owned())), "Plain(..)");
    let findings = findings("sip.conf", "[100]\ntype=friend\nmd5secret=hidden\nsekret=hidden\nremotesecret=hidden");
    assert_eq!(findings.len(), 3);
    assert!(!findings.concat().contains("hidden"), "{findings:?}");
}

#[test]
fn listening() {
    let table = [
        ("", "0.0.0.0", 5060),
        ("bindport=10985\nbindaddr=0.0.0.0", "0.0.0.0", 10985),
        ("bindaddr=192.0.2.1:5070\nbindport=5080", "192.0.2.1", 5070),
        ("udpbindaddr=192.0.2.2\nbindaddr=192.0.2.1\nbindport=5080", "192.0.2.2", 5080),
        ("bindaddr=::", "::", 5060),
        ("udpbindaddr=[::1]:5099", "::1", 5099),
    ];
    for (text, bind, port) in table {
        let configuration = loaded("sip.conf", &format!("[general]\n{text}")).configuration.unwrap();
        let expected = [Transport { bind: bind.parse().unwrap(), port }];
        assert_eq!(configuration.general.transports, expected, "{text}");
    }
}

#[test]
fn registration_bounds() {
    let text = "minexpiry=120\nmaxexpiry=1800\ndefaultexpiry=600";
    let expected = RegistrationSeconds { min: 120, max: 1800, default: 600 };
    assert_eq!(peer(text, "").registration, expected);
    let contradiction = "sip.conf:1: error: registrations: minimum 120, default 120 and maximum 60 s contradict";
    assert_eq!(findings("sip.conf", "[general]\nminexpiry=120\nmaxexpiry=60"), [contradiction]);
}

#[test]
fn missing_files() {
    let found = load(&Files::default());
    assert_eq!(found.configuration, None);
    let texts: Vec<_> = found.diagnostics.iter().map(ToString::to_string).collect();
    let no_dialplan = "extensions.conf:0: error: there is no extensions.conf";
    let no_phones = "sip.conf:0: error: there is neither a sip.conf nor a pjsip.conf";
    assert_eq!(texts, [no_dialplan, no_phones]);
    assert!(loaded("sip.conf", "").configuration.is_some());
}

#[test]
fn one_name_in_both_files_is_refused() {
    let files = [
        ("sip.conf", "[100]\ntype=friend\nsecret=s"),
        ("pjsip.conf", "[100]\ntype=endpoint"),
        ("extensions.conf", "[default]"),
    ];
    let found = load(&files.into_iter().collect());
    let error = found.diagnostics.iter().find(|found| found.severity == conf::Severity::Error).unwrap();
    assert_eq!(error.to_string(), "pjsip.conf:1: error: the endpoint `100` is there already, at sip.conf:1");
}

#[test]
fn endpoints_are_found_by_aor_and_by_address() {
    let text = "[t]\ntype=transport\nbind=0.0.0.0\n[a]\ntype=endpoint\naors=desk,a2\n[b]\ntype=endpoint\n\
        [desk]\ntype=aor\n[a2]\ntype=aor\n[ia]\ntype=identify\nendpoint=a\nmatch=192.0.2.0/24\n\
        [ib]\ntype=identify\nendpoint=b\nmatch=192.0.2.128/25";
    let configuration = loaded("pjsip.conf", text).configuration.unwrap();
    let by_aor = |aor| configuration.endpoint_of_aor(aor).map(|endpoint| endpoint.name.as_str());
    assert_eq!((by_aor("desk"), by_aor("a2"), by_aor("a"), by_aor("b")), (Some("a"), Some("a"), None, None));
    let by_address =
        |address: &str| configuration.endpoint_of_address(address.parse().unwrap()).map(|found| found.name.as_str());
    assert_eq!(by_address("192.0.2.1"), Some("a"));
    assert_eq!(by_address("192.0.2.200"), Some("b"));
    assert_eq!(by_address("192.0.3.1"), None);
}

#[test]
fn contacts_of_an_aor() {
    let table = [
        ("sip:192.0.2.1", Some(("192.0.2.1", None))),
        ("sip:user@host.example:5070;transport=udp", Some(("host.example", Some(5070)))),
        ("sip:[2001:db8::1]:5070?X=y", Some(("2001:db8::1", Some(5070)))),
        ("sips:host.example", None),
        ("host.example", None),
        ("sip:", None),
    ];
    for (contact, expected) in table {
        let text = format!("[a]\ntype=endpoint\naors=a\n[a]\ntype=aor\ncontact={contact}");
        let found =
            loaded("pjsip.conf", &text).configuration.map(|found| found.endpoints["a"].address.clone().unwrap());
        let expected = expected.map(|(host, port)| Address { host: host.to_owned(), port });
        assert_eq!(found, expected, "{contact}");
    }
}

/// A supported option must be one that the section's reader takes, and no option stands in two lists.
#[test]
fn option_lists_agree_with_the_readers() {
    let lists: &[(&Options, &str, &str)] = &[
        (&SIP_GENERAL, "sip.conf", "[general]\n"),
        (&SIP_PEER, "sip.conf", "[100]\ntype=friend\n"),
        (&PJSIP_GLOBAL, "pjsip.conf", "[x]\ntype=global\n"),
        (&PJSIP_TRANSPORT, "pjsip.conf", "[x]\ntype=transport\n"),
        (&PJSIP_AUTH, "pjsip.conf", "[x]\ntype=auth\n"),
        (&PJSIP_AOR, "pjsip.conf", "[x]\ntype=aor\n"),
        (&PJSIP_IDENTIFY, "pjsip.conf", "[x]\ntype=identify\n"),
        (&PJSIP_ENDPOINT, "pjsip.conf", "[x]\ntype=endpoint\n"),
        (&RTP, "rtp.conf", "[general]\n"),
    ];
    for (options, file, section) in lists {
        let complaints = |option: &str, complaint: &str| {
            let found = findings(file, &format!("{section}{option}=?"));
            found.iter().filter(|text| text.contains(complaint)).count()
        };
        for option in options.supported.split_whitespace().filter(|option| *option != "type") {
            assert_eq!(complaints(option, "unknown option"), 0, "{option} in {}", options.kind);
            assert_eq!(
                complaints(option, &format!("`{option}` is not supported yet")),
                0,
                "{option} in {}",
                options.kind
            );
        }
        let ignored = options.known.split_whitespace().chain(options.holding.iter().map(|(name, _)| *name));
        for option in ignored {
            assert_eq!(complaints(option, "is not supported yet, ignored"), 1, "{option} in {}", options.kind);
            assert!(!options.supported.split_whitespace().any(|name| name == option), "{option} in {}", options.kind);
        }
        for (option, values) in options.holding {
            let found = findings(file, &format!("{section}{option}={}", values[0]));
            assert!(!found.concat().contains("not supported"), "{option} in {}", options.kind);
            assert!(!options.known.split_whitespace().any(|name| name == *option), "{option} in {}", options.kind);
        }
    }
}

#[test]
fn the_hash_tells_files_apart() {
    let hash = |files: &[(&str, &str)]| super::hash(&files.iter().copied().collect());
    let first = hash(&[("a", "bc"), ("d", "e")]);
    assert_eq!(first, hash(&[("d", "e"), ("a", "bc")]));
    for other in [[("a", "bcd"), ("e", "")], [("ab", "c"), ("d", "e")], [("a", "bc"), ("d", "f")]] {
        assert_ne!(first, hash(&other), "{other:?}");
    }
}
