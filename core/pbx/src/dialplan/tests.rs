use super::*;
use crate::conf::{Diagnostics, Files, read};

fn loaded(text: &str) -> (Dialplan, Vec<String>) {
    let files: Files = [("extensions.conf", text)].into_iter().collect();
    let mut diagnostics = Diagnostics::default();
    let conf = read(&files, "extensions.conf", &mut diagnostics).unwrap();
    let dialplan = load(&conf, &mut diagnostics);
    (dialplan, diagnostics.finish().iter().map(ToString::to_string).collect())
}

fn dialplan(text: &str) -> Dialplan {
    let (dialplan, diagnostics) = loaded(text);
    assert_eq!(diagnostics, [""; 0], "{text}");
    dialplan
}

fn caller(number: &str) -> Caller {
    Caller { name: String::new(), number: number.to_owned() }
}

/// What NoOp says on the way of a call from 201, until it ends or the application is another.
fn said(dialplan: &Dialplan, context: &str, number: &str) -> Vec<String> {
    let Some(mut execution) = dialplan.start(context, number, &caller("201")) else { return vec!["404".to_owned()] };
    let mut said = Vec::new();
    loop {
        match dialplan.next(&mut execution) {
            Step::Run(Application::NoOp(text)) => said.push(text),
            Step::Run(other) => said.push(format!("{other:?}")),
            Step::End => return said,
            Step::Failed { reason, line, .. } => {
                said.push(format!("line {line}: {reason}"));
                return said;
            }
        }
    }
}

fn first(text: &str, number: &str) -> Application {
    let dialplan = loaded(text).0;
    let mut execution = dialplan.start("c", number, &caller("201")).unwrap();
    match dialplan.next(&mut execution) {
        Step::Run(application) => application,
        other => panic!("{text}: {other:?}"),
    }
}

fn target(technology: Option<Technology>, endpoint: &str, number: Option<&str>) -> Target {
    Target { technology, endpoint: endpoint.to_owned(), number: number.map(str::to_owned) }
}

#[test]
fn applications() {
    let (sip, pjsip) = (Some(Technology::Sip), Some(Technology::PjSip));
    let dial = |targets: Vec<Target>, seconds: Option<u64>, options: &str| Application::Dial {
        targets,
        timeout: seconds.map(Duration::from_secs),
        options: options.to_owned(),
    };
    let table = [
        ("Dial(SIP/5000,25)", dial(vec![target(sip, "5000", None)], Some(25), "")),
        ("dial(PJSIP/${EXTEN},25)", dial(vec![target(pjsip, "5000", None)], Some(25), "")),
        ("Dial(SIP/201&SIP/202,20,tr)", dial(vec![target(sip, "201", None), target(sip, "202", None)], Some(20), "tr")),
        ("Dial(PJSIP/0301@trunk)", dial(vec![target(pjsip, "trunk", Some("0301"))], None, "")),
        ("Dial(SIP/trunk/0301,,r)", dial(vec![target(sip, "trunk", Some("0301"))], None, "r")),
        ("Dial(Local/5@x & SIP/1)", dial(vec![target(None, "Local/5@x", None), target(sip, "1", None)], None, "")),
        ("Dial(SIP/1,0)", dial(vec![target(sip, "1", None)], None, "")),
        ("Dial()", dial(vec![], None, "")),
        ("Dial,SIP/1|20|r", dial(vec![target(sip, "1", None)], Some(20), "r")),
        ("Dial(SIP/1|20)", dial(vec![target(sip, "1", None)], Some(20), "")),
        ("Dial(SIP/1,${absent})", dial(vec![target(sip, "1", None)], None, "")),
        ("Hangup", Application::Hangup { cause: None }),
        ("Hangup()", Application::Hangup { cause: None }),
        ("Hangup(17)", Application::Hangup { cause: Some(17) }),
        ("Hangup(no_answer)", Application::Hangup { cause: Some(19) }),
        ("Hangup(0)", Application::Hangup { cause: None }),
        ("Hangup(128)", Application::Hangup { cause: None }),
        ("Answer", Application::Answer { delay: Duration::ZERO }),
        ("Answer(1500)", Application::Answer { delay: Duration::from_millis(1500) }),
        ("Echo()", Application::Echo),
        ("Wait(2.5)", Application::Wait(Duration::from_millis(2500))),
        ("Wait(-1)", Application::Wait(Duration::ZERO)),
        ("Wait(1e300)", Application::Wait(Duration::from_secs(86_400))),
        ("NoOp(a, b (c))", Application::NoOp("a, b (c)".to_owned())),
        ("Busy", Application::Busy { timeout: None }),
        ("Busy(4)", Application::Busy { timeout: Some(Duration::from_secs(4)) }),
        ("Congestion(0.5)", Application::Congestion { timeout: Some(Duration::from_millis(500)) }),
        ("Playback(hello)", Application::Unknown { name: "Playback".to_owned() }),
    ];
    for (text, expected) in table {
        assert_eq!(first(&format!("[c]\nexten => 5000,1,{text}"), "5000"), expected, "{text}");
    }
}

