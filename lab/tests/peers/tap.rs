//! A host's cable, tapped: IPv4 packets with the kernel's times, read without the product's code.

use std::io::IoSliceMut;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Protocol, Socket, Type};
use tandem_lab::LabError;
use tandem_lab::netns::Host;

/// What arrives.
pub const ETHERTYPE_IPV4: u16 = 0x0800;

/// Unlike one protocol, all of them show what leaves, too (packet(7)).
pub const ETHERTYPE_ALL: u16 = 0x0003;

/// No packet of the lab is longer.
const PACKET_BYTES: usize = 2_048;

/// How often the end is looked for while nothing comes.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Listens until it is dropped.
pub struct Tap<T> {
    heard: Arc<Mutex<Vec<T>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Clone + Send + 'static> Tap<T> {
    /// Keeps what `read` makes of an IP packet and of the wall clock's microseconds when it came.
    pub fn start(host: &Host, ethertype: u16, read: impl Fn(&[u8], u64) -> Option<T> + Send + 'static) -> Self {
        let failed = |source| LabError::Io { operation: "listening to an interface".into(), source };
        let socket = host.enter(|| open(ethertype).map_err(failed)).expect("a packet socket");
        let (heard, ended) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (into, end) = (heard.clone(), ended.clone());
        let thread = std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                if let Some(packet) = receive(&socket, &read) {
                    into.lock().expect("a list").push(packet);
                }
            }
        });
        Self { heard, ended, thread: Some(thread) }
    }

    /// Everything so far that is `wanted`.
    pub fn heard(&self, wanted: impl Fn(&T) -> bool) -> Vec<T> {
        self.heard.lock().expect("a list").iter().filter(|packet| wanted(packet)).cloned().collect()
    }
}

impl<T> Drop for Tap<T> {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn open(ethertype: u16) -> std::io::Result<Socket> {
    let protocol = Protocol::from(i32::from(ethertype.to_be()));
    let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol))?;
    socket.set_read_timeout(Some(LOOK_EVERY))?;
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
    Ok(socket)
}

fn receive<T>(socket: &Socket, read: impl Fn(&[u8], u64) -> Option<T>) -> Option<T> {
    let mut bytes = [0_u8; PACKET_BYTES];
    let mut control = nix::cmsg_space!(TimeSpec);
    let (length, at_us) = {
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let message = recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::empty()).ok()?;
        let at_us = message.cmsgs().ok()?.find_map(|control| match control {
            ControlMessageOwned::ScmTimestampns(time) => {
                Some((time.tv_sec() * 1_000_000 + time.tv_nsec() / 1000) as u64)
            }
            _ => None,
        })?;
        (message.bytes, at_us)
    };
    read(bytes.get(..length)?, at_us)
}
