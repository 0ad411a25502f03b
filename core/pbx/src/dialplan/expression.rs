//! Owns `$[...]`: the arithmetic and comparisons of the dialplan, on text whose variables are already replaced.

#[cfg(test)]
mod tests;

/// Parentheses, signs and conditionals nested deeper than this make the expression unreadable.
const DEPTH_MAX: u32 = 32;

/// The value of the expression; `None` when it cannot be read, which counts as empty and so as false.
pub(super) fn evaluate(text: &str) -> Option<String> {
    let mut reader = Reader { tokens: tokens(text)?, at: 0, depth: 0 };
    let value = reader.conditional()?;
    (reader.at == reader.tokens.len()).then_some(value)
}

/// Whether a value counts as true: neither empty nor zero.
pub(super) fn is_true(value: &str) -> bool {
    !value.trim().is_empty() && numeric(value) != Some(0.0)
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Value(String),
    Operator(&'static str),
}

/// Longer operators first, so that `<=` is not read as `<`.
const OPERATORS: &[&str] =
    &["::", "!=", "<=", ">=", "==", "=", "<", ">", "|", "&", "+", "-", "*", "/", "%", "!", "(", ")", "?"];

/// Operators that Asterisk has and we do not: regular expressions and joining.
const UNSUPPORTED: &[&str] = &["=~", "~~"];

/// Whether an expression uses an operator that is not supported. Text within quotes does not count.
pub(super) fn uses_unsupported(text: &str) -> bool {
    text.split('"').step_by(2).any(|outside| UNSUPPORTED.iter().any(|operator| outside.contains(operator)))
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (value, after) = quoted.split_once('"')?;
            tokens.push(Token::Value(value.to_owned()));
            rest = after;
        } else if UNSUPPORTED.iter().any(|operator| rest.starts_with(operator)) {
            return None;
        } else if let Some((operator, after)) = OPERATORS.iter().find_map(|op| Some((*op, rest.strip_prefix(op)?))) {
            tokens.push(Token::Operator(if operator == "==" { "=" } else { operator }));
            rest = after;
        } else {
            let ends = |letter: char| letter.is_whitespace() || letter == '"' || "!<>=|&+-*/%()?:".contains(letter);
            let length = rest.find(ends).unwrap_or(rest.len());
            // A single `:` would be a regular expression.
            let (word, after) = rest.split_at_checked(length).filter(|(word, _)| !word.is_empty())?;
            tokens.push(Token::Value(word.to_owned()));
            rest = after;
        }
        rest = rest.trim_start();
    }
    Some(tokens)
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
    depth: u32,
}

/// Binary operators from the loosest to the tightest.
const LEVELS: &[&[&str]] = &[&["|"], &["&"], &["=", "!=", "<", ">", "<=", ">="], &["+", "-"], &["*", "/", "%"]];

impl Reader {
    fn take(&mut self, operators: &[&'static str]) -> Option<&'static str> {
        match self.tokens.get(self.at) {
            Some(Token::Operator(operator)) if operators.contains(operator) => {
                self.at += 1;
                Some(operator)
            }
            _ => None,
        }
    }

    /// `condition ? yes :: no`
    fn conditional(&mut self) -> Option<String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        let condition = self.binary(LEVELS)?;
        let value = if self.take(&["?"]).is_some() {
            let yes = self.conditional()?;
            self.take(&["::"])?;
            let no = self.conditional()?;
            if is_true(&condition) { yes } else { no }
        } else {
            condition
        };
        self.depth -= 1;
        Some(value)
    }

    fn binary(&mut self, levels: &[&[&'static str]]) -> Option<String> {
        let Some((operators, tighter)) = levels.split_first() else { return self.unary() };
        let mut left = self.binary(tighter)?;
        while let Some(operator) = self.take(operators) {
            let right = self.binary(tighter)?;
            left = apply(operator, left, right);
        }
        Some(left)
    }

    fn unary(&mut self) -> Option<String> {
        if let Some(operator) = self.take(&["!", "-", "("]) {
            self.depth += 1;
            if self.depth > DEPTH_MAX {
                return None;
            }
            let value = match operator {
                "!" => truth(!is_true(&self.unary()?)),
                "-" => show(-number(&self.unary()?)),
                _ => {
                    let value = self.conditional()?;
                    self.take(&[")"])?;
                    value
                }
            };
            self.depth -= 1;
            return Some(value);
        }
        match self.tokens.get(self.at) {
            Some(Token::Value(value)) => {
                self.at += 1;
                Some(value.clone())
            }
            _ => None,
        }
    }
}

fn apply(operator: &str, left: String, right: String) -> String {
    let ordered = || match (numeric(&left), numeric(&right)) {
        (Some(left), Some(right)) => left.partial_cmp(&right),
        _ => Some(left.cmp(&right)),
    };
    match operator {
        "|" => {
            if is_true(&left) {
                left
            } else {
                right
            }
        }
        "&" => {
            if is_true(&left) && is_true(&right) {
                left
            } else {
                truth(false)
            }
        }
        "=" => truth(ordered().is_some_and(|order| order.is_eq())),
        "!=" => truth(ordered().is_none_or(|order| order.is_ne())),
        "<" => truth(ordered().is_some_and(|order| order.is_lt())),
        ">" => truth(ordered().is_some_and(|order| order.is_gt())),
        "<=" => truth(ordered().is_some_and(|order| order.is_le())),
        ">=" => truth(ordered().is_some_and(|order| order.is_ge())),
        _ => arithmetic(operator, number(&left), number(&right)),
    }
}

/// Division by zero is zero, as is what is no number: a call goes on with a wrong sum rather than not at all.
fn arithmetic(operator: &str, left: f64, right: f64) -> String {
    show(match operator {
        "+" => left + right,
        "-" => left - right,
        "*" => left * right,
        "/" if right != 0.0 => left / right,
        "%" if right != 0.0 => left % right,
        _ => 0.0,
    })
}

fn number(value: &str) -> f64 {
    numeric(value).unwrap_or(0.0)
}

/// Rust would read `inf` and `nan` as numbers too; to a dialplan they are words.
fn numeric(value: &str) -> Option<f64> {
    let value = value.trim();
    let has_digits_only = value.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+'));
    if has_digits_only { value.parse().ok().filter(|number: &f64| number.is_finite()) } else { None }
}

/// Bounded, because a product of huge numbers would print as hundreds of digits.
fn show(number: f64) -> String {
    const LARGEST: f64 = 9_007_199_254_740_992.0;
    let number = number.clamp(-LARGEST, LARGEST);
    // Zero has a sign in floating point and none in the dialplan.
    if number == 0.0 { "0".to_owned() } else { number.to_string() }
}

fn truth(value: bool) -> String {
    if value { "1" } else { "0" }.to_owned()
}
