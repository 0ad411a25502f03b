//! Every command that can be seen has its page, and what is generated names real flags.

use std::collections::BTreeSet;

use clap::CommandFactory;

use super::*;

fn generated(name: &str) -> PathBuf {
    let prefix = std::env::temp_dir().join(format!("tandem-generate-{name}-{}", std::process::id()));
    run(&crate::Arguments::command(), &GenerateArguments { prefix: prefix.clone() }).unwrap();
    prefix
}

#[test]
fn each_command_has_a_page_and_the_hidden_one_has_none() {
    let prefix = generated("pages");
    let folder = fs::read_dir(prefix.join(MAN_FOLDER)).unwrap();
    let pages: BTreeSet<String> = folder.map(|page| page.unwrap().file_name().into_string().unwrap()).collect();
    let program = crate::Arguments::command();
    let commands = program.get_subcommands().filter(|command| command.get_name() != "generate");
    let mut expected: BTreeSet<String> = BTreeSet::new();
    for command in commands {
        expected.insert(format!("tandem-{}.1", command.get_name()));
        let inner =
            command.get_subcommands().map(|inner| format!("tandem-{}-{}.1", command.get_name(), inner.get_name()));
        expected.extend(inner);
    }
    expected.insert("tandem.1".to_owned());
    assert_eq!(pages, expected);
    let page = |name: &str| fs::read_to_string(prefix.join(MAN_FOLDER).join(name)).unwrap();
    assert!(page("tandem.1").contains("tandem\\-serve(1)"));
    assert!(!page("tandem.1").contains("generate"));
    let serve = page("tandem-serve.1");
    assert!(serve.starts_with(".ie") && serve.contains(".TH tandem-serve 1"), "{serve}");
    assert!(serve.contains("\\-\\-asterisk\\-dir") && serve.contains("tandem serve"), "{serve}");
    fs::remove_dir_all(prefix).unwrap();
}

#[test]
fn each_shell_has_a_completion_where_it_looks() {
    let prefix = generated("completions");
    for (folder, name) in [(0, "tandem"), (1, "_tandem"), (2, "tandem.fish")] {
        let text = fs::read_to_string(prefix.join(COMPLETION_FOLDERS[folder].1).join(name)).unwrap();
        assert!(text.contains("switchover") && text.contains("asterisk-dir"), "{name}");
        assert!(!text.contains("generate"), "{name}");
    }
    fs::remove_dir_all(prefix).unwrap();
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error() {
    let prefix = PathBuf::from("/dev/null/usr");
    assert!(run(&crate::Arguments::command(), &GenerateArguments { prefix }).is_err());
}
