//! The telephones of a drill: who they are, whether they are registered, and what they have done so far.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use phone::PhoneCommand;

use super::records::ExpectedCall;
use crate::LabError;
use crate::netns::{Host, Network};
use crate::nodes::SERVICE;
use crate::phones::{Account, Driver, Phones, SIP_PORT};

/// The phones live on two hosts, so that a split of the switch can part them: the calls in turn on the one and the
/// other.
pub(super) const LEFT: &str = "left";
pub(super) const RIGHT: &str = "right";
/// The hosts of every drill's network, besides the nodes.
pub(super) const SIDES: [(&str, Ipv4Addr); 2] =
    [(LEFT, Ipv4Addr::new(10, 77, 0, 19)), (RIGHT, Ipv4Addr::new(10, 77, 0, 20))];
const PHONES_BEGIN: u8 = 21;
const NUMBERS_BEGIN: u32 = 5000;

/// Addresses that are left for phones in the drill's network.
const ADDRESSES: u32 = 220;

/// More phones than this, with audio, one machine cannot be honest about.
pub(super) const PHONES_MAX: u32 = 4 * ADDRESSES;

const REGISTER_LIMIT: Duration = Duration::from_secs(40);

pub(super) struct Room {
    pub(super) phones: Phones,
    pub(super) accounts: Vec<Account>,
    /// Every call made here so far, for the call records.
    pub(super) made: Vec<ExpectedCall>,
    /// Calls made so far: each has its own mark in its audio.
    pub(super) calls_marked: u32,
    registered: bool,
}

impl Room {
    /// Puts phones of these accounts on the two hosts.
    pub(super) fn start(network: &Network, accounts: Vec<Account>) -> Result<Self, LabError> {
        let sides: [&Host; 2] = [network.host(LEFT)?, network.host(RIGHT)?];
        let places = accounts.iter().enumerate().map(|(phone, account)| (sides[side_of(phone)], account));
        let phones = Phones::start_on(&places.collect::<Vec<_>>(), SocketAddr::from((SERVICE, SIP_PORT)))?;
        Ok(Self { phones, accounts, made: Vec::new(), calls_marked: 0, registered: false })
    }

    /// Registers all phones, once in the life of the room.
    pub(super) fn register(&mut self) -> Result<(), LabError> {
        if self.registered {
            return Ok(());
        }
        self.register_again()?;
        self.registered = true;
        Ok(())
    }

    /// Has all phones register, whether or not they think that they are.
    pub(super) fn register_again(&self) -> Result<(), LabError> {
        let count = self.accounts.len();
        let granted = |driver: &Driver| {
            let granted = driver.handsets.iter().map(|handset| handset.phone.counters().registrations_granted);
            granted.collect::<Vec<u64>>()
        };
        let before = self.phones.with(move |driver| {
            let before = granted(driver);
            (0..count).for_each(|at| driver.command(at, PhoneCommand::Register));
            before
        })?;
        let all = self.phones.wait_for(REGISTER_LIMIT, move |driver| {
            granted(driver).iter().zip(&before).all(|(now, before)| now > before)
        })?;
        if !all {
            let what = "all phones registered".to_owned();
            return Err(LabError::Waited { what, limit_ms: REGISTER_LIMIT.as_millis() as u64 });
        }
        Ok(())
    }

    pub(super) fn number(&self, phone: usize) -> &str {
        self.accounts.get(phone).map_or("?", |account| account.number.as_str())
    }
}

/// On which of the two hosts a phone lives: callers and called of one call on the same.
pub(super) const fn side_of(phone: usize) -> usize {
    (phone / 2) % 2
}

pub(super) fn accounts(count: u32) -> Vec<Account> {
    (0..count).map(account).collect()
}

fn account(index: u32) -> Account {
    // The service address lies among the phones' and is left out.
    let place = PHONES_BEGIN.saturating_add(u8::try_from(index % ADDRESSES).unwrap_or(u8::MAX));
    let place = if place >= SERVICE.octets()[3] { place.saturating_add(1) } else { place };
    Account {
        number: (NUMBERS_BEGIN + index).to_string(),
        password: format!("secret-{index}"),
        address: Ipv4Addr::new(10, 77, 0, place),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_phone_has_a_number_of_its_own_and_an_address_that_is_free() {
        let accounts = accounts(PHONES_MAX);
        let addresses: BTreeSet<_> = accounts.iter().map(|account| account.address).collect();
        let numbers: BTreeSet<_> = accounts.iter().map(|account| &account.number).collect();
        assert_eq!((addresses.len(), numbers.len()), (ADDRESSES as usize, accounts.len()));
        assert!(!addresses.contains(&SERVICE) && !addresses.contains(&Ipv4Addr::new(10, 77, 0, 255)));
    }
}
