use clap::{CommandFactory, Parser};

use super::*;

/// As the program does it, with a command of another room.
#[derive(Debug, Parser)]
#[command(name = "tandem")]
struct Program {
    #[command(subcommand)]
    command: ProgramCommand,
}

#[derive(Debug, Subcommand)]
enum ProgramCommand {
    #[command(flatten)]
    Admin(Command),
    /// Another room's
    Other,
}

fn parse(line: &str) -> Result<Command, clap::Error> {
    match Program::try_parse_from(line.split_whitespace())?.command {
        ProgramCommand::Admin(command) => Ok(command),
        ProgramCommand::Other => panic!("{line} is another room's"),
    }
}

#[test]
fn the_definition_has_no_contradictions() {
    Program::command().debug_assert();
}

#[test]
fn each_command_has_help_and_json() {
    let program = Program::command();
    let names: Vec<&str> = program.get_subcommands().map(clap::Command::get_name).collect();
    let wanted = [
        "init",
        "join",
        "invite",
        "serve",
        "witness",
        "key",
        "check",
        "doctor",
        "status",
        "events",
        "phones",
        "calls",
        "cdr",
        "switchover",
        "drain",
        "reload",
        "config",
        "other",
    ];
    assert_eq!(names, wanted);
    let config = program.find_subcommand("config").unwrap();
    let names: Vec<&str> = config.get_subcommands().map(clap::Command::get_name).collect();
    assert_eq!(names, ["status", "apply", "edit", "history", "show", "diff", "rollback", "resolve"]);
    let single = program.get_subcommands().filter(|command| !matches!(command.get_name(), "other" | "config"));
    let of = |before: &'static str| move |command| (before, command);
    for (before, command) in single.map(of("")).chain(config.get_subcommands().map(of("config "))) {
        let name = command.get_name();
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        assert!(about.len() > 20, "{name} says too little: {about}");
        assert!(command.get_arguments().any(|argument| argument.get_id() == "json"), "{name} has no --json");
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{name}: {} has no help", argument.get_id());
        }
        let config = command.get_arguments().any(|argument| argument.get_id() == "config");
        assert_eq!(config, !matches!(name, "key" | "witness"), "{name}");
        let line = format!("tandem {before}{name} --help");
        let shown = Program::try_parse_from(line.split_whitespace()).unwrap_err();
        assert_eq!(shown.kind(), clap::error::ErrorKind::DisplayHelp);
        assert!(shown.to_string().contains(&about), "{shown}");
    }
}

#[test]
fn serve_is_told_one_way_or_the_other() {
    assert!(parse("tandem serve").is_ok());
    assert!(parse("tandem serve --config tandem.toml").is_ok());
    assert!(parse("tandem serve --asterisk-dir a --state-dir b").is_ok());
    assert!(parse("tandem serve --asterisk-dir a --state-dir b --listen 192.0.2.10:5060 --json").is_ok());
    for line in [
        "tandem serve --asterisk-dir a",
        "tandem serve --state-dir b",
        "tandem serve --listen 192.0.2.10:5060",
        "tandem serve --config tandem.toml --asterisk-dir a --state-dir b",
        "tandem serve --asterisk-dir a --state-dir b --listen 5060",
    ] {
        assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
    }
}

#[test]
fn serve_makes_a_configuration_of_its_flags() {
    let Ok(Command::Serve(arguments)) = parse("tandem serve --asterisk-dir /a --state-dir /b --listen 192.0.2.10:5060")
    else {
        panic!("no serve")
    };
    let config = arguments.to_config().unwrap();
    assert_eq!((config.pbx_dir.as_path(), config.state_dir.as_path()), (Path::new("/a"), Path::new("/b")));
    assert_eq!(config.listen, Some("192.0.2.10:5060".parse().unwrap()));
    let Ok(Command::Serve(arguments)) = parse("tandem serve --config /does/not/exist.toml") else { panic!("no serve") };
    assert!(arguments.to_config().unwrap_err().to_string().contains("/does/not/exist.toml"));
}

#[test]
fn a_running_node_is_named_by_its_configuration_or_its_state_directory() {
    let Ok(Command::Status(arguments)) = parse("tandem status --json --state-dir /b") else { panic!("no status") };
    assert!(arguments.node.json && !arguments.watch);
    assert_eq!(arguments.node.target.to_state_dir().unwrap(), Path::new("/b"));
    let Ok(Command::Phones(arguments)) = parse("tandem phones") else { panic!("no phones") };
    assert_eq!(arguments.target.config, Path::new("/etc/tandem/tandem.toml"));
    assert!(parse("tandem calls --config a --state-dir b").is_err());
}