#[test]
fn targets_of_one_dial_are_bounded() {
    let targets = vec!["SIP/1"; 40].join("&");
    let Application::Dial { targets, .. } = first(&format!("[c]\nexten => 1,1,Dial({targets})"), "1") else { panic!() };
    assert_eq!(targets.len(), 32);
}

#[test]
fn priorities() {
    let table: &[(&str, &[&str])] = &[
        ("exten => 1,1,NoOp(a)\nexten => 1,2,NoOp(b)", &["a", "b"]),
        ("exten => 1,2,NoOp(b)\nexten => 1,1,NoOp(a)", &["a", "b"]),
        ("exten => 1,1,NoOp(a)\nexten => 1,n,NoOp(b)\nsame => n,NoOp(c)", &["a", "b", "c"]),
        ("exten => 1,1,NoOp(a)\nsame => n+1,NoOp(lost)", &["a"]),
        ("exten => 1,1,Goto(x)\nsame => n+5(x),NoOp(b)", &["b"]),
        ("exten => 1,1,Goto(3)\nsame => 2,NoOp(lost)\nsame => n,NoOp(c)", &["c"]),
        ("exten => 1,1(top),NoOp(a)\nexten => 2,1,NoOp(b)\nsame => n,Goto(1,top)", &["a"]),
        ("exten => 1,1,NoOp(a)\nexten => 2,s+1,NoOp(b)\nexten => 1,s,NoOp(c)", &["a", "c"]),
        ("exten = 1 , 1 , NoOp(a)", &["a"]),
    ];
    for (text, expected) in table {
        assert_eq!(said(&loaded(&format!("[c]\n{text}")).0, "c", "1"), *expected, "{text}");
    }
}

#[test]
fn best_match_and_includes() {
    let dialplan = dialplan(
        "[c]
        include => first
        include => second
        exten => _X.,1,NoOp(any)
        exten => _5XXX,1,NoOp(five)
        exten => _50XX,1,NoOp(fifty)
        exten => 5001,1,NoOp(exact)
        exten => _50XX,2,NoOp(fifty two)
        exten => 5001/201,1,NoOp(for 201)
        exten => 5002/202,1,NoOp(for 202)
        exten => 5003/_2XX,1,NoOp(for 2XX)
        exten => 5-0-0-4,1,NoOp(dashes)
        [first]
        exten => *1,1,NoOp(first)
        exten => 5001,3,NoOp(included three)
        include => c
        include => third
        [second]
        exten => *1,1,NoOp(second)
        exten => *2,1,NoOp(second)
        [third]
        exten => *2,1,NoOp(third)
        exten => s,1,NoOp(no number)",
    );
    let table: &[(&str, &[&str])] = &[
        // Priorities that the exact extension lacks come from the pattern, and then from an included context.
        ("5001", &["for 201", "fifty two", "included three"]),
        ("5002", &["fifty", "fifty two"]),
        ("5003", &["for 2XX", "fifty two"]),
        ("5004", &["dashes", "fifty two"]),
        ("50-05", &["fifty", "fifty two"]),
        ("5100", &["five"]),
        ("51", &["any"]),
        ("1", &["404"]),
        // Depth first: what the first include includes comes before the second include.
        ("*1", &["first"]),
        ("*2", &["third"]),
        ("", &["no number"]),
    ];
    for (number, expected) in table {
        assert_eq!(said(&dialplan, "c", number), *expected, "{number}");
    }
    assert_eq!(said(&dialplan, "absent", "5001"), ["404"]);
}

