//! What the service did, held against what was sent.

use std::collections::HashMap;
use std::path::Path;

use super::Sent;

/// What the service has worked on, in order: client, number, how often before.
#[derive(Debug)]
pub(super) struct Ledger {
    lines: Vec<[u64; 3]>,
}

impl Ledger {
    pub(super) fn read(path: &Path) -> std::io::Result<Self> {
        Ok(Ledger { lines: lines(&std::fs::read_to_string(path)?) })
    }

    /// Whether all is as promised. Returns how many may have been replays.
    pub(super) fn check(&self, sent: &[Sent]) -> Result<u64, String> {
        let mut next: HashMap<u64, u64> = HashMap::new();
        let mut replays = 0;
        for [client, number, again] in &self.lines {
            let next = next.entry(*client).or_default();
            if *number > *next {
                return Err(format!("client {client}: {number} came before {next}"));
            }
            if number == next {
                *next += 1;
            } else if *again == 0 {
                return Err(format!("client {client}: {number} came again and did not say so"));
            }
            replays += u64::from(*again > 0);
        }
        for Sent { client, calls, messages } in sent {
            let worked = next.get(client).copied().unwrap_or(0);
            if worked != calls + messages {
                let all = calls + messages;
                return Err(format!("client {client}: {worked} of {all} were worked on"));
            }
        }
        Ok(replays)
    }
}

fn lines(text: &str) -> Vec<[u64; 3]> {
    let numbers = |line: &str| {
        let numbers: Vec<u64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
        numbers.try_into().ok()
    };
    text.lines().filter_map(numbers).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, calls: u64) -> Result<u64, String> {
        let ledger = Ledger { lines: lines(text) };
        ledger.check(&[Sent { client: 7, calls, messages: 0 }])
    }

    #[test]
    fn each_broken_promise_is_seen() {
        assert_eq!(check("7 0 0\n7 1 0\n7 2 0\n", 3), Ok(0));
        assert_eq!(check("7 0 0\n7 1 0\n7 0 1\n7 1 1\n7 2 2\n", 3), Ok(3));
        for (text, word) in [
            ("7 0 0\n7 2 0\n7 1 0\n", "before"),
            ("7 0 0\n7 1 0\n7 1 0\n7 2 0\n", "did not say so"),
            ("7 0 0\n7 1 0\n", "2 of 3"),
            ("", "0 of 3"),
        ] {
            let told = check(text, 3).unwrap_err();
            assert!(told.contains(word), "{told}");
        }
    }
}
