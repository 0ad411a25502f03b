//! Owns what is looked at in the kernel and in the node's processes: tables and ranges, capabilities, scheduling.

use super::{Finding, Patient, kernel_file, sysctl};

/// Room in the neighbour table beside the phones: routers, servers, the peer, and what else talks on the network.
const NEIGHBOURS_BESIDE: u64 = 128;

/// Four sockets for each call with audio, and the parent's duplicates: room for 2,000 calls.
const OPEN_FILES_WANTED: u64 = 8_192;

/// What a capability is needed for, by its number (capabilities(7)).
const CAPABILITIES: [(u32, &str, &str); 4] = [
    (12, "NET_ADMIN", "add and remove the service address"),
    (13, "NET_RAW", "tell neighbours that the address has moved"),
    (14, "IPC_LOCK", "keep the memory from being swapped out"),
    (23, "SYS_NICE", "real-time scheduling"),
];

/// SCHED_FIFO in /proc/PID/stat.
const POLICY_FIFO: u64 = 1;

/// Every other task of a processor may take so much of a second from real-time ones (the kernel's own default).
const FAIR_RUNTIME_NS_USUAL: u64 = 50_000_000;

pub(super) fn findings(patient: &Patient<'_>) -> Vec<Finding> {
    let mut findings = vec![neighbour_table(patient), reserved_ports(patient)];
    findings.extend(processes(patient));
    findings.push(real_time_share(sysctl("kernel.sched_rt_runtime_us"), sysctl("kernel.sched_rt_period_us")));
    findings.push(fair_server(kernel_file("/sys/kernel/debug/sched/fair_server/cpu0/runtime")));
    findings.push(preemption(kernel_file("/sys/kernel/debug/sched/preempt"), kernel_file("/proc/cmdline")));
    findings
}

fn neighbour_table(patient: &Patient<'_>) -> Finding {
    const CHECK: &str = "neighbour table";
    let phones = patient.pbx.map_or(0, |pbx| pbx.endpoints.len() as u64);
    let limit =
        |number| sysctl(&format!("net.ipv4.neigh.default.gc_thresh{number}")).and_then(|text| text.parse().ok());
    match (limit(1), limit(3)) {
        (Some(kept), Some(most)) => verdict_of_neighbours(phones, kept, most),
        _ => Finding::unknown(CHECK, "the kernel does not tell its limits here (it does outside of containers)"),
    }
}

fn verdict_of_neighbours(phones: u64, kept: u64, most: u64) -> Finding {
    const CHECK: &str = "neighbour table";
    let wanted = phones + NEIGHBOURS_BESIDE;
    let text = format!("room for {most} neighbours, {kept} of them kept; {phones} phones");
    let most_wanted = (wanted * 4).next_power_of_two();
    let todo = format!(
        "sysctl -w net.ipv4.neigh.default.gc_thresh1={} net.ipv4.neigh.default.gc_thresh2={} \
         net.ipv4.neigh.default.gc_thresh3={most_wanted}; and the same into /etc/sysctl.d/tandem.conf",
        most_wanted / 2,
        most_wanted * 3 / 4
    );
    if most < wanted {
        Finding::problem(CHECK, text, todo)
    } else if kept < phones {
        // Who is not kept must be asked for again at a takeover, and some phones take their time to answer.
        Finding::warning(CHECK, text, todo)
    } else {
        Finding::ok(CHECK, text)
    }
}

fn reserved_ports(patient: &Patient<'_>) -> Finding {
    const CHECK: &str = "RTP ports";
    let Some(pbx) = patient.pbx else { return Finding::unknown(CHECK, "the phones' files cannot be used") };
    let (Some(reserved), Some(dynamic)) =
        (sysctl("net.ipv4.ip_local_reserved_ports"), sysctl("net.ipv4.ip_local_port_range"))
    else {
        return Finding::unknown(CHECK, "the kernel does not tell its port ranges");
    };
    verdict_of_ports((pbx.general.rtp_port_start, pbx.general.rtp_port_end), &reserved, &dynamic)
}