#[test]
fn only_so_many_contexts_are_searched() {
    let mut text = String::new();
    for number in 0..130 {
        text.push_str(&format!("[c{number}]\ninclude => c{}\nexten => {number},1,NoOp(found)\n", number + 1));
    }
    text.push_str("[c130]\n");
    let (dialplan, diagnostics) = loaded(&text);
    assert_eq!(said(&dialplan, "c0", "127"), ["found"]);
    assert_eq!(said(&dialplan, "c0", "128"), ["404"]);
    // c0, c1 and c2 reach 131, 130 and 129 contexts.
    assert_eq!(diagnostics.len(), 3, "{diagnostics:?}");
    assert!(diagnostics[0].ends_with("[c0] includes more than 128 contexts; the last ones are not searched"));
}

#[test]
fn assignments_and_jumps() {
    let table: &[(&str, &[&str])] = &[
        ("Set(A=1)\nsame => n,NoOp(${A})", &["1"]),
        ("Set(__A=\"x y\")\nsame => n,NoOp(${A})", &["x y"]),
        ("Set(A=)\nsame => n,NoOp(${A}.)", &["."]),
        ("Set(A=a=b)\nsame => n,NoOp(${A})", &["a=b"]),
        ("Set(CALLERID(num)=7)\nsame => n,NoOp(${CALLERID(num)})", &["7"]),
        ("Set(CALLERID(all)=Ann <8>)\nsame => n,NoOp(${CALLERID(name)}${CALLERID(num)})", &["Ann8"]),
        ("Set(nothing)", &["line 2: Set: there is no `=`"]),
        ("Goto(other,2,1)", &["two"]),
        ("Goto(2,1)", &["here two"]),
        ("Goto(2|1)", &["here two"]),
        ("Goto(${EXTEN},9)", &[]),
        ("Goto(absent)", &["line 2: the extension 1 in c has no label absent"]),
        ("Goto(other,9,1)", &["invalid 9"]),
        ("Goto(3,1)", &["line 2: there is no extension 3 in the context c"]),
        ("Goto(absent,3,1)", &["line 2: there is no extension 3 in the context absent"]),
        ("GotoIf($[${EXTEN} = 1]?2,1:other,2,1)", &["here two"]),
        ("GotoIf($[${EXTEN} = 2]?2,1:other,2,1)", &["two"]),
        ("GotoIf(0?2,1)\nsame => n,NoOp(on)", &["on"]),
        ("GotoIf($[\"${CALLERID(num)}\" = \"201\"]?yes)\nsame => n,Hangup\nsame => n(yes),NoOp(yes)", &["yes"]),
        ("GotoIf(1)\nsame => n,NoOp(on)", &["on"]),
    ];
    for (text, expected) in table {
        let rest =
            "exten => 2,1,NoOp(here two)\n[other]\nexten => 2,1,NoOp(two)\nexten => i,1,NoOp(invalid ${INVALID_EXTEN})";
        let text = format!("[c]\nexten => 1,1,{text}\n{rest}");
        assert_eq!(said(&loaded(&text).0, "c", "1"), *expected, "{text}");
    }
}

#[test]
fn globals() {
    let text = "[globals]\nA=1\nB=${A}2\n[c]\nexten => ${B},1,NoOp(${B}${A})\nexten => _X${A},1,NoOp(pattern)";
    let dialplan = dialplan(text);
    assert_eq!(said(&dialplan, "c", "12"), ["121"]);
    assert_eq!(said(&dialplan, "c", "91"), ["pattern"]);
}

#[test]
fn an_endless_loop_ends_the_call() {
    let dialplan = dialplan("[c]\nexten => 1,1,Goto(1)\nexten => 2,1,NoOp\nsame => n,Goto(1)");
    let endless = "line 2: the call ran more than 1000 priorities without waiting for anything";
    assert_eq!(said(&dialplan, "c", "1"), [endless]);

    // Applications that return at once do not hide the loop from the bound.
    let mut execution = dialplan.start("c", "2", &caller("201")).unwrap();
    let runs = (0..2000).take_while(|_| matches!(dialplan.next(&mut execution), Step::Run(_))).count();
    assert_eq!(runs, 500);

    // A call that waits in between may go on for longer, but not for ever.
    let mut execution = dialplan.start("c", "2", &caller("201")).unwrap();
    let mut runs = 0;
    let failed = loop {
        match dialplan.next(&mut execution) {
            Step::Run(_) => runs += 1,
            other => break other,
        }
        execution.waited();
    };
    assert_eq!(runs, 50_000);
    assert!(matches!(failed, Step::Failed { reason, .. } if reason == "the call ran more than 100000 priorities"));
}

