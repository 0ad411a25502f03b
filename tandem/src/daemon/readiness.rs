//! What the loop waits for: everything that can be read, and which of it can be. A turn asks the kernel only for that.

use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Whatever the loop reads, by its place among its like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Parent,
    Inbox,
    Interfaces,
    Router,
    Witness,
    Link(usize),
    Sip(usize),
}

#[derive(Default)]
pub struct Sources<'fd> {
    descriptors: Vec<PollFd<'fd>>,
    sources: Vec<Source>,
}

/// The sources that had something when the wait ended.
pub struct Ready(Vec<Source>);

impl<'fd> Sources<'fd> {
    pub fn add(&mut self, source: Source, descriptor: BorrowedFd<'fd>) {
        self.descriptors.push(PollFd::new(descriptor, PollFlags::POLLIN));
        self.sources.push(source);
    }

    /// Waits until one of them can be read, or for so long.
    pub fn wait(mut self, timeout: PollTimeout) -> nix::Result<Ready> {
        match poll(&mut self.descriptors, timeout) {
            Ok(_) => {}
            // What the descriptors say is not of this call.
            Err(Errno::EINTR) => return Ok(Ready(self.sources)),
            Err(error) => return Err(error),
        }
        // An error or an end is read like anything else; and so is what this program does not know.
        let has = |descriptor: &PollFd<'_>| descriptor.any().unwrap_or(true);
        let both = self.descriptors.iter().zip(&self.sources);
        Ok(Ready(both.filter(|(descriptor, _)| has(descriptor)).map(|(_, source)| *source).collect()))
    }
}

impl Ready {
    pub fn has(&self, source: Source) -> bool {
        self.0.contains(&source)
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn only_what_has_something_is_ready() {
        let socket = || UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let (silent, heard) = (socket(), socket());
        let ready = || {
            let mut sources = Sources::default();
            sources.add(Source::Link(0), silent.as_fd());
            sources.add(Source::Link(1), heard.as_fd());
            sources.wait(PollTimeout::ZERO).expect("sockets can be waited for")
        };
        assert_eq!(ready().0, []);
        silent.send_to(b"x", heard.local_addr().expect("bound")).expect("sent");
        assert_eq!(ready().0, [Source::Link(1)]);
        assert!(ready().has(Source::Link(1)), "until it is read");
    }
}
