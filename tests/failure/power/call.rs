//! System calls as `strace -f -xx` writes them down, in the order in which they were done.

use std::collections::HashMap;

/// One call that succeeded.
#[derive(Debug)]
pub(super) struct Call {
    /// The line of the log where it began; other threads' calls may stand between.
    pub begun: usize,
    /// The line where it was done.
    pub done: usize,
    pub name: String,
    pub arguments: Vec<String>,
    pub result: u64,
}

impl Call {
    /// A text or bytes among the arguments.
    pub(super) fn bytes(&self, index: usize) -> Vec<u8> {
        let argument = &self.arguments[index];
        let inner = argument.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let inner = inner.unwrap_or_else(|| panic!("{argument} is cut off: {} {}", self.name, self.done));
        let digits = inner.split("\\x").skip(1);
        digits.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
    }

    pub(super) fn text(&self, index: usize) -> String {
        String::from_utf8(self.bytes(index)).unwrap()
    }

    /// A number, a descriptor or a mode.
    pub(super) fn number(&self, index: usize) -> u64 {
        let argument = &self.arguments[index];
        match argument.strip_prefix('0').filter(|octal| !octal.is_empty()) {
            Some(octal) => u64::from_str_radix(octal, 8).unwrap(),
            None => argument.parse().unwrap_or_else(|_| panic!("{argument} is no number: {self:?}")),
        }
    }
}

/// The calls of a log that did something. A closed descriptor is free from the call's beginning on, so closing counts from
/// there; everything else from its end.
pub(super) fn calls(log: &str) -> Vec<Call> {
    let mut begun: HashMap<&str, (usize, &str)> = HashMap::new();
    let mut calls = Vec::new();
    for (line, text) in log.lines().enumerate() {
        let (thread, text) = text.split_once(' ').unwrap();
        let text = text.trim_start();
        if text.starts_with("+++") || text.starts_with("---") {
            continue;
        }
        if let Some(first) = text.strip_suffix(" <unfinished ...>") {
            if first.starts_with("close(") {
                calls.extend(call(line, line, &format!("{first}) = 0")));
            } else {
                begun.insert(thread, (line, first));
            }
        } else if text.starts_with("<... ") {
            let Some((since, first)) = begun.remove(thread) else { continue };
            let (_, rest) = text.split_once(" resumed>").unwrap();
            calls.extend(call(since, line, &format!("{first}{rest}")));
        } else {
            calls.extend(call(line, line, text));
        }
    }
    calls
}

fn call(begun: usize, done: usize, text: &str) -> Option<Call> {
    let (name, rest) = text.split_once('(').unwrap_or_else(|| panic!("no call: {text}"));
    let (arguments, result) = rest.rsplit_once(") = ").or_else(|| rest.rsplit_once(')'))?;
    // What never came back: the thread ended.
    let result = result.trim_start_matches([' ', '=']).split(' ').next().unwrap();
    let result = match result.strip_prefix("0x") {
        Some(address) => u64::from_str_radix(address, 16).ok()?,
        None => result.parse().ok()?,
    };
    Some(Call { begun, done, name: name.to_owned(), arguments: split(arguments), result })
}

/// At the commas that stand outside of brackets; within quotes there are digits only.
fn split(arguments: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut depth = 0_i32;
    for letter in arguments.chars() {
        depth += i32::from("([{".contains(letter)) - i32::from(")]}".contains(letter));
        if letter == ',' && depth == 0 {
            found.push(String::new());
        } else {
            found.last_mut().unwrap().push(letter);
        }
    }
    found.iter().map(|argument| argument.trim().to_owned()).collect()
}
