//! Who reads messages says by rules which he wants to have where.

use regex::Regex;
use std::collections::HashMap;

struct Rule {
    pattern: String,
    folder: String,
}

pub struct Rules {
    readers: HashMap<usize, Vec<Rule>>,
}

impl Rules {
    pub fn new() -> Self {
        let mut readers = HashMap::new();
        for reader in 0..200 {
            readers.insert(reader, make(reader, 1 + reader % 2));
        }
        readers.insert(900, make(900, 40)); // a ministry
        Rules { readers }
    }

    /// Says in which folder a reader wants a message.
    pub fn sort(&self, reader: usize, message: &str) -> String {
        let Some(rules) = self.readers.get(&reader) else {
            return "nobody\n".to_string();
        };
        for rule in rules {
            if suits(rule, message) {
                return format!("{}\n", rule.folder);
            }
        }
        "inbox\n".to_string()
    }
}

/// The mistake: what is the same for each message is made for each message.
fn suits(rule: &Rule, message: &str) -> bool {
    match Regex::new(&rule.pattern) {
        Ok(regex) => regex.is_match(message),
        Err(_) => false,
    }
}

fn make(reader: usize, many: usize) -> Vec<Rule> {
    (0..many)
        .map(|i| Rule {
            pattern: format!(r"(?i)level={}\d* .*state=(alarm|flood{}) from \w+", 7000 + reader + i, i),
            folder: format!("folder {}", i),
        })
        .collect()
}