fn verdict_of_ports(rtp: (u16, u16), reserved: &str, dynamic: &str) -> Finding {
    const CHECK: &str = "RTP ports";
    let (first, last) = rtp;
    let mut bounds = dynamic.split_whitespace().filter_map(|bound| bound.parse::<u16>().ok());
    let (low, high) = (bounds.next().unwrap_or(0), bounds.next().unwrap_or(u16::MAX));
    let given_away = |port: u16| (low..=high).contains(&port) && !is_listed(port, reserved);
    let count = (first..=last).filter(|&port| given_away(port)).count();
    if count == 0 {
        return Finding::ok(CHECK, format!("{first}-{last} are given to no other program by chance"));
    }
    let all = if reserved.is_empty() { format!("{first}-{last}") } else { format!("{reserved},{first}-{last}") };
    Finding::warning(
        CHECK,
        format!("{count} of the ports {first}-{last} may be given to any program: a call may find its port taken"),
        format!("sysctl -w net.ipv4.ip_local_reserved_ports={all}; and the same into /etc/sysctl.d/tandem.conf"),
    )
}

/// Whether a list like `5060,10000-20000` has the port.
fn is_listed(port: u16, list: &str) -> bool {
    list.split(',').any(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let bound = |text: &str| text.trim().parse::<u16>().ok();
        matches!((bound(first), bound(last)), (Some(first), Some(last)) if (first..=last).contains(&port))
    })
}

/// Of the running node, or of whoever asks, who may be about to start one.
fn processes(patient: &Patient<'_>) -> Vec<Finding> {
    let Some(node) = patient.status else {
        let own = kernel_file("/proc/self/status").unwrap_or_default();
        return vec![capabilities(&own, "this user has")];
    };
    let file = |pid: u32, name: &str| kernel_file(format!("/proc/{pid}/{name}")).unwrap_or_default();
    vec![
        capabilities(&file(node.parent_pid, "status"), "the node has"),
        scheduling(&[("parent", file(node.parent_pid, "stat")), ("daemon", file(node.pid, "stat"))]),
        locked_memory(&file(node.pid, "status")),
        open_files(&file(node.pid, "limits")),
        quota(&file(node.pid, "cgroup")),
    ]
}

fn capabilities(status: &str, who: &str) -> Finding {
    const CHECK: &str = "capabilities";
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let Some(effective) = effective.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()) else {
        return Finding::unknown(CHECK, "the process cannot be looked at: run `tandem doctor` as root");
    };
    let missing = CAPABILITIES.iter().filter(|(number, ..)| effective & (1 << number) == 0);
    let missing: Vec<String> = missing.map(|(_, name, purpose)| format!("{name} ({purpose})")).collect();
    if missing.is_empty() {
        return Finding::ok(CHECK, format!("{who} all that are needed"));
    }
    let todo = "run it as root, or give the service AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW CAP_SYS_NICE \
                CAP_IPC_LOCK";
    Finding::problem(CHECK, format!("{who} no {}", missing.join(", ")), todo)
}

/// Of each process: its name and its /proc/PID/stat (proc_pid_stat(5)).
fn scheduling(processes: &[(&str, String)]) -> Finding {
    const CHECK: &str = "real time";
    // The fields behind the program's name, which may hold anything: 3 is the first, 40 the priority, 41 the policy.
    let field = |stat: &str, number: usize| {
        let (_, fields) = stat.rsplit_once(')')?;
        fields.split_whitespace().nth(number - 3)?.parse::<u64>().ok()
    };
    let mut told = Vec::new();
    for (name, stat) in processes {
        let (Some(priority), Some(policy)) = (field(stat, 40), field(stat, 41)) else {
            return Finding::unknown(CHECK, format!("the {name} cannot be looked at"));
        };
        if policy != POLICY_FIFO {
            let todo =
                "run it as root or with CAP_SYS_NICE (LimitRTPRIO=99); in a container, allow real-time scheduling";
            let text =
                format!("the {name} has no real-time priority: a busy machine may stall it and cause a takeover");
            return Finding::problem(CHECK, text, todo);
        }
        told.push(format!("{name} {priority}"));
    }
    Finding::ok(CHECK, format!("granted (SCHED_FIFO): {}", told.join(", ")))
}

