//! A caller, a callee and the PBX, for the table of a call's states and inputs.

use super::*;

const A: &str = "10.77.0.21:5060";
const B: &str = "10.77.0.22:5060";

pub(crate) struct Bench {
    world: World,
    caller: Phone,
    callee: Phone,
    invite: Option<Request>,
    reinvite: Option<Request>,
    to_callee: Option<Request>,
    /// The last response with a tag that the caller got for its first INVITE.
    heard: Option<Response>,
    /// What was said since it was last cleared: to whom, and what.
    pub(crate) said: Vec<String>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::on(World::new())
    }

    /// With everything in the files that came since the first level, on a node that writes at this level.
    pub(crate) fn at(level: Level) -> Self {
        let mut files = files();
        if let Some(sip) = files.0.get_mut("sip.conf") {
            *sip = sip.replace("type=friend\n", "type=friend\naccountcode=sales\n");
        }
        let mut pbx = pbx_with(0, &files);
        pbx.set_levels(Level::OWN, level);
        Self::on(World { pbx, ..World::new() })
    }

    fn on(mut world: World) -> Self {
        let (mut caller, mut callee) = (Phone::new("5000", "one", A), Phone::new("5001", "two", B));
        caller.register(&mut world, 3600);
        callee.register(&mut world, 3600);
        caller.call_id = "the-call".into();
        Self { world, caller, callee, invite: None, reinvite: None, to_callee: None, heard: None, said: Vec::new() }
    }

    pub(crate) fn call(&mut self, number: &str) {
        self.invite = Some(self.caller.invite(&mut self.world, number));
        self.listen();
    }

    pub(crate) fn talk(&mut self) {
        self.call("5001");
        self.answer(200, true);
        self.ack();
    }

    pub(crate) fn answer(&mut self, status: u16, with_sdp: bool) {
        let Some(request) = self.to_callee.clone() else { return };
        let bytes = self.callee.respond(&request, status, with_sdp.then_some(4002));
        self.from(B, &bytes);
    }

    pub(crate) fn invite_again(&mut self) {
        if let Some(invite) = self.invite.clone() {
            self.from(A, &invite.to_bytes());
        }
    }

    pub(crate) fn ack(&mut self) {
        let (Some(invite), Some(heard)) = (self.reinvite.clone().or(self.invite.clone()), self.heard.clone()) else {
            return;
        };
        let ack = self.caller.ack(&invite, &heard, heard.status < 300);
        self.from(A, &ack.to_bytes());
    }

    pub(crate) fn cancel(&mut self) {
        let Some(mut cancel) = self.invite.clone() else { return };
        cancel.method = Method::Cancel;
        cancel.body.clear();
        cancel.headers.set("CSeq", format!("{} CANCEL", cancel.cseq().number));
        self.from(A, &cancel.to_bytes());
    }

    pub(crate) fn in_dialog(&mut self, method: Method) {
        let Some(heard) = self.heard.clone() else { return };
        let request = self.caller.in_dialog(method, &heard);
        self.from(A, &request.to_bytes());
    }

    pub(crate) fn bye_of_caller(&mut self) {
        self.in_dialog(Method::Bye);
    }

    pub(crate) fn bye_with_old_cseq(&mut self) {
        let Some(heard) = self.heard.clone() else { return };
        let mut request = self.caller.in_dialog(Method::Bye, &heard);
        request.headers.set("CSeq", "1 BYE");
        self.from(A, &request.to_bytes());
    }

    pub(crate) fn bye_of_callee(&mut self) {
        let Some(invite) = self.to_callee.clone() else { return };
        let request = self.callee.in_dialog_of(Method::Bye, &invite);
        self.from(B, &request.to_bytes());
    }

    pub(crate) fn hold(&mut self, direction: &str) {
        self.reinvite_with(sdp(A, 4000, direction));
    }

    pub(crate) fn reinvite_without_sdp(&mut self) {
        self.reinvite_with(Vec::new());
    }

    fn reinvite_with(&mut self, body: Vec<u8>) {
        let Some(heard) = self.heard.clone() else { return };
        let mut request = self.caller.in_dialog(Method::Invite, &heard);
        if !body.is_empty() {
            request.headers.push("Content-Type", "application/sdp");
        }
        request.body = body;
        self.reinvite = Some(request.clone());
        self.from(A, &request.to_bytes());
    }

    pub(crate) fn wait(&mut self, duration: Duration) {
        self.world.wait(duration);
        self.listen();
    }

    pub(crate) fn move_to_other_node(&mut self) {
        self.world.move_to_other_node();
        self.listen();
    }

    pub(crate) fn must_be_whole(&mut self) {
        self.world.log_is_whole();
    }

    /// What the log holds.
    pub(crate) fn set_level(&mut self, level: Level) {
        self.world.pbx.set_levels(Level::OWN, level);
        self.world.settle();
    }

    pub(crate) fn objects(&self) -> impl Iterator<Item = (&(u8, String), &Vec<u8>)> {
        self.world.log.iter()
    }

    pub(crate) fn records(&self) -> usize {
        self.world.records.len()
    }

    /// What the call is now.
    pub(crate) fn describe(&self) -> String {
        let Some(call) = self.world.pbx.calls.values().next() else { return "gone".into() };
        let progress = format!("{:?}", call.progress);
        let progress = progress.split([' ', '(']).next().unwrap_or_default().to_owned();
        let callee = call.callees.first().map_or("none".into(), |leg| format!("{:?}", leg.state));
        format!("{progress} (caller {:?}, callee {callee})", call.caller.state)
    }

    /// What was said, each different thing once, with how often.
    pub(crate) fn summary(&self) -> String {
        let mut counted: Vec<(&String, usize)> = Vec::new();
        for said in &self.said {
            match counted.iter_mut().find(|(known, _)| *known == said) {
                Some((_, count)) => *count += 1,
                None => counted.push((said, 1)),
            }
        }
        let text = |(said, count): (&String, usize)| if count > 1 { format!("{said} x{count}") } else { said.clone() };
        counted.into_iter().map(text).collect::<Vec<_>>().join(", ")
    }

    fn from(&mut self, source: &str, bytes: &[u8]) {
        self.world.send(source, bytes);
        self.listen();
    }

    fn listen(&mut self) {
        for transmit in std::mem::take(&mut self.world.sent) {
            let who = if transmit.destination == A.parse().unwrap() { "caller" } else { "callee" };
            match Message::parse(&transmit.bytes).unwrap() {
                Message::Request(request) => {
                    self.said.push(format!("{who}: {}", request.method));
                    if who == "callee" && request.method == Method::Invite {
                        self.to_callee = Some(request);
                    }
                }
                Message::Response(response) => {
                    self.said.push(format!("{who}: {} {}", response.status, response.cseq().method));
                    if who == "caller" && response.cseq().method == Method::Invite && response.status > 100 {
                        self.heard = Some(response);
                    }
                }
            }
        }
    }
}