#[test]
fn variables_are_bounded() {
    let dialplan = dialplan("[c]\nexten => 1,1,NoOp");
    let mut execution = dialplan.start("c", "1", &caller("201")).unwrap();
    assert!(!execution.set("", "x"));
    assert!(!execution.set(&"n".repeat(81), "x"));
    assert!(!execution.set("A", &"v".repeat(4097)));
    for number in 0..256 {
        assert!(execution.set(&format!("N{number}"), "x"));
    }
    assert!(!execution.set("one more", "x"));
    assert!(execution.set("N7", "another value"));
    assert_eq!(execution.variable("N7"), Some("another value"));
    let fitting = (0..10).filter(|number| execution.set(&format!("N{number}"), &"v".repeat(4096))).count();
    assert_eq!(fitting, 7);
    assert!(minicbor::to_vec(&execution).unwrap().len() < base::limits::OBJECT_BYTES_MAX / 2);

    let grows = loaded("[c]\nexten => 1,1,Set(A=x${A}${A})\nsame => n,Goto(1)").0;
    let failed = said(&grows, "c", "1");
    assert!(failed[0].starts_with("line 2: the argument is longer than 4096 bytes"), "{failed:?}");
}

#[test]
fn what_comes_from_outside_cannot_add_arguments() {
    let dialplan = dialplan("[c]\nexten => _.,1,Dial(SIP/${EXTEN}/${CALLERID(num)},20)");
    for number in ["1&SIP/trunk", "1,5", "1|5", "${A}", "a b", "1)", "\"1", "1\r", &"9".repeat(81)] {
        assert_eq!(dialplan.start("c", number, &caller("1")), None, "{number}");
    }
    let from = Caller { name: format!("A \"B\"\n${{X}} {}", "c".repeat(100)), number: "2&SIP/3,0".to_owned() };
    let mut execution = dialplan.start("c", "1", &from).unwrap();
    assert_eq!(execution.caller.number, "2SIP/30");
    assert_eq!(execution.caller.name.chars().count(), 80);
    assert!(execution.caller.name.starts_with("A B{X} c"));
    let Step::Run(Application::Dial { targets, .. }) = dialplan.next(&mut execution) else { panic!() };
    assert_eq!(targets, [target(Some(Technology::Sip), "1", Some("2SIP/30"))]);
}

#[test]
fn the_last_application_is_told_for_the_call_record() {
    let dialplan = dialplan("[c]\nexten => 1,1,Set(A=5)\nsame => n,Dial(SIP/${A},25)\nsame => n,Goto(${A})");
    let mut execution = dialplan.start("c", "1", &caller("201")).unwrap();
    dialplan.next(&mut execution);
    assert_eq!((execution.last_application.as_str(), execution.last_data.as_str()), ("Dial", "SIP/5,25"));
    assert_eq!(dialplan.next(&mut execution), Step::End);
    assert_eq!((execution.last_application.as_str(), execution.last_data.as_str()), ("Dial", "SIP/5,25"));
}

/// The bytes that a node of this version writes. A later version must still read them.
#[test]
fn encodings_stay() {
    let mut execution = Execution {
        context: "c".to_owned(),
        extension: "1".to_owned(),
        priority: 2,
        caller: Caller { name: "A".to_owned(), number: "2".to_owned() },
        variables: BTreeMap::new(),
        steps: 3,
        steps_at_once: 1,
        last_application: "Dial".to_owned(),
        last_data: "SIP/1".to_owned(),
    };
    assert!(execution.set("X", "y"));
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let bytes = minicbor::to_vec(&execution).unwrap();
    assert_eq!(minicbor::decode::<Execution>(&bytes).unwrap(), execution);
    assert_eq!(hex(bytes), "8961636131028261416132a1615861790301644469616c655349502f31");
    let dial = Application::Dial {
        targets: vec![target(Some(Technology::PjSip), "1", None), target(None, "x", Some("2"))],
        timeout: Some(Duration::from_millis(1500)),
        options: "r".to_owned(),
    };
    let bytes = minicbor::to_vec(&dial).unwrap();
    assert_eq!(minicbor::decode::<Application>(&bytes).unwrap(), dial);
    assert_eq!(hex(bytes), "820083828201613183f66178613282011a1dcd65006172");
}