#[test]
fn cdr_takes_filters_and_one_format() {
    let Ok(Command::Cdr(arguments)) = parse("tandem cdr --since 2h --limit 5 --src 5000 --dst 5001 --format csv")
    else {
        panic!("no cdr")
    };
    assert_eq!(arguments.since, Some(Since::Ago(std::time::Duration::from_secs(7200))));
    assert_eq!(arguments.limit, Some(5));
    assert_eq!((arguments.src.as_deref(), arguments.dst.as_deref()), (Some("5000"), Some("5001")));
    assert_eq!(arguments.to_format(), CdrFormat::Csv);
    let Ok(Command::Cdr(arguments)) = parse("tandem cdr --json --state-dir /b") else { panic!("no cdr") };
    assert_eq!(arguments.to_format(), CdrFormat::Json);
    let line = "tandem cdr --until 1h --party 5000 --disposition no-answer --account sales --seconds-min 30 --by day";
    let Ok(Command::Cdr(arguments)) = parse(line) else { panic!("no cdr") };
    assert_eq!(arguments.disposition.map(CdrDisposition::text), Some("NO ANSWER"));
    assert_eq!((arguments.by, arguments.seconds_min), (Some(CdrBy::Day), Some(30)));
    assert_eq!(arguments.party.as_deref(), arguments.account.as_deref().map(|_| "5000"));
    assert!(parse("tandem cdr --follow --by day").is_err());
    assert!(parse("tandem cdr --limit 5 --by day").is_err());
    assert!(parse("tandem cdr --json --format csv").is_err());
    let told = parse("tandem cdr --since yesterday").unwrap_err().to_string();
    assert!(told.contains("write an age as 90s, 15m, 2h or 7d"), "{told}");
}

#[test]
fn check_takes_a_configuration_or_a_directory() {
    let Ok(Command::Check(arguments)) = parse("tandem check --asterisk-dir /a --json") else { panic!("no check") };
    assert_eq!(arguments.asterisk_dir.as_deref(), Some(Path::new("/a")));
    assert!(arguments.json);
    assert!(parse("tandem check --asterisk-dir /a --config /b").is_err());
}

#[test]
fn versions_and_files_are_named_where_they_are_needed() {
    let config = |line: &str| match parse(line) {
        Ok(Command::Config(command)) => Some(command),
        Ok(other) => panic!("{line} is {other:?}"),
        Err(_) => None,
    };
    let Some(ConfigCommand::Resolve(arguments)) = config("tandem config resolve --take b --json") else { panic!() };
    assert!(arguments.take == Path::new("b") && arguments.node.json);
    let Some(ConfigCommand::Show(arguments)) = config("tandem config show 4be1 sip.conf --state-dir /b") else {
        panic!()
    };
    assert_eq!((arguments.version.as_str(), arguments.file.as_deref()), ("4be1", Some("sip.conf")));
    assert_eq!(arguments.node.target.to_state_dir().unwrap(), Path::new("/b"));
    let Some(ConfigCommand::Diff(arguments)) = config("tandem config diff 4be1") else { panic!() };
    assert_eq!((arguments.from.as_deref(), arguments.to), (Some("4be1"), None));
    for line in ["tandem config", "tandem config resolve", "tandem config rollback", "tandem config edit"] {
        assert!(config(line).is_none(), "{line}");
    }
}

#[test]
fn a_node_is_drained_in_one_way_at_a_time() {
    let drain = |line: &str| match parse(line).unwrap() {
        Command::Drain(arguments) => (arguments.to_drain(), arguments.wait),
        other => panic!("{line} is {other:?}"),
    };
    assert_eq!(drain("tandem drain"), (Drain::Drained, false));
    assert_eq!(drain("tandem drain --wait"), (Drain::Drained, true));
    assert_eq!(drain("tandem drain --never"), (Drain::Never, false));
    assert_eq!(drain("tandem drain --calls --wait"), (Drain::Calls, true));
    assert_eq!(drain("tandem drain --end"), (Drain::Ended, false));
    for line in ["tandem drain --never --calls", "tandem drain --end --never", "tandem drain --end --wait"] {
        assert!(parse(line).is_err(), "{line}");
    }
}

#[test]
fn waiting_for_protection_has_an_end() {
    let limit = |line: &str| match parse(line).unwrap() {
        Command::Status(arguments) => arguments.until_protected,
        other => panic!("{line} is {other:?}"),
    };
    assert_eq!(limit("tandem status"), None);
    assert_eq!(limit("tandem status --until-protected"), Some(60));
    assert_eq!(limit("tandem status --until-protected 5 --json"), Some(5));
    assert!(parse("tandem status --until-protected --watch").is_err());
}