fn locked_memory(status: &str) -> Finding {
    const CHECK: &str = "memory";
    let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:"));
    match locked.and_then(|text| text.trim().trim_end_matches("kB").trim().parse::<u64>().ok()) {
        None => Finding::unknown(CHECK, "the process cannot be looked at"),
        Some(0) => Finding::warning(
            CHECK,
            "the daemon's memory is not locked: a busy disk may stall it",
            "run it as root or with CAP_IPC_LOCK (LimitMEMLOCK=infinity)",
        ),
        Some(kib) => Finding::ok(CHECK, format!("{} MiB locked", kib / 1024)),
    }
}

fn open_files(limits: &str) -> Finding {
    const CHECK: &str = "open files";
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next());
    match soft.map(|soft| soft.parse::<u64>().unwrap_or(u64::MAX)) {
        None => Finding::unknown(CHECK, "the process cannot be looked at"),
        Some(limit) if limit < OPEN_FILES_WANTED => Finding::warning(
            CHECK,
            format!("at most {limit}: enough for some {} calls", limit / 4),
            "raise the hard limit (LimitNOFILE=65536)",
        ),
        Some(limit) => Finding::ok(CHECK, format!("at most {limit}")),
    }
}

/// A processor quota takes the processor away for the rest of its period, heartbeats or not.
fn quota(cgroup: &str) -> Finding {
    const CHECK: &str = "quota";
    let group = cgroup.lines().find_map(|line| line.strip_prefix("0::"));
    let Some(group) = group else { return Finding::unknown(CHECK, "the control group cannot be looked at") };
    match kernel_file(format!("/sys/fs/cgroup{group}/cpu.max")) {
        Some(max) if !max.starts_with("max") => Finding::warning(
            CHECK,
            format!("the service may use {max} microseconds of the processor, and stalls when it has used them"),
            "take CPUQuota away from the service",
        ),
        _ => Finding::ok(CHECK, "no processor quota"),
    }
}

fn real_time_share(runtime: Option<String>, period: Option<String>) -> Finding {
    const CHECK: &str = "real-time share";
    let number = |text: Option<String>| text.and_then(|text| text.parse::<i64>().ok());
    match (number(runtime), number(period)) {
        (Some(runtime), _) if runtime < 0 => Finding::ok(CHECK, "real-time tasks are never throttled"),
        (Some(runtime), Some(period)) if runtime * 2 < period => Finding::problem(
            CHECK,
            format!("real-time tasks get {runtime} of each {period} microseconds"),
            "sysctl -w kernel.sched_rt_runtime_us=950000 (the kernel's default)",
        ),
        (Some(runtime), Some(period)) => Finding::ok(CHECK, format!("{runtime} of each {period} microseconds")),
        _ => Finding::unknown(CHECK, "the kernel does not tell"),
    }
}

/// Since Linux 6.12 a server of its own lets ordinary tasks run beside real-time ones.
fn fair_server(runtime_ns: Option<String>) -> Finding {
    const CHECK: &str = "fair server";
    match runtime_ns.and_then(|text| text.parse::<u64>().ok()) {
        None => Finding::unknown(CHECK, "the kernel has none, or it cannot be read (debugfs)"),
        Some(runtime) if runtime > FAIR_RUNTIME_NS_USUAL => Finding::warning(
            CHECK,
            format!("ordinary tasks may take {} ms from real-time ones", runtime / 1_000_000),
            "echo 50000000 into /sys/kernel/debug/sched/fair_server/cpu*/runtime (the kernel's default)",
        ),
        Some(runtime) => Finding::ok(CHECK, format!("ordinary tasks may take {} ms of a second", runtime / 1_000_000)),
    }
}

