//! Man pages and completions, made of the command line itself so that they cannot go stale; for packages.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_complete::Shell;
use clap_complete::aot::generate_to;
use miette::{IntoDiagnostic, Result, WrapErr};

const MAN_FOLDER: &str = "share/man/man1";

/// Where Debian's shells look for completions.
const COMPLETION_FOLDERS: [(Shell, &str); 3] = [
    (Shell::Bash, "share/bash-completion/completions"),
    (Shell::Zsh, "share/zsh/vendor-completions"),
    (Shell::Fish, "share/fish/vendor_completions.d"),
];

/// bash-completion looks for a file that is called as the command.
const BASH_COMPLETION_SUFFIX: &str = "bash";

#[derive(Clone, Debug, Args)]
pub struct GenerateArguments {
    /// The prefix under which share/man and the shells' folders are made, such as /usr
    #[arg(value_name = "DIR")]
    pub prefix: PathBuf,
}

/// Writes one man page for the program and one for each command that is not hidden, and a completion for each shell.
pub fn run(program: &Command, arguments: &GenerateArguments) -> Result<()> {
    let man_folder = make_folder(&arguments.prefix, MAN_FOLDER)?;
    let pages = clap_mangen::generate_to(program.clone(), &man_folder);
    pages.into_diagnostic().wrap_err_with(|| format!("write man pages into {}", man_folder.display()))?;
    let mut completed = without_hidden(program);
    for (shell, folder) in COMPLETION_FOLDERS {
        let folder = make_folder(&arguments.prefix, folder)?;
        let path = generate_to(shell, &mut completed, env!("CARGO_BIN_NAME"), &folder);
        let path = path.into_diagnostic().wrap_err_with(|| format!("write a completion into {}", folder.display()))?;
        if path.extension().is_some_and(|suffix| suffix == BASH_COMPLETION_SUFFIX) {
            let bare = path.with_extension("");
            fs::rename(&path, &bare).into_diagnostic().wrap_err_with(|| format!("write {}", bare.display()))?;
        }
    }
    Ok(())
}

/// Completions offer hidden commands, too, unless there are none.
fn without_hidden(program: &Command) -> Command {
    let commands = program.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    Command::new(env!("CARGO_BIN_NAME"))
        .version(env!("CARGO_PKG_VERSION"))
        .args(program.get_arguments().cloned())
        .subcommands(commands)
}

fn make_folder(prefix: &Path, folder: &str) -> Result<PathBuf> {
    let folder = prefix.join(folder);
    fs::create_dir_all(&folder).into_diagnostic().wrap_err_with(|| format!("make {}", folder.display()))?;
    Ok(folder)
}

#[cfg(test)]
mod tests;
