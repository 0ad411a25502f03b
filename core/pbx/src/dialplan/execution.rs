//! Owns the running of a call through the dialplan: assignments, jumps, and the bounds that end a loop.

use super::application::{self, INTERNAL};
use super::context::{Line, Spot};
use super::substitute::{Scope, TEXT_BYTES_MAX, substitute};
use super::{Dialplan, Execution, Step, expression};

/// Priorities of one call. More can only be an endless loop; the call ends.
pub const STEPS_MAX: u32 = 100_000;

/// Priorities that run without the call waiting for anything. More would hold up every other call on the node; the
/// call ends.
pub const STEPS_AT_ONCE_MAX: u32 = 1_000;

/// Variables of one call, and the bytes of all their names and values: they are part of the call's replicated object.
/// An assignment beyond fails the call.
const VARIABLES_MAX: usize = 256;
const VARIABLE_BYTES_MAX: usize = 32 * 1024;

/// The longest name of a variable, as in Asterisk.
const NAME_BYTES_MAX: usize = 80;

impl Execution {
    /// Sets a channel variable, such as `DIALSTATUS` when Dial is done. False, and nothing is changed, when the call
    /// holds too many or too long variables.
    pub fn set(&mut self, name: &str, value: &str) -> bool {
        let others = self.variables.iter().filter(|(other, _)| *other != name);
        let (count, bytes) =
            others.fold((0, 0), |(count, bytes), (name, value)| (count + 1, bytes + name.len() + value.len()));
        if name.is_empty()
            || name.len() > NAME_BYTES_MAX
            || value.len() > TEXT_BYTES_MAX
            || count >= VARIABLES_MAX
            || bytes + name.len() + value.len() > VARIABLE_BYTES_MAX
        {
            return false;
        }
        self.variables.insert(name.to_owned(), value.to_owned());
        true
    }

    /// The value of a channel variable that was set.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// To be called when an application waited for the network or for time: what follows is no endless loop without
    /// a pause.
    pub fn waited(&mut self) {
        self.steps_at_once = 0;
    }
}

/// What `next` does after one line.
enum Ran {
    On,
    Leave(Step),
}

/// Why a line failed, for a person to read.
type Reason = String;

impl Dialplan {
    /// Runs the call up to its next application. It never loops for long: see `STEPS_AT_ONCE_MAX`.
    pub fn next(&self, execution: &mut Execution) -> Step {
        // Each round counts a step, so the bound on steps at once bounds the loop.
        loop {
            let spot = Spot::Priority(execution.priority);
            let Some((_, line)) = self.line(&execution.context, &execution.extension, &execution.caller, spot) else {
                return Step::End;
            };
            let ran = self.count(execution).and_then(|()| self.run(line, execution));
            match ran {
                Ok(Ran::On) => {}
                Ok(Ran::Leave(step)) => return step,
                Err(reason) => {
                    let (file, line) = (line.place.file.to_string(), line.place.line);
                    return Step::Failed { reason, file, line };
                }
            }
        }
    }

    fn count(&self, execution: &mut Execution) -> Result<(), Reason> {
        execution.steps = execution.steps.saturating_add(1);
        execution.steps_at_once = execution.steps_at_once.saturating_add(1);
        if execution.steps > STEPS_MAX {
            return Err(format!("the call ran more than {STEPS_MAX} priorities"));
        }
        if execution.steps_at_once > STEPS_AT_ONCE_MAX {
            return Err(format!("the call ran more than {STEPS_AT_ONCE_MAX} priorities without waiting for anything"));
        }
        Ok(())
    }

    fn run(&self, line: &Line, execution: &mut Execution) -> Result<Ran, Reason> {
        let scope = Scope { globals: &self.globals, execution: Some(execution) };
        let data = substitute(&line.data, scope).map_err(|error| error.to_string())?;
        if INTERNAL.iter().any(|name| name.eq_ignore_ascii_case(&line.application)) {
            self.run_internal(&line.application, &data, execution)?;
            return Ok(Ran::On);
        }
        let application = application::parse(&line.application, &data);
        execution.priority = execution.priority.saturating_add(1);
        execution.last_application.clone_from(&line.application);
        execution.last_data = data;
        Ok(Ran::Leave(Step::Run(application)))
    }

