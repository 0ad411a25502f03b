//! Owns the checks of single values of `tandem.toml`: each either becomes what the node uses or a complaint that says
//! what to write.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use node::cluster::Failback;

use super::Service;
use super::reader::{Problems, Value};

/// Names go into epochs' logs and tables, where longer ones are in the way.
const NAME_BYTES_MAX: usize = 32;

/// Linux' IFNAMSIZ less the final zero.
const INTERFACE_BYTES_MAX: usize = 15;

pub(super) fn name(text: &Value<&str>, problems: &mut Problems) -> Option<String> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let good = (1..=NAME_BYTES_MAX).contains(&text.value.len()) && text.value.chars().all(allowed);
    if !good {
        let help = format!("write 1 to {NAME_BYTES_MAX} letters, digits, `-`, `_` or `.`, as in name = \"a\"");
        problems.push(text.problem(format!("`{}` is no name", text.value), help));
    }
    good.then(|| text.value.to_owned())
}

pub(super) fn interface(text: &Value<&str>, problems: &mut Problems) -> Option<String> {
    let allowed = |letter: char| letter.is_ascii_graphic() && letter != '/' && letter != ':';
    let good = (1..=INTERFACE_BYTES_MAX).contains(&text.value.len())
        && text.value.chars().all(allowed)
        && !matches!(text.value, "." | "..");
    if !good {
        let help = "write a name that `ip link` shows, as in interface = \"eth0\"";
        problems.push(text.problem(format!("`{}` is no network interface", text.value), help));
    }
    good.then(|| text.value.to_owned())
}

pub(super) fn failback(text: &Value<&str>, problems: &mut Problems) -> Option<Failback> {
    match text.value {
        "manual" => Some(Failback::Manual),
        "automatic" => Some(Failback::Automatic),
        other => {
            let help = "write failback = \"manual\" (the default) or failback = \"automatic\"";
            problems.push(text.problem(format!("`failback` cannot be `{other}`"), help));
            None
        }
    }
}

/// The address and the bits of its subnet's prefix.
pub(super) fn service_address(text: &Value<&str>, problems: &mut Problems) -> Option<(IpAddr, u8)> {
    const HELP: &str = "write an address and the length of its subnet's prefix, as in address = \"10.77.0.100/24\"";
    let Some((address, prefix)) = text.value.split_once('/') else {
        let help = match text.value.parse::<IpAddr>() {
            Ok(address) => format!("write the length of the subnet's prefix, too, as in address = \"{address}/24\""),
            Err(_) => HELP.to_owned(),
        };
        problems.push(text.problem(format!("`{}` has no prefix length", text.value), help));
        return None;
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        problems.push(text.problem(format!("`{address}` is no IP address"), HELP));
        return None;
    };
    let bits_max = if address.is_ipv4() { 32 } else { 128 };
    let bits = prefix.parse().ok().filter(|bits| (1..=bits_max).contains(bits));
    if bits.is_none() {
        let help = format!("write a number from 1 to {bits_max} behind the `/`");
        problems.push(text.problem(format!("`{prefix}` is no prefix length"), help));
    }
    let usable = is_host(address) && !address.is_loopback();
    if !usable {
        let help = "write a free address of the phones' network, which no machine has for itself";
        problems.push(text.problem(format!("{address} cannot be the service address"), help));
    }
    bits.filter(|_| usable).map(|bits| (address, bits))
}

/// One end of a link; `key` is `local` or `remote`.
pub(super) fn link_end(
    key: &str,
    text: &Value<&str>,
    service: Option<&Service>,
    problems: &mut Problems,
) -> Option<Value<SocketAddr>> {
    let help = format!("write an address and a port, as in {key} = \"10.77.0.11:7700\"");
    let end = match text.value.parse::<SocketAddr>() {
        Ok(end) => end,
        Err(_) => {
            let problem = match text.value.parse::<IpAddr>() {
                Ok(address) => {
                    let end = SocketAddr::new(address, 7700);
                    text.problem(format!("`{address}` has no port"), format!("write {key} = \"{end}\""))
                }
                Err(_) => text.problem(format!("`{}` is no address with a port", text.value), help),
            };
            problems.push(problem);
            return None;
        }
    };
    let problem = if end.port() == 0 {
        text.problem("the port cannot be 0", help)
    } else if !is_host(end.ip()) {
        text.problem(format!("{} is not the address of one machine", end.ip()), help)
    } else if service.is_some_and(|service| service.has(end.ip())) {
        let help = format!("write an address as {key} that stays with its machine");
        text.problem(format!("{} is the service address, which moves", end.ip()), help)
    } else {
        return Some(Value { value: end, span: text.span.clone() });
    };
    problems.push(problem);
    None
}

pub(super) fn path(
    key: &str,
    text: &Value<&str>,
    example: &str,
    directory: &Path,
    problems: &mut Problems,
) -> Option<PathBuf> {
    if text.value.is_empty() || text.value.contains('\0') {
        problems.push(text.problem(format!("`{key}` is empty"), format!("write {key} = \"{example}\"")));
        return None;
    }
    Some(directory.join(text.value))
}

/// An address that one machine can have.
pub(super) fn is_host(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !address.is_unspecified() && !address.is_multicast() && !broadcast
}
