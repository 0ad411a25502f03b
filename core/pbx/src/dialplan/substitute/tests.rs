use super::*;
use crate::dialplan::Caller;

fn execution() -> Execution {
    let mut execution = Execution {
        context: "office".to_owned(),
        extension: "123456789".to_owned(),
        priority: 7,
        caller: Caller { name: "Ann Lee".to_owned(), number: "201".to_owned() },
        variables: BTreeMap::new(),
        steps: 0,
        steps_at_once: 0,
        last_application: String::new(),
        last_data: String::new(),
    };
    for (name, value) in [("A", "one"), ("one", "deep"), ("N", "2"), ("TEXT", "${A}"), ("Ü", "größe"), ("X", "mine")]
    {
        assert!(execution.set(name, value));
    }
    execution
}

fn replaced(text: &str) -> Result<String, SubstituteError> {
    let globals = [("G", "world"), ("X", "theirs")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let globals = BTreeMap::from(globals);
    let execution = execution();
    substitute(text, Scope { globals: &globals, execution: Some(&execution) })
}

#[test]
fn values() {
    let table = [
        ("plain", "plain"),
        ("${EXTEN}", "123456789"),
        ("SIP/${EXTEN},25", "SIP/123456789,25"),
        ("${EXTEN:1}", "23456789"),
        ("${EXTEN:-4}", "6789"),
        ("${EXTEN:1:2}", "23"),
        ("${EXTEN:0:3}", "123"),
        ("${EXTEN:-4:2}", "67"),
        ("${EXTEN:2:-3}", "3456"),
        ("${EXTEN:20}", ""),
        ("${EXTEN:-20}", "123456789"),
        ("${EXTEN:2:-20}", ""),
        ("${EXTEN:9223372036854775807:9223372036854775807}", ""),
        ("${EXTEN:-9223372036854775808:-9223372036854775808}", ""),
        ("${EXTEN:word}", "123456789"),
        ("${CALLERID(num)}", "201"),
        ("${CALLERID(number)}", "201"),
        ("${CALLERID(name)}", "Ann Lee"),
        ("${callerid(name):4}", "Lee"),
        ("${CALLERID(all)}", "\"Ann Lee\" <201>"),
        ("${CALLERID(rdnis)}", ""),
        ("${CONTEXT}/${PRIORITY}", "office/7"),
        ("${G}", "world"),
        ("${X}", "mine"),
        ("${GLOBAL(X)}", "theirs"),
        ("${${A}}", "deep"),
        ("${A${B${C}}}", "one"),
        ("${EXTEN:${N}}", "3456789"),
        ("${TEXT}", "${A}"),
        ("${absent}", ""),
        ("${Ü:2:3}", "öße"),
        ("${LEN(${EXTEN})}", "9"),
        ("${ISNULL(${absent})}${EXISTS(${A})}", "11"),
        ("${TOUPPER(${A})}${TOLOWER(AB)}", "ONEab"),
        ("${PJSIP_DIAL_CONTACTS(5000)}", "PJSIP/5000"),
        ("${SHELL(ls)}", ""),
        ("$[1 + ${N}]", "3"),
        ("$[\"${A}\" = \"one\"]?yes:no", "1?yes:no"),
        ("$[${LEN(${EXTEN})} > $[4 * ${N}]]", "1"),
        ("$[broken", "broken"),
        ("${EXTEN", "123456789"),
        ("cost $5 {x} [y]", "cost $5 {x} [y]"),
        ("$", "$"),
        ("${}", ""),
        ("", ""),
    ];
    for (text, expected) in table {
        assert_eq!(replaced(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn bounds() {
    let nested = |depth: usize| format!("{}A{}", "${".repeat(depth), "}".repeat(depth));
    assert!(replaced(&nested(16)).is_ok());
    assert_eq!(replaced(&nested(17)), Err(SubstituteError::TooDeep));
    assert!(replaced(&"${EXTEN}".repeat(455)).is_ok());
    assert_eq!(replaced(&"${EXTEN}".repeat(456)), Err(SubstituteError::TooLong));
}