    fn run_internal(&self, name: &str, data: &str, execution: &mut Execution) -> Result<(), Reason> {
        match name.to_ascii_lowercase().as_str() {
            "set" => {
                assign(data, execution)?;
                execution.priority = execution.priority.saturating_add(1);
                Ok(())
            }
            "gotoif" => {
                let (condition, branches) = data.split_once('?').unwrap_or((data, ""));
                let branches = application::split(branches, ':', 2);
                let chosen = branches.get(usize::from(!expression::is_true(condition))).copied().unwrap_or("");
                if chosen.is_empty() {
                    execution.priority = execution.priority.saturating_add(1);
                    return Ok(());
                }
                self.jump(chosen, execution)
            }
            _ => self.jump(data, execution),
        }
    }

    /// `priority`, `extension,priority` or `context,extension,priority`; a priority may be a label.
    fn jump(&self, to: &str, execution: &mut Execution) -> Result<(), Reason> {
        let (context, extension, priority) = destination(to);
        let context = context.unwrap_or(&execution.context).to_owned();
        let extension = extension.unwrap_or(&execution.extension).to_owned();
        let spot = priority.parse().map_or(Spot::Label(priority), Spot::Priority);
        if let Some((priority, _)) = self.line(&context, &extension, &execution.caller, spot) {
            (execution.context, execution.extension, execution.priority) = (context, extension, priority);
            return Ok(());
        }
        if !self.has_extension(&context, &extension, &execution.caller) {
            return self.jump_to_invalid(context, &extension, execution);
        }
        let Spot::Priority(priority) = spot else {
            return Err(format!("the extension {extension} in {context} has no label {priority}"));
        };
        // The extension is there and has no such priority: the call falls through.
        (execution.context, execution.extension, execution.priority) = (context, extension, priority);
        Ok(())
    }

    /// A jump to an extension that is not there goes to the context's `i` extension.
    fn jump_to_invalid(&self, context: String, extension: &str, execution: &mut Execution) -> Result<(), Reason> {
        if self.line(&context, INVALID, &execution.caller, Spot::Priority(1)).is_none() {
            return Err(format!("there is no extension {extension} in the context {context}"));
        }
        set(execution, "INVALID_EXTEN", extension)?;
        (execution.context, execution.extension, execution.priority) = (context, INVALID.to_owned(), 1);
        Ok(())
    }
}

/// The extension for numbers that a context does not have.
const INVALID: &str = "i";

/// Context, extension and priority of a jump, the first two possibly left out.
pub(super) fn destination(to: &str) -> (Option<&str>, Option<&str>, &str) {
    let parts = application::split(to, ',', 3);
    match parts.as_slice() {
        [priority] => (None, None, priority),
        [extension, priority] => (None, Some(extension), priority),
        [context, extension, priority, ..] => (Some(context), Some(extension), priority),
        [] => (None, None, ""),
    }
}

fn assign(data: &str, execution: &mut Execution) -> Result<(), Reason> {
    let Some((name, value)) = data.split_once('=') else {
        return Err("Set: there is no `=`".to_owned());
    };
    let (name, value) = (name.trim(), unquoted(value.trim()));
    if let Some((function, argument)) = super::substitute::function(name) {
        if function.eq_ignore_ascii_case("CALLERID") {
            return set_caller_id(argument, value, execution);
        }
        // Loading the files warned that this function is not supported.
        return Ok(());
    }
    // Leading underscores make a variable go over to the legs that Dial makes, which share this call's variables here.
    set(execution, name.trim_start_matches('_'), value)
}

fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

fn set(execution: &mut Execution, name: &str, value: &str) -> Result<(), Reason> {
    if execution.set(name, value) {
        return Ok(());
    }
    Err(format!("Set: `{name}` is too long, or the call has more than {VARIABLES_MAX} variables"))
}

/// The longest name or number of a caller that a `Set` may make; what is beyond is cut off.
const CALLER_CHARACTERS_MAX: usize = 80;

fn set_caller_id(part: &str, value: &str, execution: &mut Execution) -> Result<(), Reason> {
    let value: String = value.chars().filter(|letter| !letter.is_control()).take(CALLER_CHARACTERS_MAX).collect();
    match part.trim().to_ascii_lowercase().as_str() {
        "num" | "number" => execution.caller.number = value,
        "name" => execution.caller.name = value,
        "all" => {
            let parsed = crate::configuration::caller_id(&value);
            execution.caller = super::Caller { name: parsed.name, number: parsed.number };
        }
        _ => {}
    }
    Ok(())
}
