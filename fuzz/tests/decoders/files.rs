//! Asterisk's configuration files, as text that an editor, a script or a full disk has damaged.

use fuzz::allocation::allocated_bytes;
use fuzz::{Outcome, Target};
use pbx::conf::{Diagnostics, Files, Severity, read};
use pbx::configuration::load;
use pbx::dialplan::{Caller, Step};

use crate::pair::{EXTENSIONS_CONF, SIP_CONF};

/// What reading the files may allocate: most of it is the findings, of which each line may have several, and what lines
/// inherit from templates.
const ALLOCATED_PER_BYTE: u64 = 5_000;
const ALLOCATED_BYTES: u64 = 512 * 1024;

/// A call that never waits comes to its end within so many steps.
const STEPS_MAX: usize = 1_001;

const PJSIP_CONF: &str = "[transport-udp]\ntype=transport\nprotocol=udp\nbind=0.0.0.0:5060\n\
    [endpoint](!)\ntype=endpoint\ncontext=ramais\ndisallow=all\nallow=ulaw,alaw,!g729\n[auth](!)\ntype=auth\nauth_type=userpass\n\
    [aor](!)\ntype=aor\nmax_contacts=2\nqualify_frequency=60\n[5000](endpoint)\nauth=5000\naors=5000\ncallerid=\"A\" <5000>\n\
    [5000](auth)\nusername=5000\npassword=topsecret\n[5000](aor)\nremove_existing=yes\n";

const RTP_CONF: &str = "[general]\nrtpstart=10000\nrtpend=20000\nstrictrtp=yes\n";

const LONG_EXTENSIONS_CONF: &str = "[globals]\nTIMEOUT=25\n[ramais]\ninclude => others\nexten => _5XXX,1,NoOp(${CALLERID(num)})\n\
    same => n,Set(X=$[${EXTEN} + 1])\nsame => n(again),GotoIf($[\"${X}\" = \"5001\"]?done:again)\nsame => n(done),Dial(SIP/${EXTEN:0:4}&SIP/5001,${TIMEOUT},tr)\n\
    same => n,ExecIf($[\"${DIALSTATUS}\"=\"BUSY\"]?Busy:Congestion)\n#include \"others.conf\"\n;-- away --;\n[others]\nexten => s,1,Answer\nexten => s,n,Wait(1)\nexten => i,1,Hangup(17)\n";

const PIECES: &[&[u8]] = &[
    b"[",
    b"]",
    b"(",
    b")",
    b"(!)",
    b"(+)",
    b"=",
    b"=>",
    b";",
    b";--",
    b"--;",
    b"\\;",
    b"#include ",
    b"#include *.conf\n",
    b"#include \"extensions.conf\"\n",
    b"#exec /bin/true\n",
    b"${",
    b"}",
    b"$[",
    b"?",
    b":",
    b"|",
    b"&",
    b",",
    b",n,",
    b"same => n,",
    b"exten => ",
    b"include => ",
    b"_",
    b"X.",
    b"!",
    b"-",
    b"/",
    b"\"",
    b"<",
    b">",
    b"\n",
    b"\n[general]\n",
    b"all",
    b"Goto(1)",
    b"EXTEN:-9223372036854775808",
    b"type=",
    b"endpoint",
    b"\0",
    b"\xef\xbb\xbf",
    b"\xff",
    b"${${${${${${${${",
    b"((((((((((((((((",
    b"$[1/0]",
    b"$[-9223372036854775808 / -1]",
    b"$[9223372036854775807 + 1]",
    b"$[((((((((((((((((",
];

fn fuzz(name: &'static str, file: &'static str, corpus: &[&str], rest: &[(&str, &str)]) {
    let corpus: Vec<&[u8]> = corpus.iter().map(|text| text.as_bytes()).collect();
    Target::new(name, corpus).pieces(PIECES).one_in(4).run(|input| {
        let Ok(text) = str::from_utf8(input) else { return Outcome::Refused };
        let mut files = Files::from_iter(rest.iter().copied());
        files.0.insert(file.to_owned(), text.to_owned());
        let before = allocated_bytes();
        let _ = read(&files, file, &mut Diagnostics::default());
        let loaded = load(&files);
        let allocated = allocated_bytes() - before;
        assert!(allocated < ALLOCATED_PER_BYTE * input.len() as u64 + ALLOCATED_BYTES, "{allocated} bytes allocated");
        let failed = loaded.diagnostics.iter().any(|found| found.severity == Severity::Error);
        assert_eq!(loaded.configuration.is_none(), failed, "refused exactly when there is an error");
        if let Some(configuration) = &loaded.configuration {
            for number in ["5000", "5001", "600", "s", "i", ""] {
                let caller = Caller { name: "A".to_owned(), number: "5000".to_owned() };
                let Some(mut execution) = configuration.dialplan.start("ramais", number, &caller) else { continue };
                let ends = (0..STEPS_MAX).any(|_| !matches!(configuration.dialplan.next(&mut execution), Step::Run(_)));
                assert!(ends, "a call that never waits must end");
            }
        }
        Outcome::from(loaded.configuration.is_some())
    });
}

#[test]
fn files_sip_conf() {
    fuzz("files_sip_conf", "sip.conf", &[SIP_CONF], &[("extensions.conf", EXTENSIONS_CONF)]);
}

#[test]
fn files_pjsip_conf() {
    fuzz("files_pjsip_conf", "pjsip.conf", &[PJSIP_CONF], &[("extensions.conf", EXTENSIONS_CONF)]);
}

#[test]
fn files_extensions_conf() {
    let rest = [("sip.conf", SIP_CONF), ("others.conf", "[others]\nexten => 7,1,Echo\n")];
    fuzz("files_extensions_conf", "extensions.conf", &[EXTENSIONS_CONF, LONG_EXTENSIONS_CONF], &rest);
}

#[test]
fn files_rtp_conf() {
    let rest = [("sip.conf", SIP_CONF), ("extensions.conf", EXTENSIONS_CONF)];
    fuzz("files_rtp_conf", "rtp.conf", &[RTP_CONF], &rest);
}