/// Without preemption a core that writes to a disk on behalf of somebody runs nobody else for tens of milliseconds,
/// whatever the priority. `mode` is the kernel's list with the present one in parentheses.
fn preemption(mode: Option<String>, command_line: Option<String>) -> Finding {
    const CHECK: &str = "preemption";
    let present = |text: String| Some(text.split_once('(')?.1.split_once(')')?.0.to_owned());
    let booted =
        |text: String| text.split_whitespace().find_map(|word| word.strip_prefix("preempt=").map(str::to_owned));
    match mode.and_then(present).or_else(|| command_line.and_then(booted)).as_deref() {
        Some("none") => Finding::warning(
            CHECK,
            "the kernel does not preempt itself: a busy disk may keep real-time tasks waiting for tens of milliseconds",
            "boot with preempt=full, or echo full into /sys/kernel/debug/sched/preempt",
        ),
        Some(mode) => Finding::ok(CHECK, mode),
        None => Finding::unknown(CHECK, "the kernel's mode cannot be read (debugfs)"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn the_neighbour_table_must_have_room_for_the_phones() {
        assert_eq!(verdict_of_neighbours(20, 128, 1024).verdict, Verdict::Ok);
        assert_eq!(verdict_of_neighbours(500, 128, 1024).verdict, Verdict::Warning);
        let found = verdict_of_neighbours(2_000, 128, 1024);
        assert_eq!(found.verdict, Verdict::Problem);
        assert!(found.todo.unwrap().contains("gc_thresh3=16384"));
    }

    #[test]
    fn ports_that_any_program_may_get_are_found() {
        let verdict = |reserved, dynamic| verdict_of_ports((10_000, 20_000), reserved, dynamic);
        assert_eq!(verdict("", "32768\t60999").verdict, Verdict::Ok);
        assert_eq!(verdict("9000,10000-20000", "1024 60999").verdict, Verdict::Ok);
        let found = verdict("10000-19998", "1024 60999");
        assert!(found.text.starts_with("2 of the ports"), "{}", found.text);
        assert!(found.todo.unwrap().contains("=10000-19998,10000-20000"));
        assert_eq!(verdict("nonsense,-5", "1024 60999").verdict, Verdict::Warning);
    }

    #[test]
    fn a_missing_capability_is_named_with_its_purpose() {
        assert_eq!(capabilities("Name:\tx\nCapEff:\t000001ffffffffff\n", "the node has").verdict, Verdict::Ok);
        let found = capabilities("CapEff:\t0000000000007000\n", "the node has");
        assert_eq!(found.verdict, Verdict::Problem);
        assert_eq!(found.text, "the node has no SYS_NICE (real-time scheduling)");
        assert_eq!(capabilities("", "x").verdict, Verdict::Unknown);
    }

    #[test]
    fn a_process_without_real_time_priority_is_found() {
        let stat = |priority, policy| format!("7 (a) b) R {}{priority} {policy} 0 0", "0 ".repeat(36));
        let found = scheduling(&[("parent", stat(40, 1)), ("daemon", stat(20, 1))]);
        assert_eq!((found.verdict, found.text.as_str()), (Verdict::Ok, "granted (SCHED_FIFO): parent 40, daemon 20"));
        assert_eq!(scheduling(&[("parent", stat(40, 1)), ("daemon", stat(0, 0))]).verdict, Verdict::Problem);
        assert_eq!(scheduling(&[("daemon", String::new())]).verdict, Verdict::Unknown);
    }

    #[test]
    fn limits_are_read_as_the_kernel_writes_them() {
        assert_eq!(open_files("Max open files            1024                 4096   files").verdict, Verdict::Warning);
        assert_eq!(open_files("Max open files            unlimited  unlimited   files").verdict, Verdict::Ok);
        assert_eq!(locked_memory("VmLck:\t       0 kB\n").verdict, Verdict::Warning);
        assert_eq!(locked_memory("VmLck:\t   52000 kB\n").text, "50 MiB locked");
        let share = |runtime: &str| real_time_share(Some(runtime.into()), Some("1000000".into())).verdict;
        assert_eq!((share("950000"), share("-1"), share("0")), (Verdict::Ok, Verdict::Ok, Verdict::Problem));
        assert_eq!(fair_server(Some("200000000".into())).verdict, Verdict::Warning);
        let mode = |mode: Option<&str>, booted: &str| preemption(mode.map(str::to_owned), Some(booted.into())).verdict;
        assert_eq!(mode(Some("(none) voluntary full"), ""), Verdict::Warning);
        assert_eq!(mode(Some("none voluntary (full)"), "quiet preempt=none"), Verdict::Ok);
        assert_eq!(mode(None, "quiet preempt=none ro"), Verdict::Warning);
        assert_eq!(mode(None, "quiet"), Verdict::Unknown);
    }
}
